//! May a failed attempt be repeated, and where?
//!
//! A connection that was kept open may have been closed by the backend at the
//! very moment it is used again. That is nobody's fault, so it is not a retry:
//! the request is replayed once, on a fresh connection to the same backend,
//! provided it cannot have been carried out or carrying it out twice is
//! harmless. Everything else gets an honest 502; so does a connection that is
//! closed after the backend has had the request for a while, for it was working
//! on it.

use std::time::Duration;

/// How soon after a request was sent a closed connection shows, at the latest: a
/// round trip, generously.
const SOON: Duration = Duration::from_secs(1);

/// What is known about an attempt that failed before the head of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// The connection had served a request before.
    pub(crate) reused: bool,
    /// No byte of the request was written: the message came back.
    pub(crate) unsent: bool,
    /// A byte of an answer was read.
    pub(crate) answered: bool,
    /// The method is idempotent and there was no body.
    pub(crate) repeatable: bool,
    /// The backend took too long. Then it has the request, and it is not stale.
    pub(crate) timed_out: bool,
    /// How long ago the request was handed over.
    pub(crate) age: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// On a fresh connection to the same backend.
    Replay,
    /// As if the connection could not be made: to another backend.
    Elsewhere,
    GiveUp,
}

pub(crate) fn decide(attempt: Attempt) -> Decision {
    match attempt {
        Attempt { timed_out: true, .. } => Decision::GiveUp,
        // Whatever was read then is no answer to it: a farewell, such as a 408.
        Attempt { reused: true, unsent: true, .. } => Decision::Replay,
        Attempt { reused: true, repeatable: true, answered: false, age, .. } if age < SOON => {
            Decision::Replay
        }
        Attempt { reused: false, unsent: true, .. } => Decision::Elsewhere,
        Attempt { .. } => Decision::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Attempt = Attempt {
        reused: true,
        unsent: false,
        answered: false,
        repeatable: true,
        timed_out: false,
        age: Duration::from_millis(1),
    };

    #[test]
    fn a_stale_connection_is_replayed_when_that_is_harmless() {
        assert_eq!(decide(STALE), Decision::Replay);
        assert_eq!(decide(Attempt { unsent: true, repeatable: false, ..STALE }), Decision::Replay);
        assert_eq!(decide(Attempt { repeatable: false, ..STALE }), Decision::GiveUp);
    }

    #[test]
    fn nothing_is_repeated_after_a_byte_of_an_answer() {
        assert_eq!(decide(Attempt { answered: true, ..STALE }), Decision::GiveUp);
    }

    #[test]
    fn a_timeout_is_not_repeated() {
        assert_eq!(decide(Attempt { timed_out: true, ..STALE }), Decision::GiveUp);
    }

    #[test]
    fn a_backend_that_gives_up_late_was_working_on_it() {
        assert_eq!(decide(Attempt { age: SOON, ..STALE }), Decision::GiveUp);
        assert_eq!(decide(Attempt { age: SOON, unsent: true, ..STALE }), Decision::Replay);
    }

    #[test]
    fn a_farewell_on_an_idle_connection_is_no_answer() {
        assert_eq!(decide(Attempt { answered: true, unsent: true, ..STALE }), Decision::Replay);
    }

    #[test]
    fn a_fresh_connection_is_not_stale() {
        let fresh = Attempt { reused: false, ..STALE };
        assert_eq!(decide(fresh), Decision::GiveUp);
        assert_eq!(decide(Attempt { unsent: true, ..fresh }), Decision::Elsewhere);
    }
}
