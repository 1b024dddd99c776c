//! What everybody outside has said of a cluster.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    build::Built,
    change::Version,
    generation::Cause,
    policy::Policy,
    watch::{Verdict, Watch},
};
use crate::{
    backend::{AdminState, Backend, IncarnationId, Weight},
    membership::Membership,
    sticky::Ring,
    strategy::Strategy,
    time::Tick,
};

/// What a snapshot is computed from.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) version: Version,
    pub(super) membership: Membership,
    pub(super) admin: BTreeMap<Arc<str>, AdminState>,
    pub(super) weights: BTreeMap<Arc<str>, Weight>,
    pub(super) watch: Watch,
    /// What `watch` says, in the copy that one build gets.
    pub(super) verdicts: BTreeMap<IncarnationId, Verdict>,
    pub(super) policy: Policy,
    pub(super) ring: Option<Ring>,
    pub(super) strategy: Option<Box<dyn Strategy>>,
    pub(super) causes: Vec<Cause>,
}

impl Inputs {
    /// What one build needs. Only a new strategy is moved; the rest stays until
    /// the snapshot made of it is published, so that a build that panics loses
    /// nothing.
    pub(super) fn take(&mut self) -> Self {
        Self {
            version: self.version,
            membership: self.membership.clone(),
            admin: self.admin.clone(),
            weights: self.weights.clone(),
            watch: Watch::default(),
            verdicts: self.watch.verdicts(),
            policy: self.policy.clone(),
            ring: self.ring.clone(),
            strategy: self.strategy.take(),
            causes: self.causes.clone(),
        }
    }

    /// Forgets what a build has dealt with.
    pub(super) fn forget(&mut self, built: &Built, now: Tick) {
        self.causes.drain(..built.causes);
        self.watch.take_up(&built.snapshot, &self.policy, now);
    }

    /// What was decided of a backend, by its description and by people.
    pub(super) fn admin_state(&self, backend: &Backend) -> AdminState {
        let decided = self.admin.get(backend.name()).copied().unwrap_or_default();
        decided.and(backend.state())
    }
}
