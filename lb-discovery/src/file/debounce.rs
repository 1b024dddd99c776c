//! When a burst of events is over.

use std::time::{Duration, Instant};

/// Gathers events: a burst ends when nothing happened for a moment, or when it has
/// lasted too long to wait for that. A script that writes 1,000 files causes one
/// reading, and one that never stops writing still gets its files read.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    /// The first and the last event of the burst that goes on.
    burst: Option<(Instant, Instant)>,
}

impl Debounce {
    const QUIET: Duration = Duration::from_millis(50);
    const AT_MOST: Duration = Duration::from_millis(500);

    pub(super) fn event(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// When the burst is over, if there is one and nothing else happens.
    pub(super) fn over_at(&self) -> Option<Instant> {
        self.burst.map(|(first, last)| (last + Self::QUIET).min(first + Self::AT_MOST))
    }

    /// Forgets the burst, because what it says is about to be read.
    pub(super) fn clear(&mut self) {
        self.burst = None;
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
}
