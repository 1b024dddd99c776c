//! What happened at one backend, or in one cluster, second by second.
//!
//! Two rings: a quarter of an hour in steps of one second, six hours in steps of ten. A
//! point has 16 bytes, as it keeps latencies as places of the histogram, so a row that is
//! full takes 49 KiB; the histograms themselves are kept of the last ten seconds only, out
//! of which both the present rates and the next coarse point are made.

use std::collections::VecDeque;

use lb_proxy::{Histogram, Reading};

/// Seconds of a coarse point, and those that present rates are of.
pub(crate) const COARSE: usize = 10;
/// Points of one second.
pub(crate) const SECONDS: usize = 15 * 60;
/// Points of ten.
pub(crate) const TENS: usize = 6 * 3_600 / COARSE;

/// A step of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) requests: u32,
    pub(crate) errors: u32,
    /// At its end; of a coarse one the most.
    pub(crate) in_flight: u32,
    p50: Option<u8>,
    p99: Option<u8>,
}

/// What is going on now: over the last ten seconds, or as many as there were.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) requests_per_second: f64,
    /// 0 to 1.
    pub(crate) error_share: f64,
    /// In milliseconds; none where nothing was answered.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// The series of one of them.
#[derive(Debug, Default)]
pub(super) struct Row {
    seconds: VecDeque<Point>,
    tens: VecDeque<Point>,
    /// Of the last seconds; nothing where nothing was answered.
    latest: VecDeque<Option<Histogram>>,
}

impl Row {
    /// A second has passed. `ends_ten`: and with it a coarse step.
    pub(super) fn push(&mut self, reading: Option<Reading>, in_flight: u32, ends_ten: bool) {
        let mut point = Point { in_flight, ..Point::default() };
        let mut latency = None;
        if let Some(reading) = reading {
            point.requests = fits(reading.requests);
            point.errors = fits(reading.errors);
            point.take_quantiles(&reading.latency);
            latency = Some(reading.latency).filter(|_| point.p50.is_some());
        }
        keep(&mut self.seconds, point, SECONDS);
        keep(&mut self.latest, latency, COARSE);
        if ends_ten {
            let coarse = self.last_ten();
            keep(&mut self.tens, coarse, TENS);
        }
    }

    /// The points of a second each, the latest last.
    pub(super) fn seconds(&self) -> &VecDeque<Point> {
        &self.seconds
    }

    /// The points of ten seconds each.
    pub(super) fn tens(&self) -> &VecDeque<Point> {
        &self.tens
    }

    pub(super) fn rate(&self) -> Rate {
        let (point, seconds) = (self.last_ten(), self.latest.len().max(1));
        Rate {
            requests_per_second: f64::from(point.requests) / seconds as f64,
            // A failure of a request that was counted before may be the only thing left.
            error_share: (f64::from(point.errors) / f64::from(point.requests.max(1))).min(1.0),
            p50: point.p50_ms(),
            p99: point.p99_ms(),
        }
    }

    /// Whether nothing happened in all that is kept by the second.
    pub(super) fn is_quiet(&self) -> bool {
        self.seconds.iter().all(|point| *point == Point::default())
    }

    fn last_ten(&self) -> Point {
        let mut sum = Point::default();
        for point in self.seconds.iter().rev().take(COARSE) {
            sum.requests = sum.requests.saturating_add(point.requests);
            sum.errors = sum.errors.saturating_add(point.errors);
            sum.in_flight = sum.in_flight.max(point.in_flight);
        }
        let mut latency = Histogram::default();
        self.latest.iter().flatten().for_each(|one| latency.add(one));
        sum.take_quantiles(&latency);
        sum
    }
}

impl Point {
    fn take_quantiles(&mut self, latency: &Histogram) {
        (self.p50, self.p99) = (latency.quantile(0.5), latency.quantile(0.99));
    }

    /// In milliseconds; none where nothing was answered.
    pub(crate) fn p50_ms(self) -> Option<f64> {
        self.p50.map(millis)
    }

    pub(crate) fn p99_ms(self) -> Option<f64> {
        self.p99.map(millis)
    }
}

/// With the two or three digits that are true.
fn millis(place: u8) -> f64 {
    let millis = Histogram::time_of(place).as_secs_f64() * 1_000.0;
    (millis * 1_000.0).round() / 1_000.0
}

fn keep<T>(ring: &mut VecDeque<T>, one: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(one);
}

fn fits(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reading(requests: u64, errors: u64, took: u64) -> Option<Reading> {
        let mut reading = Reading::default();
        (reading.requests, reading.errors) = (requests, errors);
        (0..requests).for_each(|_| reading.latency.record(Duration::from_millis(took)));
        Some(reading)
    }

    #[test]
    fn a_point_is_as_small_as_is_said() {
        assert_eq!(size_of::<Point>(), 16);
    }

    #[test]
    fn a_coarse_point_is_ten_fine_ones_and_no_ring_grows_for_ever() {
        let mut row = Row::default();
        for second in 1..=3 * 3_600_u64 {
            row.push(reading(second % 10, 0, 5), (second % 7) as u32, second % 10 == 0);
        }
        assert_eq!((row.seconds().len(), row.tens().len()), (SECONDS, 1_080));
        assert!(row.tens().iter().all(|point| point.requests == 45 && point.in_flight == 6));
        for _ in 0..4 * 360 {
            row.push(None, 0, true);
        }
        assert_eq!(row.tens().len(), TENS);
    }

    #[test]
    fn rates_are_of_the_last_ten_seconds() {
        let mut row = Row::default();
        assert_eq!(row.rate(), Rate::default());
        row.push(reading(100, 100, 900), 3, false);
        assert!((row.rate().requests_per_second - 100.0).abs() < 1e-9);
        for _ in 0..10 {
            row.push(reading(20, 1, 5), 1, false);
        }
        let Rate { requests_per_second, error_share, p50, p99 } = row.rate();
        assert!((requests_per_second - 20.0).abs() < 1e-9 && (error_share - 0.05).abs() < 1e-9);
        // To within a sixteenth.
        for told in [p50, p99] {
            assert!((4.6..5.4).contains(&told.unwrap()), "{told:?}");
        }
        (0..10).for_each(|_| row.push(None, 0, false));
        assert_eq!(row.rate(), Rate::default());
    }

    #[test]
    fn a_row_is_quiet_when_nothing_is_left_of_it() {
        let mut row = Row::default();
        row.push(reading(1, 0, 1), 0, false);
        assert!(!row.is_quiet());
        (0..SECONDS).for_each(|_| row.push(None, 0, false));
        assert!(row.is_quiet());
    }
}
