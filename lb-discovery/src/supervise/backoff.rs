//! How long a source that failed is left alone.

use std::time::Duration;

use lb_core::sample;

/// Doubles from a quarter of a second up to half a minute, and never gives up. Half
/// of each pause is drawn, so that a hundred balancers do not come back to a
/// restarted registry in step.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    /// Entropy for the draws.
    seed: u64,
    draws: u64,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);

    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, seed, draws: 0 }
    }

    /// The pause after one more failure.
    pub(super) fn failed(&mut self) -> Duration {
        let doubled =
            Self::FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.draws += 1;
        let half = doubled.min(Self::LONGEST) / 2;
        let entropy = sample::mix(self.seed.wrapping_add(self.draws));
        half + half.mul_f64((entropy >> 11) as f64 / (1_u64 << 53) as f64)
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute_and_half_of_each_is_drawn() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for longest in [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
                let pause = backoff.failed().as_secs_f64();
                assert!((longest / 2.0..=longest).contains(&pause), "{seed}: {pause} of {longest}");
            }
            assert!((0..100).all(|_| backoff.failed() <= Backoff::LONGEST));
            backoff.succeeded();
            assert!(backoff.failed() <= Backoff::FIRST);
        }
        assert_ne!(Backoff::new(1).failed(), Backoff::new(2).failed());
        assert_eq!(Backoff::new(1).failed(), Backoff::new(1).failed());
    }
}
