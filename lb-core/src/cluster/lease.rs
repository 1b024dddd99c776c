//! One picked backend, held for one request.

use std::{fmt, mem, sync::Arc};

use super::{
    driver::Report,
    eligibility::Standing,
    holds::{Hold, Holds},
    outcome::Outcome,
};
use crate::{
    backend::{
        Backend, IncarnationId, LoadReport,
        gate::Trial,
        load::{BUSY, HELD},
        tallies::Tallies,
    },
    health::{Failure, Input, Request},
    strategy::{Choice, Needs, Reason},
    time::Tick,
};

/// A request counted in on a backend, until it is dropped.
///
/// It is *busy* until the backend's last byte was read: that is what strategies
/// and ceilings look at. It is *held* until the client's last byte was sent: that
/// is what draining and shutdown wait for. So a client that reads slowly is not
/// the backend's load.
///
/// However the request ends, in an answer, an error, a panic or a future that is
/// dropped half-way, dropping the lease counts it out.
///
/// A request that fails tells so by itself, where that can change the verdict on its
/// backend: then, and only then, ending a lease takes a lock for a moment and wakes
/// whoever drives the cluster.
#[must_use = "dropping a lease ends the request"]
pub struct Lease {
    /// There until it is given back, which ends the lease.
    hold: Option<Arc<Hold>>,
    /// The slot is of the snapshot that it was picked from.
    choice: Choice,
    started: Tick,
    /// What is still counted in.
    phases: u64,
    answered: bool,
    /// From and to the backend, together.
    bytes: u64,
    /// It is the one request that tries a half-open backend.
    trial: Option<Trial>,
}

/// That a request was counted in: what a lease is made of.
pub(super) struct Granted {
    pub(super) choice: Choice,
    pub(super) trial: Option<Trial>,
}

impl Lease {
    #[inline]
    pub(super) fn new(hold: Arc<Hold>, granted: Granted, started: Tick) -> Self {
        let (hold, Granted { choice, trial }) = (Some(hold), granted);
        let (phases, answered, bytes) = (BUSY | HELD, false, 0);
        Self { hold, choice, started, phases, answered, bytes, trial }
    }

    /// Says that the first byte of the answer is here. Only the first call counts, of
    /// this and [`answers`](Self::answers).
    pub fn first_byte(&mut self, now: Tick) {
        self.answers(200, now);
    }

    /// Says that the head of an answer with this status is here. With one that tells of
    /// a [failure](Outcome::is_held_against), the backend does not pass for fast; and where
    /// [`Outlier`] judges, a request that tries an ejected backend is no success.
    ///
    /// [`Outlier`]: crate::health::Outlier
    pub fn answers(&mut self, status: u16, now: Tick) {
        if !mem::replace(&mut self.answered, true) {
            let outcome = Outcome::Status(status);
            let (hold, time) = (self.hold(), now.since(self.started));
            hold.feedback.first_byte(&hold.load, time, outcome.is_held_against(), now);
            if let Some(tallies) = &hold.tallies {
                tallies.observe_latency(time);
            }
            if self.trial.is_some() && !self.is_error(outcome) {
                // It may go on for hours, and the others wait for what it tells.
                self.tell_success(now);
            }
        }
    }

    /// Says how many bytes went to the backend and came from it for this request up to
    /// now. They are counted when the backend is done with it, so that is too late to say.
    pub fn transferred(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Passes on what the backend said of itself.
    pub fn reports(&mut self, report: LoadReport, now: Tick) {
        self.hold().feedback.reports(&self.hold().load, report, now);
    }

    /// What of this request is of use to anybody; telling the rest does no harm, but
    /// finding it out may cost something.
    #[must_use]
    pub fn measures(&self) -> Needs {
        self.hold().feedback.needs
    }

    /// Says that the backend is done with the request; the client need not be.
    /// Only the first call counts.
    pub fn backend_done(&mut self, outcome: Outcome, now: Tick) {
        if self.phases & BUSY != 0 {
            self.end(BUSY, outcome, now);
        }
    }

    /// Says that backend and client are done with the request. Where both are at
    /// about the same time, this is cheaper than the two one after the other; and where
    /// the handle is at hand, [`ClusterHandle::complete`](super::ClusterHandle::complete)
    /// is cheaper still.
    #[inline]
    pub fn complete(mut self, outcome: Outcome, now: Tick) {
        self.end(self.phases, outcome, now);
    }

    /// The same, and gives the hold back to those of the worker, if it is one of theirs.
    #[inline]
    pub(super) fn complete_into(mut self, holds: &[Holds], outcome: Outcome, now: Tick) {
        self.end(self.phases, outcome, now);
        if let Some(hold) = self.hold.take()
            && let Some(holds) = holds.get(self.choice.slot().index())
        {
            holds.give_back(hold);
        }
        // Nothing is left of it.
        mem::forget(self);
    }

    /// The backend to send the request to, as it was described when it was picked.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.hold().backend
    }

    /// Which life of it.
    #[must_use]
    pub fn incarnation(&self) -> IncarnationId {
        self.hold().incarnation
    }

    /// A small number that no other backend of the cluster has as long as this
    /// incarnation is in a snapshot or has a lease: an index for what the caller
    /// keeps per backend. It is given to another incarnation later.
    #[must_use]
    pub fn seat(&self) -> usize {
        self.hold().load.seat().number() as usize
    }

    /// Why this backend.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.choice.reason()
    }

    /// Where the backend stood in the snapshot that it was picked from.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.hold().standing
    }

    /// When it was picked.
    #[must_use]
    pub fn started(&self) -> Tick {
        self.started
    }

    #[inline]
    fn hold(&self) -> &Hold {
        match &self.hold {
            Some(hold) => hold,
            None => unreachable!("a lease that was given back is over"),
        }
    }

    #[inline]
    fn end(&mut self, phases: u64, outcome: Outcome, now: Tick) {
        self.phases &= !phases;
        if phases & BUSY != 0 {
            self.observe(outcome, now);
        }
        self.hold().load.finish(phases);
        if phases & BUSY != 0
            && let Some(trial) = self.trial.take()
        {
            self.hold().load.gate().give_back(trial);
        }
    }

    /// Takes in how it ended, before it is counted out: what failed must not look idle
    /// for a moment.
    #[inline]
    fn observe(&self, outcome: Outcome, now: Tick) {
        if outcome.is_held_against() {
            self.hold().load.hold_against(now);
        }
        let hold = self.hold();
        if hold.feedback.needs.is_metered() {
            let elapsed = now.since(self.started);
            hold.feedback.end(&hold.load, elapsed, self.answered, self.bytes, outcome, now);
        }
        if let Some(tallies) = &hold.tallies {
            self.tally(tallies, outcome, now);
        }
        if self.is_error(outcome) {
            hold.load.end_row();
        } else if let Outcome::Status(_) = outcome {
            if hold.load.forget_failures() || self.is_untold() {
                self.tell_success(now);
            }
        } else if let Some(how) = outcome.failure() {
            self.observe_failure(how, now);
        }
    }

    /// Whether this is an answer that counts as an error here.
    fn is_error(&self, outcome: Outcome) -> bool {
        let is_bad = matches!(outcome, Outcome::Status(_)) && outcome.is_held_against();
        is_bad && self.hold().tallies.is_some()
    }

    fn tally(&self, tallies: &Tallies, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Status(status) if outcome.is_held_against() => {
                self.observe_error(tallies, Failure::Status(status), now);
            }
            Outcome::Status(_) => tallies.observe_success(),
            _ => {
                if let Some(how) = outcome.failure() {
                    self.observe_error(tallies, how, now);
                }
            }
        }
    }

    /// Takes in an error: an answer that says so, or a failure, whose trial
    /// `observe_failure` judges.
    #[cold]
    fn observe_error(&self, tallies: &Tallies, how: Failure, now: Tick) {
        let counted = tallies.observe_error();
        let gate = self.hold().load.gate();
        let is_answer = matches!(how, Failure::Status(_));
        let trial = self.trial.filter(|trial| is_answer && gate.spend(*trial));
        if trial.is_some() || counted.is_some() {
            let request = Request { started: self.started, trial: trial.is_some() };
            let in_a_row = counted.unwrap_or(1);
            let told = self.tell(Input::RequestErred { how, in_a_row, request }, now);
            if let Some(trial) = trial
                && !told
            {
                gate.unspend(trial);
            }
        }
    }

    /// Whether it tries a half-open backend and has not told yet what it found.
    #[inline]
    fn is_untold(&self) -> bool {
        self.trial.is_some() && !self.answered
    }

    #[cold]
    fn observe_failure(&self, how: Failure, now: Tick) {
        let load = &self.hold().load;
        let counted = load.observe_failure(now);
        let trial = self.trial.filter(|trial| load.gate().spend(*trial));
        if trial.is_some() || counted.is_some() {
            let request = Request { started: self.started, trial: trial.is_some() };
            let in_a_row = counted.unwrap_or(1);
            let told = self.tell(Input::RequestFailed { how, in_a_row, request }, now);
            if let Some(trial) = trial
                && !told
            {
                // Nobody will judge it: let another try.
                load.gate().unspend(trial);
            }
        }
    }

    #[cold]
    fn tell_success(&self, now: Tick) {
        let trial = self.trial.is_some_and(|trial| self.hold().load.gate().is_of_now(trial));
        let request = Request { started: self.started, trial };
        self.tell(Input::RequestSucceeded(request), now);
    }

    fn tell(&self, input: Input, at: Tick) -> bool {
        self.hold().driver.report(Report { incarnation: self.hold().incarnation, input, at })
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if self.phases != 0 {
            self.end(self.phases, Outcome::Abandoned, self.started);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("backend", &self.backend().name())
            .field("incarnation", &self.incarnation())
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}

/// A lease that ends while its backend leaves the cluster. Run as those of
/// `backend::load`.
#[cfg(all(test, loom))]
mod races {
    use loom::thread;

    use super::*;
    use crate::{
        backend::{
            load::{Admission, Load},
            meters::Means,
            seat::Seats,
        },
        cluster::{driver::Driver, feedback::Feedback, slots::Slot},
        sync,
    };

    #[test]
    fn a_lease_that_is_dropped_late_leaves_its_seat_clean() {
        loom::model(|| {
            let mut seats = Seats::default();
            seats.track(true);
            let load = sync::Arc::new(Load::new(seats.take()));
            load.reserve(Admission::New, None).unwrap();
            let hold = Hold {
                backend: Arc::new(Backend::new("a")),
                incarnation: IncarnationId::from_number(1),
                load: sync::Arc::clone(&load),
                standing: Standing::In,
                driver: Driver::new(),
                tallies: None,
                feedback: Feedback { needs: Needs::default(), means: Arc::new(Means::new()) },
            };
            let choice = Choice::new(Slot::new(0), Reason::Turn);
            let mut lease = Lease::new(Arc::new(hold), Granted { choice, trial: None }, Tick::ZERO);
            let worker = thread::spawn(move || {
                lease.backend_done(Outcome::Status(200), Tick::ZERO);
                drop(lease);
            });
            drop(load); // the last snapshot that named it
            let next = Load::new(seats.take());
            worker.join().unwrap();
            assert!(next.seat().is_idle());
            assert_eq!((next.busy(), next.held()), (0, 0));
        });
    }
}
