//! Whoever answers soonest, as far as one knows.

use std::sync::Arc;

use super::{
    BuildCx, Choice, Measure, Needs, PerGroup, PickCx, Picker, Reason, Strategy, field::Field,
    round_robin::Cursor, scan::Cost,
};
use crate::cluster::{Slot, View};

/// The backend with the smallest response time × (1 + requests in flight) ÷ weight;
/// nginx's `least_time`.
///
/// The response time is a moving average up to the first or the last byte, as the
/// [`Measure`] says. It is halved for each ten seconds of silence, as nginx does by
/// `fail_timeout`: so a backend that was slow is tried again, and if it still is, that
/// one answer tells. Who has no average yet, or is half-open, gets one
/// request as soon as it has nothing to do, and until that is answered it has the mean of
/// the cluster. A failure is no faster than what is usual, and counts as in flight for a
/// while ([`View::pressure`]). Of nginx's there is no `inflight`, which has requests count
/// by their age before they are answered, and no limit to times of five seconds.
///
/// Averages are rounded up to four significant bits, and backends of equal cost take turns
/// in smooth round-robin order; or else the fastest by a hair would get all requests that come one
/// at a time. nginx rounds to 20 ms, which is coarse in a data centre and fine around
/// the globe. Of different weights, as in nginx, the heaviest is taken until it has as much
/// in flight for its weight.
///
/// Up to eight backends are compared one by one; of more, the best of four draws by
/// weight is taken, as by [`LeastConn`](super::LeastConn). O(1) per pick.
#[derive(Debug, Default)]
pub struct LeastTime {
    measure: Measure,
    cursors: PerGroup<Option<Arc<Cursor>>>,
}

/// One request, in the unit of pressure.
const REQUEST: u64 = 256;

impl LeastTime {
    /// Goes by this measure; by the time to the first byte unless said.
    #[must_use]
    pub fn by(measure: Measure) -> Self {
        Self { measure, cursors: PerGroup::default() }
    }
}

impl Strategy for LeastTime {
    fn name(&self) -> &'static str {
        "least-time"
    }

    fn needs(&self) -> Needs {
        match self.measure {
            Measure::FirstByte => Needs::latency(),
            Measure::LastByte => Needs::response_time(),
        }
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let field = Field::new(view, self.cursors.of(cx.group()), cx.entropy);
        Box::new(Soonest { measure: self.measure, field })
    }
}

#[derive(Debug)]
struct Soonest {
    measure: Measure,
    field: Field,
}

impl Picker for Soonest {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let cost = |slot: Slot| {
            let time = rounded(view.recent_nanos(slot, self.measure, cx.now()));
            let load = view.pressure(slot, cx.now()) + REQUEST;
            Cost { amount: u128::from(time) * u128::from(load), weight: view.weight(slot) }
        };
        let slot = self.field.cheapest(view, cx, cost)?;
        Some(Choice::new(slot, Reason::Fastest))
    }
}

/// `nanos` rounded up to four significant bits.
fn rounded(nanos: u64) -> u64 {
    let low = u64::BITS.saturating_sub(4 + nanos.leading_zeros());
    nanos.div_ceil(1 << low) << low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_differ_by_less_than_a_sixteenth_are_the_same_now_and_then() {
        assert_eq!([0, 1, 7, 15, 16, 17, 18, 19].map(rounded), [0, 1, 7, 15, 16, 18, 18, 20]);
        assert_eq!(rounded(19_900_000), rounded(20_100_000));
        for nanos in (0..1_000_000).step_by(997) {
            assert!((nanos..=nanos + nanos / 8).contains(&rounded(nanos)));
        }
    }
}
