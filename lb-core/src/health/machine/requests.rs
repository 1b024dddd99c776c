//! What requests say of a backend, and how long it is ejected for that.
//!
//! Failures and errors are weighed apart, as each has a row of its own and a time of its
//! own. A trial that fails prolongs what it tried to end, whichever of the two it was.

use std::time::Duration;

use super::{Kind, Machine, Request, State};
use crate::{
    cluster::Passive,
    health::{
        outlier::Outlier,
        reason::{Failure, Reason},
        transition::Transition,
    },
    time::Tick,
};

impl Machine {
    /// Ejections for failures get longer up to this many times their configured length.
    pub(super) const LONGEST: u32 = 8;

    pub(super) fn request_succeeded(&mut self, request: Request, now: Tick) -> Option<Transition> {
        match self.state {
            State::HalfOpen { .. } if self.is_new(request) => {
                self.trials = 0;
                self.enter(State::Up, Reason::Answered, now)
            }
            State::Up | State::Unknown => {
                if self.is_new(request) {
                    self.trials = 0;
                }
                if !self.answered {
                    self.failed = 0;
                }
                None
            }
            _ => None,
        }
    }

    pub(super) fn request_failed(
        &mut self,
        how: Failure,
        in_a_row: u32,
        request: Request,
        now: Tick,
    ) -> Option<Transition> {
        match (self.state, self.rules.passive) {
            (State::Unknown | State::Up, Passive::Consecutive { failures, eject }) => {
                let reason = Reason::FailuresInARow { count: in_a_row, last: how };
                (in_a_row >= failures).then(|| self.eject(eject, reason, now))?
            }
            (State::Unknown | State::Up, Passive::Windowed { max_fails, fail_timeout }) => {
                let count = self.window.add(now, fail_timeout, max_fails.max(1));
                let reason = Reason::FailuresWithin { count, window: fail_timeout };
                (count >= max_fails).then(|| self.eject(fail_timeout, reason, now))?
            }
            (State::HalfOpen { .. }, _) if self.is_new(request) => self.trial_failed(how, now),
            _ => None,
        }
    }

    pub(super) fn request_erred(
        &mut self,
        how: Failure,
        in_a_row: u32,
        request: Request,
        now: Tick,
    ) -> Option<Transition> {
        match (self.state, self.errors_in_a_row()) {
            (State::Unknown | State::Up, Some(most)) => {
                let reason = Reason::FailuresInARow { count: in_a_row, last: how };
                (in_a_row >= most).then(|| self.eject_outlier(reason, now))?
            }
            (State::HalfOpen { .. }, _) if self.is_new(request) => self.trial_failed(how, now),
            _ => None,
        }
    }

    /// After how many it is ejected; none at all mean the first.
    pub(super) fn errors_in_a_row(&self) -> Option<u32> {
        let most = self.rules.outlier.and_then(|outlier| outlier.consecutive_5xx);
        most.map(|most| most.max(1))
    }

    fn trial_failed(&mut self, how: Failure, now: Tick) -> Option<Transition> {
        self.trials = self.trials.saturating_add(1);
        let reason = Reason::TrialFailed(how);
        match self.kind {
            Kind::Failures => self.eject(self.base(), reason, now),
            Kind::Outlier => self.eject_outlier(reason, now),
        }
    }

    pub(super) fn checks_may_end_it(&self) -> bool {
        self.kind == Kind::Failures && self.trials == 0
    }

    fn is_new(&self, request: Request) -> bool {
        request.trial || request.started >= self.since
    }

    fn eject(&mut self, base: Duration, reason: Reason, now: Tick) -> Option<Transition> {
        let times = 1_u32.checked_shl(self.trials).map_or(Self::LONGEST, |n| n.min(Self::LONGEST));
        self.kind = Kind::Failures;
        self.base = base;
        self.ejection = base.saturating_mul(times);
        self.enter(State::Ejected { until: Some(now + self.ejection) }, reason, now)
    }

    pub(super) fn eject_outlier(&mut self, reason: Reason, now: Tick) -> Option<Transition> {
        // Where nobody looks for outliers any more, a trial of one may still fail.
        let before = Outlier { eject: self.base, ..Outlier::default() };
        let outlier = self.rules.outlier.unwrap_or(before);
        self.kind = Kind::Outlier;
        self.outliers = self.outliers.saturating_add(1);
        self.base = outlier.eject;
        self.ejection = outlier.ejection(self.outliers);
        self.enter(State::Ejected { until: Some(now + self.ejection) }, reason, now)
    }

    /// How long it is ejected without trials that failed.
    pub(super) fn base(&self) -> Duration {
        match self.kind {
            Kind::Failures => self.rules.passive.ejection().unwrap_or(self.base),
            Kind::Outlier => self.base,
        }
    }
}
