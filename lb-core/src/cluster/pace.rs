//! How often a cluster's snapshot may be built.

use std::time::Duration;

use crate::time::Tick;

/// Keeps builds apart: at least 50 ms, and ten times what the last one took, so
/// that building never costs more than a tenth of one core.
#[derive(Debug, Default)]
pub(super) struct Pace {
    not_before: Tick,
}

impl Pace {
    const MINIMUM: Duration = Duration::from_millis(50);

    pub(super) fn allows(&self, now: Tick) -> bool {
        now >= self.not_before
    }

    pub(super) fn not_before(&self) -> Tick {
        self.not_before
    }

    pub(super) fn built(&mut self, started: Tick, finished: Tick) {
        let rest = finished.since(started).saturating_mul(10);
        self.not_before = finished + rest.max(Self::MINIMUM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_build_is_followed_by_a_longer_pause() {
        let mut pace = Pace::default();
        assert!(pace.allows(Tick::ZERO));
        pace.built(Tick::ZERO, Tick::from_millis(1));
        assert_eq!(pace.not_before(), Tick::from_millis(51));
        pace.built(Tick::from_millis(100), Tick::from_millis(120));
        assert_eq!(pace.not_before(), Tick::from_millis(320));
        assert!(!pace.allows(Tick::from_millis(319)) && pace.allows(Tick::from_millis(320)));
    }
}
