//! When a burst of events is over.

use std::time::{Duration, Instant};

/// Gathers events: a burst ends when nothing happened for a moment, or when it has
/// lasted too long to wait for that. A script that writes 1,000 files causes one
/// reading, and one that never stops writing still gets its files read.
///
/// A burst that brings more and more files is waited for longer than one that goes on
/// about the same ones: it has an end, and half of the nodes would get the load of
/// all.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    /// The first and the last event of the burst that goes on.
    burst: Option<(Instant, Instant)>,
    /// By how much it was prolonged.
    more: Duration,
}

impl Debounce {
    const QUIET: Duration = Duration::from_millis(50);
    const AT_MOST: Duration = Duration::from_millis(500);
    const GROWING_AT_MOST: Duration = Duration::from_millis(1_500);

    pub(super) fn event(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// When the burst is over, if there is one and nothing else happens.
    pub(super) fn over_at(&self) -> Option<Instant> {
        let limit = Self::AT_MOST + self.more;
        self.burst.map(|(first, last)| (last + Self::QUIET).min(first + limit))
    }

    /// Whether the burst goes on and is cut off only by its longest time, which is not
    /// the longest there is.
    pub(super) fn may_be_prolonged(&self, now: Instant) -> bool {
        let goes_on = self.burst.is_some_and(|(_, last)| last + Self::QUIET > now);
        goes_on && Self::AT_MOST + self.more < Self::GROWING_AT_MOST
    }

    /// Waits longer for the end of the burst.
    pub(super) fn prolong(&mut self) {
        self.more += Self::AT_MOST / 2;
    }

    /// Forgets the burst, because what it says is about to be read.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_ends_when_it_is_quiet_and_at_the_latest_after_half_a_second() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut debounce = Debounce::default();
        assert_eq!(debounce.over_at(), None);
        debounce.event(at(0));
        assert_eq!(debounce.over_at(), Some(at(50)));
        debounce.event(at(40));
        assert_eq!(debounce.over_at(), Some(at(90)));
        for ms in (80..=480).step_by(40) {
            debounce.event(at(ms));
        }
        assert_eq!(debounce.over_at(), Some(at(500)));
        debounce.clear();
        assert_eq!(debounce.over_at(), None);
        debounce.event(at(501));
        assert_eq!(debounce.over_at(), Some(at(551)), "another burst");
    }

    #[test]
    fn a_burst_that_brings_more_and_more_files_may_last_a_second_and_a_half() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut debounce = Debounce::default();
        assert!(!debounce.may_be_prolonged(at(0)), "there is none");
        let mut over = Vec::new();
        for ms in (0..=2_900).step_by(10) {
            debounce.event(at(ms));
            if debounce.over_at().is_some_and(|over| over > at(ms)) {
                continue;
            }
            if debounce.may_be_prolonged(at(ms)) {
                debounce.prolong();
            } else {
                over.push(ms);
                debounce.clear();
            }
        }
        assert_eq!(over, [1_500]);
        debounce.clear();
        debounce.event(at(5_000));
        assert_eq!(debounce.over_at(), Some(at(5_050)));
        assert!(!debounce.may_be_prolonged(at(5_050)), "it has ended by itself");
    }
}
