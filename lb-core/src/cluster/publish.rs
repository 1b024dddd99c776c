//! From what was recorded to the present snapshot.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Shared,
    acknowledge::Workers,
    build::{Builder, Built},
    eligibility::Panic,
    snapshot::Snapshot,
};
use crate::{strategy::Strategy, time::Tick};

impl Shared {
    /// Builds and publishes if something is due.
    pub(super) fn build_if_due(
        &self,
        builder: &mut Builder,
        clock: &dyn Fn() -> Tick,
    ) -> Option<Published> {
        let now = clock();
        let due = builder.expire(now) || self.inputs().version != builder.built();
        if !due || !builder.may_build(now) {
            return None;
        }
        // On its own: the lock is held for the copy and not for the build.
        let inputs = {
            let mut inputs = self.inputs();
            inputs.watch.take_in_said(now);
            inputs.take()
        };
        builder.pace(now, now);
        let built = builder.build(inputs, now);
        let published = self.publish(built, now);
        builder.pace(now, clock());
        Some(published)
    }

    /// Makes a build the present snapshot. The admin states that count are those of
    /// this moment, not those of when the build began: a backend disabled in
    /// between stays closed.
    fn publish(&self, built: Built, now: Tick) -> Published {
        let mut inputs = self.inputs();
        inputs.forget(&built, now);
        let Built { snapshot, replaced, .. } = built;
        assert!(snapshot.version() <= inputs.version, "a snapshot from the future");
        for (backend, load) in snapshot.loads() {
            load.admit(inputs.admin_state(backend), now);
        }
        let publication = snapshot.publication();
        let before = self.current.swap(Arc::new(snapshot));
        self.publication.store(publication, Ordering::Release);
        let after = self.current.load();
        let panic = after.panic();
        let tier = |panic: Option<Panic>| panic.map(|panic| panic.tier);
        let turn = (tier(before.panic()) != tier(panic)).then_some(panic);
        Published { publication, turn, _before: before, _replaced: replaced }
    }
}

/// What was published, and what it replaced: to be dropped, with whatever code of
/// others that runs, when all locks are released.
pub(super) struct Published {
    publication: u64,
    /// Panic has begun, is over, or is in another tier.
    pub(super) turn: Option<Option<Panic>>,
    _before: Arc<Snapshot>,
    _replaced: Option<Box<dyn Strategy>>,
}

impl Published {
    pub(super) fn wake(&self, workers: &Workers) {
        workers.wake_all(self.publication);
    }
}
