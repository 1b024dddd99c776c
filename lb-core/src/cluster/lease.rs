//! One picked backend, held for one request.

use std::sync::Arc;

use super::{outcome::Outcome, slots::Slot, snapshot::Snapshot};
use crate::{
    backend::{
        Backend, IncarnationId,
        load::{BUSY, HELD, Load},
    },
    strategy::{Choice, Reason},
    time::Tick,
};

/// A worker's hold on a snapshot, shared by the leases it gave out. As long as
/// one of them lives, so do the loads they count on.
#[derive(Debug)]
pub(super) struct Pinned {
    snapshot: Arc<Snapshot>,
}

impl Pinned {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// A request counted in on a backend, until it is dropped.
///
/// It is *busy* until the backend's last byte was read: that is what strategies
/// and ceilings look at. It is *held* until the client's last byte was sent: that
/// is what draining and shutdown wait for. So a client that reads slowly is not
/// the backend's load.
///
/// However the request ends, in an answer, an error, a panic or a future that is
/// dropped half-way, dropping the lease counts it out.
#[derive(Debug)]
#[must_use = "dropping a lease ends the request"]
pub struct Lease {
    pinned: Arc<Pinned>,
    choice: Choice,
    started: Tick,
    /// What is still counted in.
    phases: u64,
}

impl Lease {
    pub(super) fn new(pinned: Arc<Pinned>, choice: Choice, started: Tick) -> Self {
        Self { pinned, choice, started, phases: BUSY | HELD }
    }

    /// Says that the first byte of the answer is here.
    pub fn first_byte(&mut self, now: Tick) {
        self.load().observe_latency(now.since(self.started));
    }

    /// Says that the backend is done with the request; the client need not be.
    /// Only the first call counts.
    pub fn backend_done(&mut self, outcome: Outcome, now: Tick) {
        if self.phases & BUSY != 0 {
            self.end(BUSY, outcome, now);
        }
    }

    /// Says that backend and client are done with the request.
    pub fn complete(mut self, outcome: Outcome, now: Tick) {
        self.end(self.phases, outcome, now);
    }

    /// The backend to send the request to.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        self.pinned.snapshot().view().backend(self.slot())
    }

    /// Which life of it.
    #[must_use]
    pub fn incarnation(&self) -> IncarnationId {
        self.pinned.snapshot().view().incarnation(self.slot())
    }

    /// A small number that no other backend of the cluster has as long as this
    /// incarnation is in a snapshot: an index for what the caller keeps per
    /// backend. It is given to another incarnation later.
    #[must_use]
    pub fn seat(&self) -> usize {
        self.load().seat().number() as usize
    }

    /// Why this backend.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.choice.reason()
    }

    /// When it was picked.
    #[must_use]
    pub fn started(&self) -> Tick {
        self.started
    }

    fn end(&mut self, phases: u64, outcome: Outcome, now: Tick) {
        self.phases &= !phases;
        let load = self.load();
        if phases & BUSY != 0 {
            match outcome {
                outcome if outcome.is_failure() => load.observe_failure(now),
                Outcome::Status(_) => load.forget_failures(),
                _ => {}
            }
        }
        load.finish(phases);
    }

    fn slot(&self) -> Slot {
        self.choice.slot()
    }

    fn load(&self) -> &Load {
        self.pinned.snapshot().load(self.slot())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.phases != 0 {
            self.end(self.phases, Outcome::Abandoned, self.started);
        }
    }
}
