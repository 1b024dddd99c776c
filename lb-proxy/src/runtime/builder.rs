//! The thread that builds snapshots: the one owner of `Cluster::drive` for all
//! clusters of a proxy.
//!
//! Building a table for a thousand backends takes a while, so it happens neither
//! on a worker nor on whoever made the change.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use lb_core::{Cluster, Tick};

use super::clock::now;

/// When a cluster whose build panicked is looked at again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    changed: bool,
    stop: bool,
}

/// Builds until it is dropped.
#[derive(Debug)]
pub(super) struct Builder {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Builder {
    pub(super) fn start(clusters: Vec<Cluster>) -> io::Result<Self> {
        let signal = Arc::<Signal>::default();
        for cluster in &clusters {
            let signal = Arc::clone(&signal);
            cluster.on_change(Arc::new(move || signal.tell(|state| state.changed = true)));
        }
        let told = Arc::clone(&signal);
        let thread = thread::Builder::new()
            .name("lb-builder".into())
            .spawn(move || build(&clusters, &told))?;
        Ok(Self { signal, thread: Some(thread) })
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        self.signal.tell(|state| state.stop = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Signal {
    fn tell(&self, what: impl FnOnce(&mut State)) {
        what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits for a change, no longer than `limit`. Returns whether to stop.
    fn wait(&self, limit: Option<Duration>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |state: &mut State| !state.changed && !state.stop;
        let mut state = match limit {
            Some(limit) => {
                let wait = self.changed.wait_timeout_while(state, limit, nothing);
                wait.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let wait = self.changed.wait_while(state, nothing);
                wait.unwrap_or_else(PoisonError::into_inner)
            }
        };
        state.changed = false;
        state.stop
    }
}

fn build(clusters: &[Cluster], signal: &Signal) {
    loop {
        let due = clusters.iter().filter_map(drive).min();
        if signal.wait(due.map(|due| due.since(now()))) {
            return;
        }
    }
}

/// Drives one cluster. A strategy of somebody else's that panics must not take the
/// builder of all others along; the cluster goes on with what it had.
fn drive(cluster: &Cluster) -> Option<Tick> {
    catch_unwind(AssertUnwindSafe(|| cluster.drive(&now))).unwrap_or_else(|_| {
        tracing::error!(cluster = cluster.name(), "a strategy panicked; nothing was published");
        Some(now() + RETRY)
    })
}
