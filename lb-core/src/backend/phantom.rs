//! Requests that are over and still weigh: what failures leave behind.
//!
//! A backend that fails at once has nothing in flight, so whoever goes by load alone
//! sends it everything. Therefore each failure counts as one more request in flight
//! for a while. It halves every second, and less than half a request counts as
//! nothing, so that a single failure is over after a second, while a backend that
//! keeps failing gets no more than enough to learn that it still does.
//!
//! Whole numbers only: the amount is kept in 1/256 of a request and decays along
//! straight lines between halvings, so that the same failures weigh the same on
//! every machine, and in replay.

use crate::{
    sync::{AtomicU64, Ordering},
    time::Tick,
};

/// One request, in the unit of pressure.
pub(crate) const ONE: u64 = 1 << 8;
/// Less than this is nothing.
const LEAST: u64 = ONE / 2;
/// More than 65,535 requests it does not become.
const MOST: u64 = (1 << 24) - 1;
/// The amount is in the upper bits, the time in milliseconds in the lower 40, which
/// last for 34 years.
const TIME_BITS: u32 = 40;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// In how many milliseconds it halves, as a power of two: 1,024.
const HALVING_BITS: u32 = 10;

/// An amount and when it was that much, in one word. Written by failures and by the
/// sweep, read by picks; relaxed: it decides nothing alone.
#[derive(Debug)]
pub(crate) struct Phantom(AtomicU64);

impl Phantom {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one failure.
    #[cold]
    pub(crate) fn add(&self, now: Tick) {
        let now = millis(now);
        let more = |word| {
            let amount = (left(word, now) + ONE).min(MOST);
            // Workers' clocks differ a little; the later one is kept.
            Some(amount << TIME_BITS | now.max(word & TIME))
        };
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
    }

    /// What is left of it.
    pub(crate) fn at(&self, now: Tick) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if word == 0 {
            return 0;
        }
        let left = left(word, millis(now));
        if left < LEAST { 0 } else { left }
    }

    /// Whether a failure has left something that no sweep has taken away yet.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Takes away what has decayed.
    pub(crate) fn sweep(&self, now: Tick) {
        let gone = |word| (word != 0 && left(word, millis(now)) < LEAST).then_some(0);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, gone);
    }
}

fn millis(now: Tick) -> u64 {
    (now.as_nanos() / 1_000_000) & TIME
}

/// What is left of `word` at `now`: halved for each whole halving time, and for what
/// remains of the time on the straight line to the next half.
fn left(word: u64, now: u64) -> u64 {
    let (amount, age) = (word >> TIME_BITS, now.saturating_sub(word & TIME));
    let halved = amount.checked_shr(u32::try_from(age >> HALVING_BITS).unwrap_or(u32::MAX));
    let halved = halved.unwrap_or(0);
    let rest = age & ((1 << HALVING_BITS) - 1);
    halved - ((halved * rest) >> (HALVING_BITS + 1))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn after(failures: u32, millis: u64) -> u64 {
        let phantom = Phantom::new();
        for _ in 0..failures {
            phantom.add(Tick::ZERO);
        }
        phantom.at(Tick::from_millis(millis))
    }

    #[test]
    fn a_failure_weighs_one_request_and_halves_every_second() {
        assert_eq!(after(0, 0), 0);
        assert_eq!(after(4, 0), 4 * ONE);
        assert_eq!(after(4, 512), 3 * ONE);
        assert_eq!(after(4, 1_024), 2 * ONE);
        assert_eq!(after(4, 2_048), ONE);
    }

    #[test]
    fn less_than_half_a_request_is_nothing() {
        assert_eq!(after(1, 1_024), LEAST);
        assert_eq!(after(1, 1_050), 0);
        assert_eq!(after(1, u64::MAX / 1_000_000), 0);
    }

    #[test]
    fn it_never_grows_with_time() {
        let amounts: Vec<u64> = (0..10_000).map(|millis| after(1_000, millis)).collect();
        assert!(amounts.is_sorted_by(|before, after| before >= after));
        assert!(amounts[9_000] < 4 * ONE);
    }

    #[test]
    fn failures_without_end_do_not_run_over() {
        let phantom = Phantom::new();
        for _ in 0..100_000 {
            phantom.add(Tick::from_millis(5));
        }
        assert_eq!(phantom.at(Tick::from_millis(5)), MOST);
    }

    #[test]
    fn a_clock_that_lags_takes_nothing_away() {
        let phantom = Phantom::new();
        phantom.add(Tick::from_millis(5_000));
        phantom.add(Tick::from_millis(4_990));
        assert_eq!(phantom.at(Tick::from_millis(4_000)), 2 * ONE);
    }

    #[test]
    fn a_sweep_takes_away_what_has_decayed_and_nothing_else() {
        let phantom = Phantom::new();
        phantom.add(Tick::ZERO);
        phantom.sweep(Tick::from_millis(900));
        assert!(phantom.is_there());
        phantom.sweep(Tick::from_millis(1_100));
        assert!(!phantom.is_there());
    }
}
