//! How many retries there may be.
//!
//! A limit per request does not help when everything fails: with two tries each,
//! a cluster in trouble gets twice the load. What helps is a limit on all of them
//! together: retries may be a share of the requests. A few more are allowed whoever
//! asks, or a request that comes alone could never be retried.
//!
//! The share is counted per worker, where it costs nothing. The few more are counted
//! over all workers: divided among them, a client whose connection is on one of
//! sixteen workers would have none.

use std::sync::Arc;

use crate::{
    sync::{AtomicU64, Ordering},
    time::Tick,
};

/// Retries of the last ten seconds: at most a share of the first attempts of the
/// same time, and then those of the [`RetryFloor`].
///
/// One per worker. Time is cut into seconds, and the present one counts as a whole:
/// the ten seconds are between nine and ten. O(1), without allocation.
///
/// ```
/// use std::sync::Arc;
///
/// use lb_core::{
///     Tick,
///     retry::{RetryBudget, RetryFloor},
/// };
///
/// let mut budget = RetryBudget::new(20, Arc::new(RetryFloor::new(1)));
/// (0..10).for_each(|_| budget.first_attempt(Tick::ZERO));
/// assert_eq!((0..9).filter(|_| budget.try_retry(Tick::ZERO)).count(), 2 + 1);
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    percent: u8,
    floor: Arc<RetryFloor>,
    /// The last retry that was allowed was one of the floor's.
    was_of_floor: bool,
    /// By second, modulo their number.
    slots: [Counts; SECONDS],
    /// The sum of the slots.
    total: Counts,
    /// The second that is counted in now.
    second: u64,
}

/// How many seconds it looks back.
const SECONDS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    first: u64,
    retries: u64,
}

/// Retries that a cluster may have in any case, so many in each ten seconds, over all
/// workers. Written only where a share was used up: relaxed, as nothing hangs on it.
#[derive(Debug)]
pub struct RetryFloor {
    most: u32,
    /// Which ten seconds it is about, and how many were had in them.
    had: AtomicU64,
}

impl RetryFloor {
    /// So many in ten seconds.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { most, had: AtomicU64::new(0) }
    }

    fn take(&self, now: Tick) -> bool {
        let period = period(now);
        let one_more = |word: u64| {
            let had = if word >> 32 == period { word & COUNT } else { 0 };
            (had < u64::from(self.most)).then_some(period << 32 | (had + 1))
        };
        self.had.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn give_back(&self, now: Tick) {
        let period = period(now);
        let one_less = |word: u64| (word >> 32 == period && word & COUNT > 0).then(|| word - 1);
        let _ = self.had.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }
}

const COUNT: u64 = (1 << 32) - 1;

/// The number of a time's ten seconds.
fn period(now: Tick) -> u64 {
    (now.as_nanos() / 10_000_000_000) & COUNT
}

impl RetryBudget {
    /// A budget of `percent` of the first attempts, and then of `floor`.
    #[must_use]
    pub fn new(percent: u8, floor: Arc<RetryFloor>) -> Self {
        let (slots, total) = (Default::default(), Counts::default());
        Self { percent, floor, was_of_floor: false, slots, total, second: 0 }
    }

    /// Allows another share from now on, of the same counts.
    pub fn set_percent(&mut self, percent: u8) {
        self.percent = percent;
    }

    /// Counts the first attempt of a request.
    pub fn first_attempt(&mut self, now: Tick) {
        self.slot(now).first += 1;
        self.total.first += 1;
    }

    /// Whether one more retry may be made; it is counted then.
    pub fn try_retry(&mut self, now: Tick) -> bool {
        self.slot(now);
        let share = self.total.first.saturating_mul(u64::from(self.percent)) / 100;
        if self.total.retries < share {
            self.slot(now).retries += 1;
            self.total.retries += 1;
            self.was_of_floor = false;
            return true;
        }
        let may = self.floor.take(now);
        self.was_of_floor |= may;
        may
    }

    /// Uncounts a retry that was allowed just now, as there was nobody to make it with.
    pub fn give_back(&mut self, now: Tick) {
        if self.was_of_floor {
            return self.floor.give_back(now);
        }
        let slot = self.slot(now);
        if let Some(left) = slot.retries.checked_sub(1) {
            slot.retries = left;
            self.total.retries -= 1;
        }
    }

    /// The counts of the present second, after forgetting those that have become
    /// too old. A time before the last one counts as that.
    fn slot(&mut self, now: Tick) -> &mut Counts {
        let second = (now.as_nanos() / 1_000_000_000).max(self.second);
        for passed in 1..=(second - self.second).min(SECONDS as u64) {
            let old = std::mem::take(&mut self.slots[position(self.second + passed)]);
            self.total.first -= old.first;
            self.total.retries -= old.retries;
        }
        self.second = second;
        &mut self.slots[position(second)]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder below ten")]
fn position(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn budget(percent: u8, floor: u32) -> RetryBudget {
        RetryBudget::new(percent, Arc::new(RetryFloor::new(floor)))
    }

    #[test]
    fn the_floor_is_one_for_all_workers() {
        let floor = Arc::new(RetryFloor::new(3));
        let worker = || RetryBudget::new(20, Arc::clone(&floor));
        let (mut one, mut other) = (worker(), worker());
        assert!((0..3).all(|_| one.try_retry(Tick::ZERO)), "one may have it all");
        assert!(!other.try_retry(Tick::ZERO));
        (0..5).for_each(|_| other.first_attempt(Tick::ZERO));
        assert!(other.try_retry(Tick::ZERO), "a share is one's own");
    }

    #[test]
    fn the_floor_holds_without_any_request_and_comes_back() {
        let mut budget = budget(20, 3);
        let mut tries = |secs| (0..9).filter(|_| budget.try_retry(Tick::from_millis(secs))).count();
        assert_eq!(tries(500), 3);
        assert_eq!(tries(9_999), 0);
        assert_eq!(tries(10_000), 3);
    }

    #[test]
    fn a_time_before_the_last_one_counts_as_that() {
        let mut budget = budget(100, 0);
        budget.first_attempt(Tick::from_millis(30_000));
        assert!(budget.try_retry(Tick::from_millis(1_000)));
        assert!(!budget.try_retry(Tick::from_millis(30_000)));
        budget.first_attempt(Tick::from_millis(1_000));
        assert!(budget.try_retry(Tick::from_millis(39_999)));
    }

    #[test]
    fn no_percentage_and_no_floor_is_no_retry() {
        let mut budget = budget(0, 0);
        budget.first_attempt(Tick::ZERO);
        assert!(!budget.try_retry(Tick::ZERO));
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let mut budget = budget(0, 1);
        budget.give_back(Tick::ZERO);
        for _ in 0..3 {
            assert!(budget.try_retry(Tick::ZERO));
            assert!(!budget.try_retry(Tick::ZERO));
            budget.give_back(Tick::ZERO);
        }
    }

    #[test]
    fn another_share_does_not_forget_what_was_counted() {
        let mut budget = budget(100, 0);
        (0..4).for_each(|_| budget.first_attempt(Tick::ZERO));
        assert!(budget.try_retry(Tick::ZERO));
        budget.set_percent(50);
        assert!(budget.try_retry(Tick::ZERO));
        assert!(!budget.try_retry(Tick::ZERO), "half of four, and two were had");
    }

    /// Remembers everything and counts it each time.
    struct Naive {
        percent: u8,
        floor: u32,
        first: Vec<u64>,
        /// By the share, and by the floor.
        retries: [Vec<u64>; 2],
    }

    impl Naive {
        fn try_retry(&mut self, second: u64) -> bool {
            let recent = |list: &[u64]| list.iter().filter(|at| **at + 10 > second).count() as u64;
            let share = recent(&self.first) * u64::from(self.percent) / 100;
            let of_share = recent(&self.retries[0]) < share;
            let same = self.retries[1].iter().filter(|at| **at / 10 == second / 10).count();
            let may = of_share || same < self.floor as usize;
            self.retries[usize::from(!of_share)].extend(may.then_some(second));
            may
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_decides_as_if_it_remembered_everything(
            percent in 0..=100_u8,
            floor in 0..5_u32,
            events in prop::collection::vec((any::<bool>(), 0..3_000_u64), 0..400),
            jump in 0..30_000_u64,
        ) {
            let mut budget = budget(percent, floor);
            let mut naive = Naive { percent, floor, first: Vec::new(), retries: Default::default() };
            let (mut millis, half) = (0, events.len() / 2);
            for (index, (first, later)) in events.into_iter().enumerate() {
                // Most are close together, some far apart.
                millis += if index == half { jump } else { later * later / 3_000 };
                let now = Tick::from_millis(millis);
                if first {
                    budget.first_attempt(now);
                    naive.first.push(millis / 1_000);
                } else {
                    prop_assert_eq!(budget.try_retry(now), naive.try_retry(millis / 1_000));
                }
            }
        }
    }
}
