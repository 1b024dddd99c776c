//! May a failed attempt be repeated, and where?
//!
//! Two things that look alike are kept apart. A connection that was kept open may
//! have been closed by the backend at the very moment it is used again. That is
//! nobody's fault, so it is not a retry: the request is *replayed* once, on a fresh
//! connection to the same backend, provided it cannot have been carried out, or
//! carrying it out twice is harmless and resets are listed; not, if it is closed after
//! the backend has had the request for a while, for it was working on it. Everything
//! else is a failure, after which the request may go *elsewhere*, as far as [`RetryOn`]
//! says.
//!
//! The first replay of a request takes no token. A backend that closes often after an
//! answer would use up those of real retries, and to one that is down it adds nothing:
//! each takes a kept connection, so there are no more of them than requests that this
//! backend has answered.
//!
//! What a backend may have seen is never sent again unless that is harmless: the
//! method is idempotent, or somebody has said that all are, and there is no body.
//! Nor is anything repeated of which a part of the answer is here. Whether there
//! are tokens left for it is not asked here.

use std::time::Duration;

use super::retry::RetryOn;

/// How soon after a request was sent a closed connection shows, at the latest: a
/// round trip, generously.
const SOON: Duration = Duration::from_secs(1);

/// What is known about an attempt that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) fault: Fault,
    /// The connection had served a request before.
    pub(crate) reused: bool,
    /// No byte of the request was written: the message came back, or there was no
    /// connection.
    pub(crate) unsent: bool,
    /// An earlier connection to this backend may have got it, before the replay.
    pub(crate) went_out: bool,
    /// A byte of an answer was read.
    pub(crate) answered: bool,
    /// Carrying it out twice is harmless, and there was no body.
    pub(crate) repeatable: bool,
    /// There are tries left.
    pub(crate) another: bool,
    /// How long ago the request was handed over.
    pub(crate) age: Duration,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There was no connection.
    Connect,
    /// The connection broke.
    Reset,
    /// What came was no answer.
    Malformed,
    /// The backend took too long. Then it has the request, and it is not stale.
    Timeout,
    /// Nothing, but this status may be on the list.
    Status(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// On a fresh connection to the same backend.
    Replay,
    /// To another backend.
    Elsewhere,
    GiveUp,
}

pub(crate) fn decide(attempt: Attempt, on: &RetryOn) -> Decision {
    if attempt.is_stale() && (attempt.unsent || on.reset) {
        return Decision::Replay;
    }
    let nobody_has_it = attempt.unsent && !attempt.went_out;
    let is_wanted = match attempt.fault {
        Fault::Connect | Fault::Reset | Fault::Malformed if nobody_has_it => on.connect,
        Fault::Connect => on.connect && on.reset,
        Fault::Reset => on.reset && (attempt.unsent || !attempt.answered),
        Fault::Malformed => attempt.unsent && on.reset,
        Fault::Timeout => on.timeout && !attempt.answered,
        Fault::Status(status) => on.statuses.contains(&status),
    };
    if attempt.another && is_wanted && (nobody_has_it || attempt.repeatable) {
        Decision::Elsewhere
    } else {
        Decision::GiveUp
    }
}

impl Attempt {
    fn is_stale(self) -> bool {
        match self.fault {
            // Whatever was read then is no answer to it: a farewell, such as a 408.
            Fault::Reset | Fault::Malformed if self.reused && self.unsent => true,
            Fault::Reset => self.reused && self.repeatable && !self.answered && self.age < SOON,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision::*, Fault::*, *};

    const STALE: Attempt = Attempt {
        fault: Reset,
        reused: true,
        unsent: false,
        went_out: false,
        answered: false,
        repeatable: true,
        another: true,
        age: Duration::from_millis(1),
    };

    fn decided(attempt: Attempt) -> Decision {
        decide(attempt, &RetryOn::default())
    }

    #[test]
    fn a_stale_connection_is_replayed_when_that_is_harmless() {
        assert_eq!(decided(STALE), Replay);
        assert_eq!(decided(Attempt { unsent: true, repeatable: false, ..STALE }), Replay);
        assert_eq!(decided(Attempt { repeatable: false, ..STALE }), GiveUp);
        assert_eq!(decided(Attempt { another: false, ..STALE }), Replay, "it is no retry");
        let unlisted = RetryOn { reset: false, ..RetryOn::default() };
        assert_eq!(decide(STALE, &unlisted), GiveUp);
        assert_eq!(decide(Attempt { unsent: true, ..STALE }, &unlisted), Replay);
    }

    #[test]
    fn nothing_is_repeated_after_a_byte_of_an_answer() {
        for fault in [Reset, Malformed, Timeout] {
            let on = RetryOn { timeout: true, ..RetryOn::default() };
            assert_eq!(decide(Attempt { fault, answered: true, ..STALE }, &on), GiveUp);
        }
    }

    #[test]
    fn a_backend_that_gives_up_late_was_working_on_it() {
        assert_eq!(decided(Attempt { age: SOON, ..STALE }), Elsewhere);
        assert_eq!(decided(Attempt { age: SOON, unsent: true, ..STALE }), Replay);
    }

    #[test]
    fn a_farewell_on_an_idle_connection_is_no_answer() {
        for fault in [Reset, Malformed] {
            assert_eq!(decided(Attempt { fault, answered: true, unsent: true, ..STALE }), Replay);
        }
    }

    /// All that can be known of an attempt over a fresh connection, with what is
    /// done about it: when `connect`, `reset` and `timeout` are listed, and when
    /// they are not.
    #[test]
    fn what_a_backend_may_have_goes_elsewhere_only_if_harmless() {
        let fresh = Attempt { reused: false, ..STALE };
        let unsent = Attempt { unsent: true, ..fresh };
        let post = Attempt { repeatable: false, ..fresh };
        let unsent_post = Attempt { unsent: true, ..post };
        let all = RetryOn { connect: true, reset: true, timeout: true, statuses: [503].into() };
        let none =
            RetryOn { connect: false, reset: false, timeout: false, statuses: Box::default() };
        for (attempt, fault, expected) in [
            (unsent, Connect, Elsewhere),
            (unsent_post, Connect, Elsewhere),
            (Attempt { went_out: true, ..unsent }, Connect, Elsewhere),
            (Attempt { went_out: true, ..unsent_post }, Connect, GiveUp),
            (unsent, Reset, Elsewhere),
            (unsent_post, Reset, Elsewhere),
            (unsent_post, Malformed, Elsewhere),
            (fresh, Reset, Elsewhere),
            (post, Reset, GiveUp),
            (fresh, Malformed, GiveUp),
            (fresh, Timeout, Elsewhere),
            (post, Timeout, GiveUp),
            (fresh, Status(503), Elsewhere),
            (fresh, Status(502), GiveUp),
            (post, Status(503), GiveUp),
        ] {
            let attempt = Attempt { fault, ..attempt };
            assert_eq!(decide(attempt, &all), expected, "{attempt:?}");
            assert_eq!(decide(attempt, &none), GiveUp, "{attempt:?}");
            let last = Attempt { another: false, ..attempt };
            assert_eq!(decide(last, &all), GiveUp, "{last:?}");
        }
    }

    #[test]
    fn each_fault_is_listed_by_its_own_word() {
        let fresh = Attempt { reused: false, ..STALE };
        let unsent = Attempt { fault: Connect, unsent: true, ..fresh };
        let replayed = Attempt { went_out: true, ..unsent };
        let default = RetryOn::default();
        assert_eq!(decided(unsent), Elsewhere);
        assert_eq!(decide(unsent, &RetryOn { reset: false, ..default.clone() }), Elsewhere);
        assert_eq!(decide(replayed, &RetryOn { reset: false, ..default.clone() }), GiveUp);
        assert_eq!(decide(fresh, &RetryOn { connect: false, ..default }), Elsewhere);
        assert_eq!(decided(Attempt { fault: Timeout, ..fresh }), GiveUp);
        assert_eq!(decided(Attempt { fault: Status(503), ..fresh }), GiveUp);
    }
}
