//! What one incarnation did since outliers were last looked for.
//!
//! A cache line of its own, and there only where somebody looks for outliers: a
//! request on any other cluster pays for none of this but the look whether it is
//! there. Where it is, a request that ends adds to one word, and one whose answer
//! begins to two if latency counts. What counts errors in a row is written by errors,
//! and by the first answer after them.

use std::time::Duration;

use crate::{
    health::{Counted, Sample},
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// One request in the word of requests and errors.
const REQUEST: u64 = 1;
/// One error in it. 32 bits for each last for an hour of a million requests a second.
const ERROR: u64 = 1 << 32;

/// All written by requests and emptied by whoever looks for outliers. Statistics: each
/// word is exact, but they need not be of the same moment.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Tallies {
    counted: Counted,
    /// Requests, and errors among them.
    ended: AtomicU64,
    /// Answers that began.
    answers: AtomicU64,
    /// The sum of their times to the first byte in nanoseconds: 584 years.
    waited: AtomicU64,
    /// Errors in a row.
    row: AtomicU32,
    /// From how many errors in a row on they are reported; 0: never. Written by who
    /// keeps the verdict.
    alarm: AtomicU32,
}

impl Tallies {
    pub(crate) fn new(counted: Counted) -> Self {
        Self {
            counted,
            ended: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            row: AtomicU32::new(0),
            alarm: AtomicU32::new(0),
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        self.counted
    }

    pub(crate) fn observe_latency(&self, time: Duration) {
        if self.counted.latency {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.waited.fetch_add(nanos, Ordering::Relaxed);
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request that was good.
    pub(crate) fn observe_success(&self) {
        if self.counted.errors {
            self.ended.fetch_add(REQUEST, Ordering::Relaxed);
        }
        // No shared write where there is nothing to forget.
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
    }

    /// Counts one that was not, and says how many in a row there are if that is to be
    /// reported.
    pub(crate) fn observe_error(&self) -> Option<u32> {
        if self.counted.errors {
            self.ended.fetch_add(REQUEST | ERROR, Ordering::Relaxed);
        }
        let row = self.row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let alarm = self.alarm.load(Ordering::Relaxed);
        (alarm > 0 && row >= alarm).then_some(row)
    }

    /// Begins a new row of errors.
    pub(crate) fn forget_row(&self) {
        self.row.store(0, Ordering::Relaxed);
    }

    pub(crate) fn set_alarm(&self, errors: Option<u32>) {
        self.alarm.store(errors.unwrap_or(0), Ordering::Relaxed);
    }

    /// What was counted since the last call.
    pub(crate) fn take(&self) -> Sample {
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let ended = self.ended.swap(0, Ordering::Relaxed);
        Sample {
            requests: count(ended % ERROR),
            errors: count(ended / ERROR),
            answers: count(self.answers.swap(0, Ordering::Relaxed)),
            waited: Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALL: Counted = Counted { errors: true, latency: true };

    #[test]
    fn what_is_taken_is_what_was_counted_since_the_last_time() {
        let tallies = Tallies::new(ALL);
        (0..7).for_each(|_| tallies.observe_success());
        (0..3).for_each(|_| assert_eq!(tallies.observe_error(), None));
        tallies.observe_latency(Duration::from_millis(30));
        tallies.observe_latency(Duration::from_millis(50));
        let waited = Duration::from_millis(80);
        assert_eq!(tallies.take(), Sample { requests: 10, errors: 3, answers: 2, waited });
        assert_eq!(tallies.take(), Sample::default());
    }

    #[test]
    fn what_nobody_asks_for_is_not_counted() {
        let tallies = Tallies::new(Counted { errors: false, latency: false });
        tallies.observe_success();
        tallies.observe_error();
        tallies.observe_latency(Duration::from_secs(1));
        assert_eq!(tallies.take(), Sample::default());
    }

    #[test]
    fn a_row_is_reported_from_the_alarm_on_and_a_success_ends_it() {
        let tallies = Tallies::new(ALL);
        assert_eq!(tallies.observe_error(), None, "nobody wants to know");
        tallies.set_alarm(Some(3));
        assert_eq!([tallies.observe_error(), tallies.observe_error()], [None, Some(3)]);
        assert_eq!(tallies.observe_error(), Some(4));
        tallies.observe_success();
        assert_eq!(tallies.observe_error(), None);
        tallies.observe_error();
        tallies.forget_row();
        assert_eq!([tallies.observe_error(), tallies.observe_error()], [None, None]);
    }

    #[test]
    fn tallies_fill_one_cache_line() {
        assert_eq!(size_of::<Tallies>(), 64);
    }
}
