//! Slow start: a backend that comes or returns gets its share little by little.
//!
//! The share grows in ten steps over the window, each a revision of the snapshot. As
//! weights are whole numbers, all are multiplied by ten while anybody ramps. There is
//! no ramp in a group (mostly the tier in use) of which more than half would ramp at once:
//! who would take the rest?

use std::{collections::BTreeMap, time::Duration};

use super::{groups::GroupId, policy::SlowStart};
use crate::time::Tick;

const STEPS: u32 = 10;

/// What the weight in force of a backend depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) weight: u32,
    /// Who shares with it.
    pub(super) group: Option<GroupId>,
    /// Whether it takes its share of requests.
    pub(super) in_use: bool,
    pub(super) ramps_since: Option<Tick>,
}

/// Weights in force, and when they change next.
#[derive(Debug, PartialEq)]
pub(super) struct Ramp {
    pub(super) weights: Vec<u32>,
    /// How many times the decided ones they are, but for those who ramp.
    pub(super) scale: u32,
    pub(super) next_step: Option<Tick>,
}

impl Ramp {
    /// The weights at `now`. O(n).
    pub(super) fn at(shares: &[Share], slow_start: Option<SlowStart>, now: Tick) -> Self {
        let ramping: Vec<Option<(SlowStart, Tick)>> = match slow_start {
            Some(slow_start) => ramping(shares, slow_start, now),
            None => vec![None; shares.len()],
        };
        let scale = if ramping.iter().any(Option::is_some) { STEPS } else { 1 };
        let weights = shares.iter().zip(&ramping).map(|(share, ramp)| match ramp {
            Some((slow_start, since)) => {
                let (step, length) = step(*slow_start, *since, now);
                part_of(share.weight * scale, slow_start.part(length * step))
            }
            None => share.weight * scale,
        });
        let next = ramping.iter().flatten().map(|(slow_start, since)| {
            let (step, length) = step(*slow_start, *since, now);
            if step + 1 == STEPS {
                *since + slow_start.window
            } else {
                *since + length * (step + 1)
            }
        });
        Self { weights: weights.collect(), scale, next_step: next.min() }
    }
}

/// Who ramps.
fn ramping(shares: &[Share], slow_start: SlowStart, now: Tick) -> Vec<Option<(SlowStart, Tick)>> {
    let of = |share: &Share| {
        let since = share.ramps_since.filter(|_| share.in_use)?;
        (now.since(since) < slow_start.window).then_some((slow_start, since))
    };
    let mut groups: BTreeMap<Option<GroupId>, (usize, usize)> = BTreeMap::new();
    for share in shares.iter().filter(|share| share.in_use) {
        let (total, ramping) = groups.entry(share.group).or_default();
        *total += 1;
        *ramping += usize::from(of(share).is_some());
    }
    let most_stay = |share: &Share| {
        groups.get(&share.group).is_some_and(|(total, ramping)| ramping * 2 <= *total)
    };
    shares.iter().map(|share| of(share).filter(|_| most_stay(share))).collect()
}

/// Which step of the ramp it is, from 0, and how long a step takes.
fn step(slow_start: SlowStart, since: Tick, now: Tick) -> (u32, Duration) {
    let length = (slow_start.window / STEPS).max(Duration::from_nanos(1));
    let steps = now.since(since).as_nanos() / length.as_nanos();
    (u32::try_from(steps).unwrap_or(STEPS).min(STEPS - 1), length)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a weight is between 0 and that weight"
)]
fn part_of(weight: u32, part: f64) -> u32 {
    ((f64::from(weight) * part).round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Share = Share { weight: 1, group: None, in_use: true, ramps_since: None };
    const NEW: Share = Share { ramps_since: Some(Tick::from_millis(5_000)), ..OLD };

    fn at(shares: &[Share], millis: u64) -> Ramp {
        let slow_start = Some(SlowStart::over(Duration::from_secs(20)));
        Ramp::at(shares, slow_start, Tick::from_millis(5_000 + millis))
    }

    #[test]
    fn a_ramp_has_ten_steps_and_then_weights_are_what_they_were() {
        let mut now = 0;
        let mut weights = Vec::new();
        while let Some(next) = at(&[OLD, NEW], now).next_step {
            let ramp = at(&[OLD, NEW], now);
            assert_eq!(ramp.weights[0], 10);
            weights.push(ramp.weights[1]);
            now = next.since(Tick::from_millis(5_000)).as_millis().try_into().unwrap();
        }
        assert_eq!(weights, [1, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(now, 20_000);
        assert_eq!(at(&[OLD, NEW], now).weights, [1, 1]);
    }

    #[test]
    fn a_late_look_takes_the_step_that_time_demands() {
        assert_eq!(at(&[OLD, NEW], 11_999).weights, [10, 5]);
        assert_eq!(at(&[OLD, NEW], 11_999).next_step, Some(Tick::from_millis(17_000)));
    }

    #[test]
    fn nobody_ramps_where_more_than_half_of_a_tier_would() {
        assert_eq!(
            at(&[OLD, NEW, NEW], 0),
            Ramp { weights: vec![1; 3], scale: 1, next_step: None }
        );
        assert_eq!(at(&[NEW], 0).weights, [1]);
        let other = Share { group: Some(GroupId::default()), ..OLD };
        assert_eq!(at(&[other, NEW], 0).weights, [1, 1]);
        let out = Share { in_use: false, ..OLD };
        assert_eq!(at(&[out, NEW], 0).weights, [1, 1]);
        assert_eq!(at(&[OLD, OLD, NEW, NEW], 0).weights, [10, 10, 1, 1]);
    }

    #[test]
    fn the_last_step_ends_with_the_window_although_ten_steps_are_shorter() {
        let window = Duration::from_nanos(1_000_000_009);
        let start = Tick::from_millis(5_000);
        let at = |now| Ramp::at(&[OLD, NEW], Some(SlowStart::over(window)), now).next_step;
        let step = Duration::from_nanos(100_000_000);
        assert_eq!(at(start + step * 8), Some(start + step * 9));
        assert_eq!(at(start + step * 9), Some(start + window));
        assert_eq!(at(start + step * 10), Some(start + window));
        assert_eq!(at(start + window), None);
    }

    #[test]
    fn without_slow_start_nothing_ramps() {
        let ramp = Ramp::at(&[OLD, NEW], None, Tick::from_millis(5_000));
        assert_eq!(ramp, Ramp { weights: vec![1, 1], scale: 1, next_step: None });
    }

    #[test]
    fn the_largest_weight_ramps_without_running_over() {
        let heavy = Share { weight: 65_535, ..NEW };
        assert_eq!(at(&[OLD, heavy], 0).weights, [10, 65_535]);
    }
}
