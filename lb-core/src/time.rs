//! Time as an argument.
//!
//! Nothing in this crate reads a clock. Whoever calls in says what time it is, in
//! nanoseconds since a start of his own choosing, on a clock that never goes
//! back. Wall-clock time is something else: it occurs in cookies only, which other
//! balancers read.

use std::{ops::Add, time::Duration};

/// A point on a monotonic clock: nanoseconds since an arbitrary start.
///
/// 64 bits last for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Self;

    /// Saturates at the end of the clock.
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// A point in wall-clock time: seconds since 1970, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The point `secs` seconds after the beginning of 1970.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since the beginning of 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_never_goes_below_its_start_or_past_its_end() {
        assert_eq!(Tick::ZERO.since(Tick::from_nanos(5)), Duration::ZERO);
        assert_eq!(Tick::from_nanos(9).since(Tick::from_nanos(5)), Duration::from_nanos(4));
        assert_eq!((Tick::from_nanos(u64::MAX - 1) + Duration::from_secs(1)).as_nanos(), u64::MAX);
    }
}
