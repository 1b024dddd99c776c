//! The thread that builds snapshots: the one owner of `Cluster::drive` for all
//! clusters of a proxy.
//!
//! Building a table for a thousand backends takes a while, so it happens neither
//! on a worker nor on whoever made the change.

use std::{
    io,
    ops::ControlFlow,
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

#[derive(Debug, Default)]
struct State {
    changed: bool,
    /// What is to be driven from now on, if that is to change.
    clusters: Option<Vec<Cluster>>,
    stop: bool,
}

/// Builds until it is dropped.
#[derive(Debug)]
pub(super) struct Builder {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Builder {
    pub(super) fn start() -> io::Result<Self> {
        let signal = Arc::<Signal>::default();
        let told = Arc::clone(&signal);
        let thread =
            thread::Builder::new().name("lb-builder".into()).spawn(move || build(&told))?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// Drives these from now on, and no others. Deadlines of those that stay are not
    /// lost: they are asked again.
    pub(super) fn drive_only(&self, clusters: Vec<Cluster>) {
        for cluster in &clusters {
            let signal = Arc::clone(&self.signal);
            cluster.on_change(Arc::new(move || signal.tell(|state| state.changed = true)));
        }
        self.signal.tell(|state| {
            let unseen = state.clusters.replace(clusters);
            state.changed = true;
            unseen
        });
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
    /// What `what` returns is dropped when the lock is released.
    fn tell<T>(&self, what: impl FnOnce(&mut State) -> T) {
        let _dropped_last = what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits for a change, no longer than `limit`. Breaks when it is time to stop;
    /// otherwise returns the clusters, if they are others now.
    fn wait(&self, limit: Option<Duration>) -> ControlFlow<(), Option<Vec<Cluster>>> {
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
        if state.stop {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(state.clusters.take())
        }
    }
}

fn build(signal: &Signal) {
    let mut clusters = Vec::new();
    let mut due: Option<Tick> = None;
    while let ControlFlow::Continue(others) = signal.wait(due.map(|due| due.since(now()))) {
        clusters = others.unwrap_or(clusters);
        due = clusters.iter().filter_map(drive).min();
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
