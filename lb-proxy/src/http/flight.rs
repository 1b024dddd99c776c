//! A request that is with a backend.
//!
//! Holds the lease. Whoever drops this before the backend was done has given up
//! on the request, and the only one who does that without saying so is hyper,
//! when the client's connection ends. So a drop means: the client went away.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use lb_core::{Lease, Outcome, PickCx, PickError, Tick, backend::IncarnationId};

use super::{
    attempts::{Attempts, Entry},
    binder::{Bound, Stickiness},
    load_report,
    status::Trouble,
};
use crate::{
    observe::meter::Metered,
    runtime::{ClusterTimeouts, site::WorkerCluster, worker::Worker},
    upstream::{Traffic, UpstreamConnection},
};

#[derive(Debug)]
pub(super) struct Flight {
    worker: Rc<Worker>,
    cluster: Rc<WorkerCluster>,
    /// There until this is dropped.
    lease: Option<Lease>,
    /// Where it is counted.
    metered: Rc<Metered>,
    answered: bool,
    done: bool,
    /// The backend has said that it closes the connection after its answer.
    may_hang_up: bool,
    /// What goes through its connection, if somebody wants to know.
    traffic: Option<Rc<Traffic>>,
    /// What went through others, which were stale.
    moved: u64,
    entry: Entry,
}

const HELD: &str = "a flight has its lease for life";

impl Flight {
    /// Picks a backend for a request.
    pub(super) fn begin(
        worker: &Rc<Worker>,
        cluster: &Rc<WorkerCluster>,
        cx: &PickCx<'_>,
        attempts: &Rc<Attempts>,
    ) -> Result<Self, PickError> {
        let lease = cluster.kept.handle.borrow_mut().acquire(cx)?;
        let metered = cluster.kept.meters.of(&lease);
        let entry = Entry::begin(attempts, &lease, &metered);
        let (worker, cluster) = (Rc::clone(worker), Rc::clone(cluster));
        Ok(Self {
            worker,
            cluster,
            lease: Some(lease),
            metered,
            answered: false,
            done: false,
            may_hang_up: false,
            traffic: None,
            moved: 0,
            entry,
        })
    }

    pub(super) fn lease(&self) -> &Lease {
        self.lease.as_ref().expect(HELD)
    }

    fn lease_mut(&mut self) -> &mut Lease {
        self.lease.as_mut().expect(HELD)
    }

    pub(super) fn incarnation(&self) -> IncarnationId {
        self.lease().incarnation()
    }

    pub(super) fn backend(&self) -> &str {
        self.lease().backend().name()
    }

    pub(super) fn timeouts(&self) -> &ClusterTimeouts {
        &self.cluster.settings.timeouts
    }

    /// There is a connection that was not at hand.
    pub(super) fn connected(&self) {
        self.entry.note(|entry| entry.connect = Some(self.worker.clock.now().since(entry.started)));
    }

    /// It is about to be sent on this connection.
    pub(super) fn goes_out(&mut self, connection: &UpstreamConnection) {
        if self.lease().measures().traffic {
            self.moved += self.traffic.take().map_or(0, |traffic| traffic.bytes());
            self.traffic = Some(Rc::clone(connection.traffic()));
        }
    }

    /// The head of something is here that claims to be an answer.
    pub(super) fn first_byte(&self, status: u16) -> Tick {
        let now = self.worker.clock.now();
        self.entry.note(|entry| {
            entry.first_byte = Some(now.since(entry.started));
            entry.status = Some(status);
        });
        now
    }

    /// It is one. Not before that is known is anything told of the backend by it: one that
    /// is half-open would be back at once.
    pub(super) fn answers(&mut self, status: u16, came: Tick) {
        self.lease_mut().answers(status, came);
        self.answered = true;
        let is_error = Outcome::Status(status).is_held_against();
        self.metered.meter.answers(came.since(self.lease().started()), is_error);
    }

    /// The backend has a client of this session, for as long as its cluster binds it.
    pub(super) fn saw(&self, session: u64) {
        let (window, now) = (self.cluster.remembers, self.worker.clock.unix());
        self.metered.meter.saw(session, window, now.as_secs());
    }

    /// Takes from the head of an answer what the backend reports of its load.
    pub(super) fn takes_report(&mut self, headers: &mut HeaderMap) {
        let Some(settings) = &self.cluster.settings.reports else { return };
        if self.lease().measures().reports {
            let kept = &self.cluster.kept;
            let report = load_report::heed(settings, headers, &kept.tally, &self.cluster.name);
            if let (Some(report), Some(lease)) = (report, &mut self.lease) {
                lease.reports(report, self.worker.clock.coarse());
            }
        }
        settings.remove(headers);
    }

    /// The same of a part of its body, which may be trailers.
    pub(super) fn passes_on(&mut self, frame: &mut Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_mut() {
            self.takes_report(trailers);
        }
    }

    /// Tells the client to whom it is bound, where that is news.
    pub(super) fn bind(
        &self,
        bound: Option<&Bound>,
        headers: &mut HeaderMap,
    ) -> Option<Stickiness> {
        let binder = self.cluster.binder.as_ref()?;
        Some(binder.bind(bound, self.lease(), headers, self.worker.clock.unix()))
    }

    /// The request goes out once more, as the connection was stale; so are others.
    pub(super) fn replays(&self) {
        self.entry.note(|entry| entry.replayed = true);
        self.cluster.kept.tally.replays.add();
        self.purge();
    }

    /// The backend is done with the request, and has not answered it.
    pub(super) fn fails(&mut self, trouble: Trouble, outcome: Outcome) {
        self.entry.note(|entry| entry.error = Some(trouble.verdict().word));
        self.backend_done(outcome);
    }

    /// The backend has said that it closes the connection after its answer.
    pub(super) fn announces_end(&mut self) {
        self.may_hang_up = true;
    }

    pub(super) fn may_hang_up(&self) -> bool {
        self.may_hang_up
    }

    /// The backend is done with the request; only the first call counts. The
    /// lease goes on until this is dropped.
    pub(super) fn backend_done(&mut self, outcome: Outcome) {
        if !self.done {
            self.done = true;
            // Failures are weighed by their age; of an orderly end the time mostly
            // does not matter.
            let clock = &self.worker.clock;
            let is_timed = outcome.is_failure() || self.lease().measures().response_time;
            let now = if is_timed { clock.now() } else { clock.coarse() };
            if let Some(traffic) = self.traffic.take() {
                let bytes = self.moved + traffic.bytes();
                self.lease_mut().transferred(bytes);
            }
            self.lease_mut().backend_done(outcome, now);
            self.count(outcome);
            let clock = &self.worker.clock;
            let now = if self.entry.is_logged() { clock.now() } else { clock.coarse() };
            self.entry.note(|entry| entry.ends(outcome, now));
        }
    }

    /// Counts what was not counted with the head of an answer.
    fn count(&self, outcome: Outcome) {
        let is_error = outcome.is_failure();
        if !self.answered {
            self.metered.meter.ends_unanswered(is_error);
        } else if is_error {
            // The client has got the head of this answer.
            self.metered.meter.errs();
            self.cluster.kept.meters.whole.errs();
        }
    }

    /// A connection from the pool that looks alive.
    pub(super) fn pooled(&self) -> Option<Box<UpstreamConnection>> {
        self.cluster.kept.pool.take(self.lease().seat(), self.lease().incarnation())
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, connection: Box<UpstreamConnection>) {
        let kept = &self.cluster.kept;
        let whose = self.lease().incarnation();
        let lives = || kept.handle.borrow().snapshot().slot_of(whose).is_some();
        kept.pool.put(self.lease().seat(), whose, lives, connection);
    }

    /// Lets go of the connections that wait for this backend: one of them was
    /// closed, so the others probably are.
    fn purge(&self) {
        self.cluster.kept.pool.purge(self.lease().seat(), self.lease().incarnation());
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.done && !self.answered {
            // Nobody is left to be answered.
            self.cluster.kept.meters.whole.ends_unanswered(false);
        }
        self.backend_done(Outcome::ClientGone);
        // The worker has use for what the lease held on to. Whoever drops flights while
        // it picks does without.
        if let Some(lease) = self.lease.take()
            && let Ok(mut handle) = self.cluster.kept.handle.try_borrow_mut()
        {
            handle.complete(lease, Outcome::ClientGone, self.worker.clock.coarse());
        }
    }
}
