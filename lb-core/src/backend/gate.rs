//! One request at a time: the gate in front of a half-open backend.
//!
//! The gate is one word. While it stands open, a request pays one look at it. While
//! it is shut there is one token, over all workers: whoever gets it may try the
//! backend, everybody else is sent on. The token comes back when the trial ends in
//! nothing that tells (the client went away), or well. It does *not* come back when
//! the trial failed: until the verdict on that is in, nobody else need fail.
//!
//! Each time the gate is shut, and when a trial takes too long, the token gets another
//! number, so that a trial that outlasts the period it was for can't hand back the token
//! of the next one.

use std::num::NonZeroU32;

use crate::sync::{AtomicU32, Ordering};

/// Nobody has the token.
const FREE: u32 = 1;
/// Somebody tries the backend.
const TAKEN: u32 = 2;
/// Somebody tried it, and it failed.
const SPENT: u32 = 3;
/// The place of the token's number, of which the gate keeps the last 30 bits.
const NUMBER: u32 = 4;
const OPEN: u32 = 0;
const STATE: u32 = 3;

/// The right to try a half-open backend. Never zero, so that an optional one takes
/// no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trial(NonZeroU32);

/// The word in the backend's load: shut and opened by whoever publishes, read by
/// every request, written by those that get to it while it is shut. Acquire and
/// release, so that a trial sees what the one before it left.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU32);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(OPEN))
    }

    /// Lets one request at a time through from now on; changes nothing about a gate
    /// that is shut already.
    pub(crate) fn shut(&self) {
        if self.0.load(Ordering::Acquire) & STATE == OPEN {
            let _ = self.update(|word| Some(renewed(word)));
        }
    }

    /// Begins another period of trials where the gate is still shut from the one
    /// before, with a token that nobody has.
    pub(crate) fn renew(&self) {
        let _ = self.update(|word| (word & STATE != OPEN).then(|| renewed(word)));
    }

    /// Lets everybody through.
    pub(crate) fn open(&self) {
        if self.0.load(Ordering::Acquire) & STATE != OPEN {
            let _ = self.update(|word| Some(word & !STATE));
        }
    }

    /// Whether one request at a time is let through.
    #[inline]
    pub(crate) fn is_shut(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STATE != OPEN
    }

    /// Whether a request that gets there now would be sent on.
    #[inline]
    pub(crate) fn is_occupied(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STATE > FREE
    }

    /// Lets a request through, with the token if there is one to be had; `Err` when
    /// another request has it.
    #[inline]
    pub(crate) fn pass(&self) -> Result<Option<Trial>, ()> {
        if self.0.load(Ordering::Acquire) & STATE == OPEN {
            return Ok(None);
        }
        self.take()
    }

    #[cold]
    fn take(&self) -> Result<Option<Trial>, ()> {
        let taken = |word: u32| match word & STATE {
            OPEN => Some(word),
            FREE => Some(word - FREE + TAKEN),
            _ => None,
        };
        let before = self.update(taken).map_err(|_| ())?;
        Ok(if before & STATE == FREE {
            NonZeroU32::new(before - FREE + TAKEN).map(Trial)
        } else {
            None
        })
    }

    /// Ends a trial that did not fail. Without effect when the gate was opened or
    /// shut anew in the meantime.
    pub(crate) fn give_back(&self, trial: Trial) {
        let free = |word: u32| (word == trial.0.get()).then_some(word - TAKEN + FREE);
        let _ = self.update(free);
    }

    /// Ends a trial that failed; says whether it was one of the present period.
    pub(crate) fn spend(&self, trial: Trial) -> bool {
        self.update(|word| (word == trial.0.get()).then_some(word - TAKEN + SPENT)).is_ok()
    }

    /// Takes back that the trial failed, because nobody will hear of it.
    pub(crate) fn unspend(&self, trial: Trial) {
        let spent = trial.0.get() - TAKEN + SPENT;
        let _ = self.update(|word| (word == spent).then_some(word - SPENT + FREE));
    }

    /// Whether `trial` is of the present period.
    pub(crate) fn is_of_now(&self, trial: Trial) -> bool {
        self.0.load(Ordering::Acquire) == trial.0.get()
    }

    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> Result<u32, u32> {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
    }
}

fn renewed(word: u32) -> u32 {
    (word & !STATE).wrapping_add(NUMBER) | FREE
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_open_gate_lets_everybody_through_and_a_shut_one_one_at_a_time() {
        let gate = Gate::new();
        assert_eq!([gate.pass(), gate.pass()], [Ok(None), Ok(None)]);
        gate.shut();
        let trial = gate.pass().unwrap().unwrap();
        assert_eq!(gate.pass(), Err(()));
        gate.give_back(trial);
        assert!(gate.pass().unwrap().is_some());
        gate.open();
        assert_eq!(gate.pass(), Ok(None));
    }

    #[test]
    fn after_a_trial_that_failed_nobody_gets_through_until_the_next_period() {
        let gate = Gate::new();
        gate.shut();
        let trial = gate.pass().unwrap().unwrap();
        assert!(gate.spend(trial));
        gate.shut();
        assert_eq!(gate.pass(), Err(()));
        gate.renew();
        assert!(gate.pass().unwrap().is_some());
    }

    #[test]
    fn a_trial_of_an_earlier_period_changes_nothing() {
        let gate = Gate::new();
        gate.shut();
        let old = gate.pass().unwrap().unwrap();
        gate.open();
        gate.give_back(old);
        assert_eq!(gate.pass(), Ok(None));
        gate.shut();
        let new = gate.pass().unwrap().unwrap();
        assert!(!gate.is_of_now(old) && gate.is_of_now(new));
        gate.give_back(old);
        assert!(!gate.spend(old));
        assert_eq!(gate.pass(), Err(()), "the new one is still out");
    }

    #[test]
    fn another_period_of_trials_does_not_shut_an_open_gate() {
        let gate = Gate::new();
        gate.renew();
        assert_eq!([gate.pass(), gate.pass()], [Ok(None), Ok(None)]);
    }

    #[test]
    fn numbers_of_tokens_start_over_and_leave_the_state_alone() {
        let gate = Gate(AtomicU32::new(!STATE));
        gate.shut();
        assert_eq!(gate.pass().map(|trial| trial.is_some()), Ok(true));
        assert!(gate.is_occupied());
    }
}
