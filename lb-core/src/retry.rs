//! How many retries there may be.
//!
//! A limit per request does not help when everything fails: with two tries each,
//! a cluster in trouble gets twice the load. What helps is a limit on all of them
//! together: retries may be a share of the requests. A small floor lets those
//! retry who come alone.

use crate::time::Tick;

/// Retries of the last ten seconds: at most a share of the first attempts of the
/// same time, or a floor where that is more.
///
/// One per worker. Time is cut into seconds, and the present one counts as a whole:
/// the ten seconds are between nine and ten. O(1), without allocation.
///
/// ```
/// use lb_core::{Tick, retry::RetryBudget};
///
/// let mut budget = RetryBudget::new(20, 1);
/// (0..10).for_each(|_| budget.first_attempt(Tick::ZERO));
/// assert!(budget.try_retry(Tick::ZERO) && budget.try_retry(Tick::ZERO));
/// assert!(!budget.try_retry(Tick::ZERO));
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget {
    percent: u8,
    floor: u32,
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

impl RetryBudget {
    /// A budget of `percent` of the first attempts, or `floor` where that is more.
    #[must_use]
    pub fn new(percent: u8, floor: u32) -> Self {
        Self { percent, floor, slots: Default::default(), total: Counts::default(), second: 0 }
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
        let may = self.total.retries < share.max(u64::from(self.floor));
        if may {
            self.slot(now).retries += 1;
            self.total.retries += 1;
        }
        may
    }

    /// Uncounts a retry that was allowed just now, as there was nobody to make it with.
    pub fn give_back(&mut self, now: Tick) {
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

    #[test]
    fn the_floor_holds_without_any_request_and_comes_back() {
        let mut budget = RetryBudget::new(20, 3);
        let mut tries = |secs| (0..9).filter(|_| budget.try_retry(Tick::from_millis(secs))).count();
        assert_eq!(tries(500), 3);
        assert_eq!(tries(9_999), 0);
        assert_eq!(tries(10_000), 3);
    }

    #[test]
    fn a_time_before_the_last_one_counts_as_that() {
        let mut budget = RetryBudget::new(100, 0);
        budget.first_attempt(Tick::from_millis(30_000));
        assert!(budget.try_retry(Tick::from_millis(1_000)));
        assert!(!budget.try_retry(Tick::from_millis(30_000)));
        budget.first_attempt(Tick::from_millis(1_000));
        assert!(budget.try_retry(Tick::from_millis(39_999)));
    }

    #[test]
    fn no_percentage_and_no_floor_is_no_retry() {
        let mut budget = RetryBudget::new(0, 0);
        budget.first_attempt(Tick::ZERO);
        assert!(!budget.try_retry(Tick::ZERO));
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let mut budget = RetryBudget::new(0, 1);
        budget.give_back(Tick::ZERO);
        for _ in 0..3 {
            assert!(budget.try_retry(Tick::ZERO));
            assert!(!budget.try_retry(Tick::ZERO));
            budget.give_back(Tick::ZERO);
        }
    }

    #[test]
    fn another_share_does_not_forget_what_was_counted() {
        let mut budget = RetryBudget::new(100, 0);
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
        retries: Vec<u64>,
    }

    impl Naive {
        fn try_retry(&mut self, second: u64) -> bool {
            let recent = |list: &[u64]| list.iter().filter(|at| **at + 10 > second).count() as u64;
            let share = recent(&self.first) * u64::from(self.percent) / 100;
            let may = recent(&self.retries) < share.max(u64::from(self.floor));
            self.retries.extend(may.then_some(second));
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
            let mut budget = RetryBudget::new(percent, floor);
            let mut naive = Naive { percent, floor, first: Vec::new(), retries: Vec::new() };
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
