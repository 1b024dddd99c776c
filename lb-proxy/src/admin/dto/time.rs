//! Moments of several clocks, as milliseconds since 1970.

use std::time::Instant;

use lb_core::Tick;

use crate::control::unix_millis;

/// When it was that ticks stood there.
pub(crate) fn at_tick(tick: Tick) -> u64 {
    let ago = lb_proxy::now().since(tick).as_millis();
    unix_millis().saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
}

/// When it was that a clock said that.
pub(crate) fn ago(instant: Instant) -> u64 {
    let ago = instant.elapsed().as_millis();
    unix_millis().saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
}
