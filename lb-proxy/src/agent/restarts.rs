//! When an app is started again, and when no more.
//!
//! Lives shorter than a minute make the wait longer: 1 s like s6, twice that each time, at
//! most 30 s. The wait is one between two starts, so an app that had been running for some
//! time is back at once. Pure: the time is passed in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many restarts within so long, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// How many.
    pub(crate) count: usize,
    /// Within what time.
    pub(crate) within: Duration,
}

/// What is remembered of lives that ended.
#[derive(Clone, Debug)]
pub(crate) struct Restarts {
    limit: Option<Limit>,
    /// Lives that were short, one after the other.
    short: u32,
    /// When it was started again, within the time of the limit.
    past: VecDeque<Instant>,
}

impl Restarts {
    /// As often as it takes, unless there is a limit.
    pub(crate) fn new(limit: Option<Limit>) -> Self {
        Self { limit, short: 0, past: VecDeque::new() }
    }

    /// A life has ended: when the next one begins, or `None` if there have been enough.
    pub(crate) fn next(&mut self, started: Instant, now: Instant) -> Option<Instant> {
        if let Some(limit) = self.limit {
            self.past.retain(|at| now.duration_since(*at) < limit.within);
            if self.past.len() >= limit.count {
                return None;
            }
            self.past.push_back(now);
        }
        self.short = match now.duration_since(started) < LONG_LIFE {
            true => self.short.saturating_add(1),
            false => 1,
        };
        let wait = FIRST_WAIT.saturating_mul(1 << (self.short - 1).min(10)).min(LONGEST_WAIT);
        Some((started + wait).max(now + GOODBYE))
    }
}

/// A life this long forgives the short ones before.
const LONG_LIFE: Duration = Duration::from_mins(1);

const FIRST_WAIT: Duration = Duration::from_secs(1);

const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// In this time a goodbye has been said three times.
const GOODBYE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn lives_that_end_at_once_begin_again_after_1_2_4_up_to_30_seconds() {
        let mut restarts = Restarts::new(None);
        let mut now = Instant::now();
        let waits: Vec<u64> = (0..7)
            .map(|_| {
                let next = restarts.next(now, now).unwrap();
                let wait = next - now;
                now = next;
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn one_that_had_run_for_a_while_is_back_as_soon_as_the_goodbye_is_out() {
        let mut restarts = Restarts::new(None);
        let start = Instant::now();
        let died = start + secs(10);
        assert_eq!(restarts.next(start, died), Some(died + GOODBYE));
    }

    #[test]
    fn a_life_of_a_minute_forgives_the_short_ones() {
        let mut restarts = Restarts::new(None);
        let start = Instant::now();
        for _ in 0..9 {
            restarts.next(start, start);
        }
        let died = start + secs(60);
        assert_eq!(restarts.next(start, died), Some(died + GOODBYE));
        assert_eq!(restarts.next(died, died), Some(died + secs(2)));
    }

    #[test]
    fn a_limit_counts_restarts_within_its_time_only() {
        let limit = Limit { count: 2, within: secs(10) };
        let mut restarts = Restarts::new(Some(limit));
        let start = Instant::now();
        assert!(restarts.next(start, start).is_some());
        assert!(restarts.next(start, start + secs(6)).is_some());
        assert_eq!(restarts.next(start, start + secs(9)), None);
        assert!(restarts.next(start, start + secs(10)).is_some());
        let mut never = Restarts::new(Some(Limit { count: 0, within: secs(10) }));
        assert_eq!(never.next(start, start), None);
    }
}
