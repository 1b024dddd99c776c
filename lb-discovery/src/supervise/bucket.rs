//! How many sets a source may bring about in a time.

use std::time::Duration;

use lb_core::Tick;

/// A token bucket, kept as the time when it will be full again (the generic cell
/// rate algorithm of ATM).
#[derive(Debug)]
pub(crate) struct Bucket {
    /// What one token takes to come back.
    interval: Duration,
    /// How much of `interval` a full bucket is ahead.
    ahead: Duration,
    full_at: Tick,
}

impl Bucket {
    /// Holds `burst` tokens, at least one, and gets one back every `interval`.
    pub(crate) fn new(interval: Duration, burst: u32) -> Self {
        let ahead = interval.saturating_mul(burst.max(1) - 1);
        Self { interval, ahead, full_at: Tick::ZERO }
    }

    /// From when on there is a token.
    pub(crate) fn ready_at(&self) -> Tick {
        Tick::from_nanos(
            self.full_at.as_nanos().saturating_sub((Tick::ZERO + self.ahead).as_nanos()),
        )
    }

    /// Takes a token, which must be there.
    pub(crate) fn take(&mut self, now: Tick) {
        self.full_at = self.full_at.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_tokens_come_at_their_interval() {
        let mut bucket = Bucket::new(Duration::from_millis(500), 4);
        let start = Tick::from_millis(10_000);
        for _ in 0..4 {
            assert!(bucket.ready_at() <= start);
            bucket.take(start);
        }
        assert_eq!(bucket.ready_at(), Tick::from_millis(10_500));
        bucket.take(Tick::from_millis(10_500));
        assert_eq!(bucket.ready_at(), Tick::from_millis(11_000));
        assert!(bucket.ready_at() <= Tick::from_millis(20_000));
        for _ in 0..4 {
            assert!(bucket.ready_at() <= Tick::from_millis(20_000), "it is full again");
            bucket.take(Tick::from_millis(20_000));
        }
        assert!(bucket.ready_at() > Tick::from_millis(20_000), "and no more than full");
    }
}
