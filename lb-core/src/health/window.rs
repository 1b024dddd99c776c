//! How many failures there were lately.

use std::{collections::VecDeque, time::Duration};

use crate::time::Tick;

/// The times of the last failures within a window that slides: no failure is
/// forgotten because a period happened to end between it and the next.
#[derive(Debug, Default)]
pub(super) struct Window {
    times: VecDeque<Tick>,
}

impl Window {
    /// Takes one failure in and says how many there were within `length`, at most
    /// `enough`. O(1) on average.
    pub(super) fn add(&mut self, now: Tick, length: Duration, enough: u32) -> u32 {
        self.times.push_back(now);
        while self.times.len() > enough as usize
            || self.times.front().is_some_and(|time| now.since(*time) > length)
        {
            self.times.pop_front();
        }
        u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn clear(&mut self) {
        self.times.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_within_the_window_count_and_it_slides() {
        let mut window = Window::default();
        let mut add = |second: u64| {
            let now = Tick::from_millis(second * 1_000);
            window.add(now, Duration::from_secs(10), 5)
        };
        assert_eq!([add(0), add(6), add(10)], [1, 2, 3]);
        assert_eq!(add(11), 3, "the first is out");
        assert_eq!(add(16), 4, "the second, ten seconds old, is not");
        assert_eq!(add(40), 1);
    }

    #[test]
    fn no_more_is_kept_than_is_asked_for() {
        let mut window = Window::default();
        for nanos in 0..1_000 {
            assert!(window.add(Tick::from_nanos(nanos), Duration::from_secs(1), 3) <= 3);
        }
        assert_eq!(window.times.len(), 3);
    }
}
