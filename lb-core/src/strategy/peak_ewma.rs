//! The one with the shorter wait, of two.

use std::time::Duration;

use super::{BuildCx, Choice, Needs, PickCx, Picker, Reason, Strategy, draws::Draws, scan::Cost};
use crate::cluster::{Slot, View};

/// Draws two backends by weight and takes the one with the smaller peak time × (1 +
/// requests in flight) ÷ weight; Finagle's and linkerd's Peak EWMA.
///
/// The peak time is that up to the first byte: a sample that is larger than the estimate
/// replaces it, a smaller one is mixed in by 1 − e^(−Δt ÷ decay), so that slowness is
/// believed at once and its end with caution. Ours differs from theirs:
///
/// * Between samples an estimate goes to the (harmonic) mean of the cluster,
///   theirs to zero. With many balancers, each of which sees little of a backend, that
///   makes them all rush to whoever has not been heard of for longest. It is also what
///   a backend has that nothing is known of, once one request is on its way to find out.
/// * The load is divided by the weight, which Finagle's has not. So of backends of different
///   weight that are equally fast, the heaviest of those drawn is taken until it has as
///   much in flight for its weight; with little to do, the light ones get little.
/// * A failure is a sample no smaller than the mean and than what the backend had, and
///   counts as in flight for a while ([`View::pressure`]). So who fails fast does not
///   look fast.
/// * It is whole numbers, and no lock or clock in a pick.
///
/// The decay should be long against the time between two requests from here to the same
/// backend. O(1) per pick.
#[derive(Clone, Copy, Debug)]
pub struct PeakEwma {
    decay: Duration,
}

/// One request, in the unit of pressure.
const REQUEST: u64 = 256;

impl PeakEwma {
    /// Forgets all but 1/e in this time; a millisecond at least.
    #[must_use]
    pub fn new(decay: Duration) -> Self {
        Self { decay }
    }
}

impl Default for PeakEwma {
    /// With the ten seconds of Finagle.
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

#[derive(Debug)]
struct ShorterWait(Draws);

impl Strategy for PeakEwma {
    fn name(&self) -> &'static str {
        "peak-ewma"
    }

    fn needs(&self) -> Needs {
        Needs::peak_latency(self.decay)
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(ShorterWait(Draws::new(view)))
    }
}

impl Picker for ShorterWait {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let cost = |slot: Slot| {
            let time = view.peak_nanos(slot, cx.now());
            let load = view.pressure(slot, cx.now()) + REQUEST;
            Cost { amount: u128::from(time) * u128::from(load), weight: view.weight(slot) }
        };
        let slot = self.0.cheapest_of(2, view, cx, cost)?;
        Some(Choice::new(slot, Reason::Fastest))
    }
}
