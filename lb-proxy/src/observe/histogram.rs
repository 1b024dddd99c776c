//! Latencies by size: a log-linear histogram with a fixed number of places.
//!
//! Eight places to each doubling of the time, from 8 µs to 67 s. So a quantile is told to
//! within 6 % in 168 counts, whatever the latencies are, and two histograms are added
//! place by place. A bound that is chosen by hand would be exact at one time and useless
//! at all others.

use std::time::Duration;

/// Places of a histogram. A place is a byte.
pub(crate) const PLACES: usize = 168;

/// The finest step, in microseconds, as a power of two.
const FINEST: u32 = 3;
/// Steps to a doubling, as a power of two.
const STEPS: u32 = 3;

/// How many requests took how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram(Box<[u32; PLACES]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

impl Histogram {
    /// Adds one that took so long.
    pub fn record(&mut self, took: Duration) {
        self.add_at(place(took), 1);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&*other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    pub(super) fn add_at(&mut self, place: usize, count: u32) {
        self.0[place] = self.0[place].saturating_add(count);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// The place of the one that this share of the others is not slower than; `None` where
    /// there is none. A small number, to be kept instead of the time.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u8> {
        let count = self.count();
        // At least the first, and never more than there are.
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0;
        let place = self.0.iter().position(|at| {
            below += u64::from(*at);
            below >= rank
        });
        place.and_then(|place| u8::try_from(place).ok())
    }

    /// The time that a place stands for: its middle.
    #[must_use]
    pub fn time_of(place: u8) -> Duration {
        let (low, width) = bounds(u32::from(place));
        Duration::from_nanos((low * 1_000) + (width * 500))
    }
}

/// Where a time is counted.
pub(super) fn place(took: Duration) -> usize {
    let units = u64::try_from(took.as_micros()).unwrap_or(u64::MAX) >> FINEST;
    if units < 1 << STEPS {
        return units as usize;
    }
    let doubling = units.ilog2() - STEPS;
    let step = (units >> doubling) as usize - (1 << STEPS);
    (((doubling as usize + 1) << STEPS) + step).min(PLACES - 1)
}

/// The least time of a place, and its width, in microseconds.
fn bounds(place: u32) -> (u64, u64) {
    let (row, step) = (place >> STEPS, u64::from(place & ((1 << STEPS) - 1)));
    match row {
        0 => (step << FINEST, 1 << FINEST),
        row => (((1 << STEPS) + step) << (row - 1 + FINEST), 1 << (row - 1 + FINEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_told_to_within_a_sixteenth() {
        let mut micros = 64_u64;
        while micros < 60_000_000 {
            let took = Duration::from_micros(micros);
            let told = Histogram::time_of(u8::try_from(place(took)).unwrap());
            let off = told.abs_diff(took).as_secs_f64() / took.as_secs_f64();
            // Half of a place, which is an eighth of its lower end at most.
            assert!(off <= 1.0 / 16.0 + 1e-9, "{took:?} is told as {told:?}");
            micros += micros / 50 + 1;
        }
    }

    #[test]
    fn places_follow_one_another_without_gaps() {
        let ends = (0..PLACES as u32 - 1).map(|place| {
            let (low, width) = bounds(place);
            (low + width, bounds(place + 1).0)
        });
        for (end, next) in ends {
            assert_eq!(end, next);
        }
        assert_eq!(place(Duration::ZERO), 0);
        assert_eq!(place(Duration::MAX), PLACES - 1);
    }

    #[test]
    fn a_quantile_is_one_that_was_seen() {
        let mut all = Histogram::default();
        assert_eq!(all.quantile(0.5), None);
        for millis in 1..=100 {
            all.record(Duration::from_millis(millis));
        }
        let told = |share| Histogram::time_of(all.quantile(share).unwrap()).as_millis();
        assert!((47..=53).contains(&told(0.5)), "{}", told(0.5));
        assert!((93..=105).contains(&told(0.99)), "{}", told(0.99));
        assert!(told(0.0) <= 1);
        let mut twice = all.clone();
        twice.add(&all);
        assert_eq!((twice.count(), twice.quantile(0.5)), (200, all.quantile(0.5)));
    }
}
