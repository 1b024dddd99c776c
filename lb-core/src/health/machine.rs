//! The verdict on one incarnation, as a machine whose every input is written down.
//!
//! | in | input | then |
//! |---|---|---|
//! | unknown | a check passes | up |
//! | up, unknown, ejected, half-open | `fall` checks in a row fail | down |
//! | down | `rise` checks in a row pass | up |
//! | up, unknown | requests fail as [`Passive`] says | ejected |
//! | up, unknown | errors in a row, or worse than others, as [`Outlier`] says | ejected |
//! | ejected | its time is over | half-open |
//! | ejected by failures, no trial failed yet | `rise` checks in a row pass | half-open |
//! | half-open | a request succeeds | up |
//! | half-open | a request fails | ejected, longer than before |
//! | half-open | time passes | another request may try it |
//!
//! Everything else changes counts at most. Down wins over ejected: what a check
//! sees is newer. Passed checks count from the beginning of an ejection, or of
//! being down. A request that began before the backend was half-open says nothing
//! about what it is now.
//!
//! What requests found, only a request can refute: a backend may pass its checks and
//! fail all else. So checks end an ejection early, as most of them are about a restart,
//! but in a trial; and not even that once a trial has shown that they do not see what
//! is wrong. For the same reason ejections get longer until a request succeeds.
//!
//! A backend that is an outlier was there all the while: that it passes its checks is no
//! news, and ends no such ejection. Nor does one answer refute it, as it may have been
//! good now and then before; so the next ejection is longer by one `eject`, unless
//! intervals without one lie between, each of which takes one off. An ejection by
//! failures is twice as long after each trial that failed, up to 8 times.
//!
//! A trial may take as long as its client likes to send the request. So its right
//! lapses after the time of an ejection: it still tells what it finds, but meanwhile
//! another may find out sooner.

mod requests;

use std::{sync::Arc, time::Duration};

use super::{
    outlier::Outlier,
    reason::{Failure, Reason},
    transition::{Condition, Transition},
    window::Window,
};
use crate::{
    backend::{Health, IncarnationId},
    cluster::{Passive, Thresholds},
    time::Tick,
};

/// How evidence is weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) passive: Passive,
    pub(crate) checks: Thresholds,
    pub(crate) outlier: Option<Outlier>,
}

/// One piece of evidence.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    CheckPassed,
    CheckFailed {
        reason: Arc<str>,
        /// The backend answered, and its answer was that it is not well. Requests
        /// that succeed do not outweigh this.
        answered: bool,
        /// One more than usual must fail.
        confirm: bool,
    },
    RequestSucceeded(Request),
    RequestFailed {
        how: Failure,
        /// How many in a row have.
        in_a_row: u32,
        request: Request,
    },
    /// As [`Outlier`] counts: also one that was answered.
    RequestErred {
        how: Failure,
        in_a_row: u32,
        request: Request,
    },
    /// It does worse than others, and why.
    Outlier(Reason),
    /// An interval of looking for outliers is over; it took so long.
    IntervalOver(Duration),
    /// Nothing happened, but it is later.
    TimePassed,
    /// Somebody outside decided. Holds until the next evidence to the contrary; an
    /// ejection, until the next verdict or passed checks.
    Verdict(Health),
}

/// What matters of a request besides how it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) started: Tick,
    /// It was let in to try a backend that is half-open, and still is.
    pub(crate) trial: bool,
}

/// Which requests the machine wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarms {
    /// Failed ones, from so many in a row on; `None`: of none.
    pub(crate) failures: Option<u32>,
    /// The next that succeeds.
    pub(crate) success: bool,
    /// Errors, from so many in a row on; `None`: of none.
    pub(crate) errors: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Up,
    Down,
    /// `None`: until somebody says otherwise.
    Ejected {
        until: Option<Tick>,
    },
    HalfOpen {
        /// When the right to try it lapses.
        until: Tick,
    },
}

/// What had it ejected the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failures,
    Outlier,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Machine {
    backend: Arc<str>,
    incarnation: IncarnationId,
    rules: Rules,
    state: State,
    since: Tick,
    reason: Reason,
    /// The latest time it was told.
    clock: Tick,
    /// Checks in a row that passed since the state began.
    passed: u32,
    /// Checks in a row that failed.
    failed: u32,
    /// Whether one of those was answered.
    answered: bool,
    window: Window,
    /// How long the last ejection was to be without trials that failed.
    base: Duration,
    /// How long it was.
    ejection: Duration,
    /// Trials that failed since a request last succeeded.
    trials: u32,
    kind: Kind,
    /// Ejections as an outlier, less the intervals without.
    outliers: u32,
    /// How many rights to try it there were.
    periods: u32,
}

impl Machine {
    /// A trial has at least this long.
    const SHORTEST_TRIAL: Duration = Duration::from_secs(1);

    pub(crate) fn new(
        backend: Arc<str>,
        incarnation: IncarnationId,
        rules: Rules,
        now: Tick,
    ) -> Self {
        Self {
            backend,
            incarnation,
            rules,
            state: State::Unknown,
            since: now,
            reason: Reason::New,
            clock: now,
            passed: 0,
            failed: 0,
            answered: false,
            window: Window::default(),
            base: Passive::EJECTION,
            ejection: Duration::ZERO,
            trials: 0,
            kind: Kind::Failures,
            outliers: 0,
            periods: 0,
        }
    }

    /// Takes in one piece of evidence. A `now` before an earlier one counts as that.
    pub(crate) fn on(&mut self, input: Input, now: Tick) -> Option<Transition> {
        let now = now.max(self.clock);
        self.clock = now;
        match input {
            Input::CheckPassed => self.check_passed(now),
            Input::CheckFailed { reason, answered, confirm } => {
                self.answered |= answered;
                self.check_failed(reason, confirm, now)
            }
            Input::RequestSucceeded(request) => self.request_succeeded(request, now),
            Input::RequestFailed { how, in_a_row, request } => {
                self.request_failed(how, in_a_row, request, now)
            }
            Input::RequestErred { how, in_a_row, request } => {
                self.request_erred(how, in_a_row, request, now)
            }
            Input::Outlier(reason) => {
                self.health().is_usable().then(|| self.eject_outlier(reason, now))?
            }
            Input::IntervalOver(length) => {
                if self.health().is_usable() && now.since(self.since) >= length {
                    self.outliers = self.outliers.saturating_sub(1);
                }
                None
            }
            Input::TimePassed => match self.state {
                State::Ejected { until: Some(until) } if now >= until => {
                    self.half_open(Reason::EjectionOver(self.ejection), now)
                }
                State::HalfOpen { until } if now >= until => {
                    self.state = self.trial(now);
                    None
                }
                _ => None,
            },
            Input::Verdict(health) => self.verdict(health, now),
        }
    }

    /// From now on evidence is weighed like this. An ejection that runs is not
    /// changed.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// When time alone will change something. Never before the time of the last
    /// input.
    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        match self.state {
            State::Ejected { until } => until,
            State::HalfOpen { until } => Some(until),
            _ => None,
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self.state {
            State::Unknown => Health::Unknown,
            State::Up => Health::Up,
            State::Down => Health::Down,
            State::Ejected { .. } => Health::Ejected,
            State::HalfOpen { .. } => Health::HalfOpen,
        }
    }

    /// Which right to try it is in force: another number, another right.
    pub(crate) fn period(&self) -> u32 {
        self.periods
    }

    pub(crate) fn condition(&self) -> Condition {
        Condition {
            backend: Arc::clone(&self.backend),
            incarnation: self.incarnation,
            health: self.health(),
            since: self.since,
            reason: self.reason.clone(),
        }
    }

    /// Whether one more failed check would take it down.
    pub(crate) fn is_about_to_fall(&self) -> bool {
        self.state != State::Down && self.failed + 1 >= self.rules.checks.fall
    }

    /// When checks took it down, if they did.
    pub(crate) fn fell_at(&self) -> Option<Tick> {
        let by_checks = matches!(self.reason, Reason::ChecksFailed { .. });
        (self.state == State::Down && by_checks).then_some(self.since)
    }

    /// Which requests it wants to hear of from now on.
    pub(crate) fn alarms(&self) -> Alarms {
        match self.state {
            State::Unknown | State::Up => Alarms {
                failures: match self.rules.passive {
                    Passive::Off => None,
                    Passive::Consecutive { failures, .. } => Some(failures.max(1)),
                    Passive::Windowed { .. } => Some(1),
                },
                success: (self.failed > 0 && !self.answered) || self.trials > 0,
                errors: self.errors_in_a_row(),
            },
            State::HalfOpen { .. } => Alarms { failures: Some(1), success: true, errors: Some(1) },
            State::Down | State::Ejected { .. } => {
                Alarms { failures: None, success: false, errors: None }
            }
        }
    }

    fn check_passed(&mut self, now: Tick) -> Option<Transition> {
        self.forget_failed_checks();
        self.passed = self.passed.saturating_add(1);
        let reason = Reason::ChecksPassed(self.passed);
        let is_enough = self.passed >= self.rules.checks.rise;
        match self.state {
            State::Unknown => self.enter(State::Up, reason, now),
            State::Down if is_enough => self.enter(State::Up, reason, now),
            State::Ejected { .. } if is_enough && self.checks_may_end_it() => {
                self.half_open(reason, now)
            }
            _ => None,
        }
    }

    fn check_failed(&mut self, last: Arc<str>, confirm: bool, now: Tick) -> Option<Transition> {
        self.passed = 0;
        self.failed = self.failed.saturating_add(1);
        let needed = self.rules.checks.fall.saturating_add(u32::from(confirm));
        if self.state == State::Down || self.failed < needed {
            return None;
        }
        self.enter(State::Down, Reason::ChecksFailed { count: self.failed, last }, now)
    }

    fn half_open(&mut self, reason: Reason, now: Tick) -> Option<Transition> {
        let state = self.trial(now);
        self.enter(state, reason, now)
    }

    /// Half-open, with another right to try it.
    fn trial(&mut self, now: Tick) -> State {
        self.periods = self.periods.wrapping_add(1);
        State::HalfOpen { until: now + self.base().max(Self::SHORTEST_TRIAL) }
    }

    fn verdict(&mut self, health: Health, now: Tick) -> Option<Transition> {
        self.forget_failed_checks();
        self.trials = 0;
        self.kind = Kind::Failures;
        if self.health() == health {
            return None;
        }
        let state = match health {
            Health::Unknown => State::Unknown,
            Health::Up => State::Up,
            Health::Down => State::Down,
            Health::Ejected => State::Ejected { until: None },
            Health::HalfOpen => self.trial(now),
        };
        self.enter(state, Reason::Said, now)
    }

    fn enter(&mut self, state: State, reason: Reason, now: Tick) -> Option<Transition> {
        let from = self.health();
        self.state = state;
        self.since = now;
        self.reason = reason.clone();
        self.passed = 0;
        self.window.clear();
        Some(Transition {
            at: now,
            backend: Arc::clone(&self.backend),
            incarnation: self.incarnation,
            from,
            to: self.health(),
            reason,
        })
    }

    fn forget_failed_checks(&mut self) {
        self.failed = 0;
        self.answered = false;
    }
}

#[cfg(test)]
mod tests;
