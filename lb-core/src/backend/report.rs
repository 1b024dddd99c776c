//! What a backend says about itself.
//!
//! Numbers that only the server knows: its processors, its queue, what other
//! balancers sent it. Whoever reads them from an answer makes one number of them; what
//! it is made of does not matter here, so long as it is the same for all backends.

use std::time::Duration;

use crate::{
    sync::{AtomicU64, Ordering},
    time::Tick,
};

/// A backend's word on how loaded it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Its load, in 1/65,536 of whatever it is measured in; less is better.
    pub load: u64,
    /// How many requests it is working on, of whomever they are.
    pub in_flight: Option<u32>,
    /// How long its requests take, as it sees them.
    pub latency: Option<Duration>,
}

impl LoadReport {
    /// One, in the unit of loads.
    pub const ONE: u64 = 1 << 16;

    /// A report of a load, and of nothing else.
    #[must_use]
    pub fn new(load: u64) -> Self {
        Self { load, in_flight: None, latency: None }
    }
}

/// What a backend reported last, and how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reported {
    /// As in [`LoadReport`].
    pub load: u64,
    /// As in [`LoadReport`].
    pub in_flight: Option<u32>,
    /// As in [`LoadReport`], in microseconds, 71 minutes at most.
    pub latency: Option<Duration>,
    /// How many requests of ours it was working on when it said so.
    pub ours: u32,
    /// How old the report is.
    pub age: Duration,
}

/// The last report of one incarnation, on a cache line that nobody touches where
/// reports are not read. Written by requests, relaxed: of two reports at the same time
/// one may get the load and the other the rest.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct LastReport {
    load: AtomicU64,
    /// Requests in flight, and the latency in microseconds; all bits set: not said.
    more: AtomicU64,
    /// How many requests of ours were in flight.
    ours: AtomicU64,
    /// When, in ticks; 0: never.
    at: AtomicU64,
}

const UNSAID: u32 = u32::MAX;

impl LastReport {
    pub(crate) fn new() -> Self {
        Self {
            load: AtomicU64::new(0),
            more: AtomicU64::new(0),
            ours: AtomicU64::new(0),
            at: AtomicU64::new(0),
        }
    }

    pub(crate) fn replace(&self, report: LoadReport, ours: u32, now: Tick) {
        let in_flight = report.in_flight.map_or(UNSAID, |count| count.min(UNSAID - 1));
        let latency = report.latency.map_or(UNSAID, |latency| {
            u32::try_from(latency.as_micros()).map_or(UNSAID - 1, |micros| micros.min(UNSAID - 1))
        });
        self.load.store(report.load, Ordering::Relaxed);
        let more = u64::from(in_flight) << 32 | u64::from(latency);
        self.more.store(more, Ordering::Relaxed);
        self.ours.store(ours.into(), Ordering::Relaxed);
        self.at.store(now.as_nanos().max(1), Ordering::Relaxed);
    }

    pub(crate) fn read(&self, now: Tick) -> Option<Reported> {
        let at = self.at.load(Ordering::Relaxed);
        if at == 0 {
            return None;
        }
        let more = self.more.load(Ordering::Relaxed);
        let [in_flight, latency] = [more >> 32, more & u64::from(u32::MAX)]
            .map(|part| u32::try_from(part).ok().filter(|part| *part != UNSAID));
        Some(Reported {
            load: self.load.load(Ordering::Relaxed),
            in_flight,
            latency: latency.map(|micros| Duration::from_micros(micros.into())),
            ours: u32::try_from(self.ours.load(Ordering::Relaxed)).unwrap_or(0),
            age: now.since(Tick::from_nanos(at)),
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_grows_older() {
        let last = LastReport::new();
        assert_eq!(last.read(Tick::from_millis(5)), None);
        let latency = Some(Duration::from_micros(1_500));
        let report = LoadReport { in_flight: Some(7), latency, ..LoadReport::new(LoadReport::ONE) };
        last.replace(report, 2, Tick::from_millis(5));
        let age = Duration::from_millis(10);
        let read = Reported { load: LoadReport::ONE, in_flight: Some(7), latency, ours: 2, age };
        assert_eq!(last.read(Tick::from_millis(15)), Some(read));
    }

    #[test]
    fn what_was_not_said_stays_unsaid_and_what_is_too_large_is_the_largest() {
        let last = LastReport::new();
        last.replace(LoadReport::new(3), 0, Tick::ZERO);
        let read = last.read(Tick::ZERO).unwrap();
        assert_eq!((read.load, read.in_flight, read.latency), (3, None, None));
        let latency = Some(Duration::MAX);
        let report = LoadReport { in_flight: Some(u32::MAX), latency, ..LoadReport::new(3) };
        last.replace(report, 2, Tick::ZERO);
        let read = last.read(Tick::ZERO).unwrap();
        assert_eq!(read.in_flight, Some(u32::MAX - 1));
        assert!(read.latency > Some(Duration::from_secs(71 * 60)));
    }
}
