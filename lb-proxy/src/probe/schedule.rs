//! Which check is next: pure, with time as an argument.
//!
//! A target is checked soon after it became known, within a second, because until
//! then it is used unseen. From then on it has a phase of its own within the
//! interval. Every wait is shortened by up to a tenth, so that targets that fell into
//! step, say after this process stood still, fall out of it again. None is stretched:
//! a number of checks in a row takes no longer than as many intervals.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lb_core::{Tick, sample::mix};

/// The time between two starts of checks, over all targets: 2,000 a second.
pub(super) const SPACING: Duration = Duration::from_micros(500);
/// How much of the time in which nobody was taken is made up for at once: timers are
/// a millisecond late or two.
const MADE_UP_NANOS: u64 = 5_000_000;
/// How soon a target is checked that nobody has looked at.
const SOON: Duration = Duration::from_secs(1);

/// Names a target; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TargetId(pub(super) u64);

/// When each target is due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: BTreeSet<(Tick, TargetId)>,
    /// The same by target: each is due once.
    at: BTreeMap<TargetId, Tick>,
    /// No check starts before this.
    not_before: Tick,
}

impl Schedule {
    /// A target that nobody has looked at. `phase` is any number that stays with it.
    pub(super) fn first(&mut self, target: TargetId, phase: u64, interval: Duration, now: Tick) {
        self.put(target, now + part(interval.min(SOON), phase));
    }

    /// A target whose check began at `started`, `interval` after which it is checked
    /// again. `count`: how often it was checked. Replaces what was planned for it.
    pub(super) fn again(
        &mut self,
        target: TargetId,
        phase: u64,
        interval: Duration,
        count: u64,
        started: Tick,
    ) {
        let jitter = part(interval / 10, mix(phase ^ count));
        // The second check moves it from its place in the first second to its place
        // in the interval.
        let shift = if count == 1 { part(interval, phase) / 2 } else { Duration::ZERO };
        let wait = interval.saturating_sub(jitter).saturating_sub(shift);
        self.put(target, started + wait);
    }

    /// Whether a target waits, rather than being checked just now.
    pub(super) fn has(&self, target: TargetId) -> bool {
        self.at.contains_key(&target)
    }

    fn put(&mut self, target: TargetId, at: Tick) {
        if let Some(before) = self.at.insert(target, at) {
            self.due.remove(&(before, target));
        }
        self.due.insert((at, target));
    }

    /// The next target that is due, if any is by now and the rate allows it.
    pub(super) fn take(&mut self, now: Tick) -> Option<TargetId> {
        if now < self.not_before {
            return None;
        }
        let (due, target) = *self.due.first()?;
        if now < due {
            return None;
        }
        self.due.pop_first();
        self.at.remove(&target);
        let earliest = Tick::from_nanos(now.as_nanos().saturating_sub(MADE_UP_NANOS));
        self.not_before = self.not_before.max(earliest) + SPACING;
        Some(target)
    }

    /// When to ask again.
    pub(super) fn next(&self) -> Option<Tick> {
        self.due.first().map(|(due, _)| (*due).max(self.not_before))
    }
}

/// The part of `whole` that `phase` stands for, as a share of all numbers.
fn part(whole: Duration, phase: u64) -> Duration {
    let nanos = (u128::from(phase) * whole.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A phase from an address: FNV-1a, mixed.
pub(super) fn phase_of(address: &str) -> u64 {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(address.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn taken(schedule: &mut Schedule) -> Vec<(TargetId, Tick)> {
        let mut taken = Vec::new();
        while let Some(at) = schedule.next() {
            taken.extend(schedule.take(at).map(|target| (target, at)));
        }
        taken
    }

    #[test]
    fn new_targets_are_spread_over_the_first_second() {
        let mut schedule = Schedule::default();
        let now = Tick::ZERO + 5 * SECOND;
        for target in 0..100 {
            let phase = phase_of(&format!("10.0.0.{target}:80"));
            schedule.first(TargetId(target), phase, 30 * SECOND, now);
        }
        let taken = taken(&mut schedule);
        assert_eq!(taken.len(), 100);
        assert!(taken.iter().all(|(_, at)| *at >= now && *at <= now + SECOND + 100 * SPACING));
        let first_half = taken.iter().filter(|(_, at)| *at < now + SECOND / 2).count();
        assert!((30..=70).contains(&first_half), "{first_half} of 100");
    }

    #[test]
    fn checks_start_no_faster_than_the_rate() {
        let mut schedule = Schedule::default();
        for target in 0..1_000 {
            schedule.first(TargetId(target), 0, SECOND, Tick::ZERO);
        }
        let taken = taken(&mut schedule);
        let gaps = taken.windows(2).map(|pair| pair[1].1.since(pair[0].1));
        assert_eq!(gaps.min(), Some(SPACING));
        assert_eq!(taken.last().map(|(_, at)| at.since(Tick::ZERO)), Some(999 * SPACING));
    }

    #[test]
    fn a_late_timer_is_made_up_for_and_a_long_standstill_is_not() {
        let mut schedule = Schedule::default();
        for target in 0..1_000 {
            schedule.first(TargetId(target), 0, SECOND, Tick::ZERO);
        }
        let mut taken = |ms| {
            let now = Tick::from_millis(ms);
            std::iter::from_fn(|| schedule.take(now)).count()
        };
        assert_eq!(taken(0), 1);
        assert_eq!(taken(2), 4);
        assert_eq!(taken(2), 0);
        assert_eq!(taken(10_000), 11, "those of the last 5 ms");
    }

    #[test]
    fn a_target_is_due_once_whatever_was_planned_before() {
        let mut schedule = Schedule::default();
        schedule.again(TargetId(1), 0, 30 * SECOND, 2, Tick::ZERO);
        schedule.again(TargetId(1), 0, SECOND, 2, Tick::ZERO);
        assert!(schedule.has(TargetId(1)));
        let taken = taken(&mut schedule);
        assert_eq!(taken.len(), 1);
        assert!(taken[0].1 <= Tick::ZERO + SECOND);
        assert!(!schedule.has(TargetId(1)));
    }

    #[test]
    fn a_target_keeps_its_phase_and_two_have_different_ones() {
        assert_eq!(phase_of("10.0.0.1:80"), phase_of("10.0.0.1:80"));
        assert_ne!(phase_of("10.0.0.1:80"), phase_of("10.0.0.2:80"));
    }

    proptest! {
        #[test]
        fn the_next_check_is_an_interval_away_or_up_to_a_tenth_less(
            phase: u64, count in 2_u64.., seconds in 1_u32..3_600,
        ) {
            let mut schedule = Schedule::default();
            let interval = seconds * SECOND;
            schedule.again(TargetId(0), phase, interval, count, Tick::ZERO);
            let wait = schedule.next().unwrap().since(Tick::ZERO);
            prop_assert!(wait >= interval - interval / 10, "{wait:?}");
            prop_assert!(wait <= interval, "{wait:?}");
        }

        #[test]
        fn the_second_check_is_never_later_than_the_others(phase: u64, seconds in 1_u32..3_600) {
            let mut schedule = Schedule::default();
            let interval = seconds * SECOND;
            schedule.again(TargetId(0), phase, interval, 1, Tick::ZERO);
            let wait = schedule.next().unwrap().since(Tick::ZERO);
            prop_assert!(wait >= interval * 2 / 5 && wait <= interval, "{wait:?}");
        }
    }
}
