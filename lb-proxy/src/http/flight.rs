//! A request that is with a backend.
//!
//! Holds the lease. Whoever drops this before the backend was done has given up
//! on the request, and the only one who does that without saying so is hyper,
//! when the client's connection ends. So a drop means: the client went away.

use std::rc::Rc;

use lb_core::{Lease, Outcome, PickCx, PickError, Tried, backend::IncarnationId};

use crate::{
    runtime::{ClusterTimeouts, site::WorkerCluster, worker::Worker},
    upstream::UpstreamConnection,
};

#[derive(Debug)]
pub(super) struct Flight {
    worker: Rc<Worker>,
    cluster: Rc<WorkerCluster>,
    lease: Lease,
    done: bool,
}

impl Flight {
    /// Picks a backend for a request, none of those that were tried.
    pub(super) fn begin(
        worker: &Rc<Worker>,
        cluster: &Rc<WorkerCluster>,
        tried: &Tried,
    ) -> Result<Self, PickError> {
        let cx = PickCx::new(worker.clock.now(), worker.entropy.next()).avoiding(tried);
        let lease = cluster.kept.handle.borrow_mut().acquire(&cx)?;
        let (worker, cluster) = (Rc::clone(worker), Rc::clone(cluster));
        Ok(Self { worker, cluster, lease, done: false })
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(super) fn incarnation(&self) -> IncarnationId {
        self.lease.incarnation()
    }

    pub(super) fn backend(&self) -> &str {
        self.lease.backend().name()
    }

    pub(super) fn timeouts(&self) -> &ClusterTimeouts {
        &self.cluster.settings.timeouts
    }

    pub(super) fn first_byte(&mut self) {
        let now = self.worker.clock.now();
        self.lease.first_byte(now);
    }

    /// The backend is done with the request; only the first call counts. The
    /// lease goes on until this is dropped.
    pub(super) fn backend_done(&mut self, outcome: Outcome) {
        if !self.done {
            self.done = true;
            // Failures are weighed by their age; of an orderly end the time does
            // not matter.
            let clock = &self.worker.clock;
            let now = if outcome.is_failure() { clock.now() } else { clock.coarse() };
            self.lease.backend_done(outcome, now);
        }
    }

    /// A connection from the pool that looks alive.
    pub(super) fn pooled(&self) -> Option<Box<UpstreamConnection>> {
        self.cluster.kept.pool.take(self.lease.seat(), self.lease.incarnation())
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, connection: Box<UpstreamConnection>) {
        let kept = &self.cluster.kept;
        let whose = self.lease.incarnation();
        let lives = || kept.handle.borrow().snapshot().slot_of(whose).is_some();
        kept.pool.put(self.lease.seat(), whose, lives, connection);
    }

    /// Lets go of the connections that wait for this backend: one of them was
    /// closed, so the others probably are.
    pub(super) fn purge(&self) {
        self.cluster.kept.pool.purge(self.lease.seat(), self.lease.incarnation());
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.backend_done(Outcome::ClientGone);
    }
}
