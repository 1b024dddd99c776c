//! How far drains have come.
//!
//! A drain is finished when nobody can be sent there any more *and* nobody is left:
//! every worker has acknowledged a snapshot in which the backend takes nobody, and
//! after that no request was held. In the other order it would not be true: a worker
//! with an older snapshot may send one more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lb_core::{
    Cluster,
    cluster::{Standing, Version},
};
use tokio::runtime::Handle;

use super::event::{Event, EventKind, Events};

/// How often requests are counted.
const PAUSE: Duration = Duration::from_millis(25);

/// How often is looked at a backend that can end in no such moment: it is not there, or
/// clients that are bound to it may still come.
const LONG_PAUSE: Duration = Duration::from_millis(250);

/// A drain, as far as it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DrainProgress {
    /// Requests the backend works on.
    pub(crate) busy: u32,
    /// Requests whose client has not got the whole answer.
    pub(crate) held: u32,
    /// Whether bound clients may still come.
    pub(crate) admits_bound: bool,
    /// No request is left there, and none will come.
    pub(crate) is_finished: bool,
}

/// All drains under way or finished, by cluster and backend. All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drains(Arc<Mutex<BTreeMap<(String, String), Drain>>>);

#[derive(Debug)]
struct Drain {
    cluster: Cluster,
    has_bound: bool,
    is_finished: bool,
    /// Ends with it.
    watch: tokio::task::AbortHandle,
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Drains {
    /// Follows a drain to its end, which is told; then does `then`. One that is under way
    /// is followed anew. `version` is that in which it was said. `has_bound`: clients may
    /// be bound to it.
    pub(crate) fn follow(
        &self,
        (cluster, backend): (&Cluster, &str),
        version: Version,
        has_bound: bool,
        (runtime, events): (&Handle, &Events),
        then: impl FnOnce() + Send + 'static,
    ) {
        let key = (cluster.name().to_owned(), backend.to_owned());
        let (all, name, events) = (self.clone(), key.clone(), events.clone());
        let drained = cluster.clone();
        let mut drains = self.lock();
        let watch = runtime.spawn(async move {
            drained.effective(version).await;
            let has_bound = || all.lock().get(&name).is_none_or(|drain| drain.has_bound);
            while let Some(pause) = goes_on(&drained, &name.1, has_bound()).await {
                tokio::time::sleep(pause).await;
            }
            if let Some(drain) = all.lock().get_mut(&name) {
                drain.is_finished = true;
            }
            events.push(Event {
                kind: EventKind::Drained,
                cluster: Some(name.0),
                backend: Some(name.1),
                why: "no request is left, and none will come".to_owned(),
                ..Event::default()
            });
            then();
        });
        let watch = watch.abort_handle();
        let drain = Drain { cluster: cluster.clone(), has_bound, is_finished: false, watch };
        drains.insert(key, drain);
    }

    /// Stops following: it is used again, or gone.
    pub(crate) fn forget(&self, cluster: &str, backend: &str) {
        self.lock().remove(&(cluster.to_owned(), backend.to_owned()));
    }

    /// Whether this one is followed, or was to its end.
    pub(crate) fn is_followed(&self, cluster: &str, backend: &str) -> bool {
        self.lock().contains_key(&(cluster.to_owned(), backend.to_owned()))
    }

    /// Takes in whether clients are bound in a cluster now; stops following where it is
    /// gone (`None`).
    pub(crate) fn keep(&self, has_bound: impl Fn(&str) -> Option<bool>) {
        self.lock().retain(|(cluster, _), drain| {
            let found = has_bound(cluster);
            drain.has_bound = found.unwrap_or(drain.has_bound);
            found.is_some()
        });
    }

    /// How far a drain has come; `None` where nobody follows one.
    pub(crate) fn progress(&self, cluster: &str, backend: &str) -> Option<DrainProgress> {
        let drains = self.lock();
        let drain = drains.get(&(cluster.to_owned(), backend.to_owned()))?;
        let snapshot = drain.cluster.snapshot();
        let view = snapshot.view();
        let slot = snapshot.find(backend);
        let standing = slot.map(|slot| view.standing(slot));
        Some(DrainProgress {
            busy: slot.map_or(0, |slot| view.in_flight(slot)),
            held: slot.map_or(0, |slot| view.held(slot)),
            admits_bound: drain.has_bound && standing == Some(Standing::Draining),
            // What was true once may not be any more: somebody may have said it anew.
            is_finished: slot.is_none_or(|slot| {
                let is_open = drain.has_bound && standing == Some(Standing::Draining);
                drain.is_finished && view.held(slot) == 0 && !is_open
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Drain>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When to look again; `None`: nobody is there, and nobody can come. One that is absent may
/// come again.
async fn goes_on(cluster: &Cluster, backend: &str, has_bound: bool) -> Option<Duration> {
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    let Some(slot) = snapshot.find(backend) else { return Some(LONG_PAUSE) };
    let is_closed = match view.standing(slot) {
        Standing::Drained | Standing::Disabled => true,
        Standing::Draining => !has_bound,
        _ => false,
    };
    if !is_closed {
        return Some(LONG_PAUSE);
    }
    // The present snapshot may be a later one, which has closed it to bound clients too.
    cluster.effective(snapshot.version()).await;
    (view.held(slot) > 0).then_some(PAUSE)
}
