//! Nobody gets much more than his share.

use std::cell::OnceCell;

use crate::{
    cluster::{Slot, View},
    sample,
    strategy::PickCx,
};

/// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018): a
/// backend takes no more than ⌈factor × its share by weight of all that is in
/// flight⌉, the new request included. In thousandths, so that it is exact where all
/// are counted. Counting costs a cache line per backend, most of which another worker
/// has just written. So in a large cluster what is in flight is estimated from a
/// sample: the bound then holds on average, and a backend may be some way above it.
#[derive(Clone, Copy, Debug)]
pub(in crate::strategy) struct Bound {
    thousandths: u32,
}

/// Up to this many backends, all are counted; of more, as many as this, others for
/// each request.
const COUNTED: usize = 32;

impl Bound {
    /// With this factor; below 1 it is 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates, and of what is not a number it is 0"
    )]
    pub(in crate::strategy) fn new(factor: f64) -> Self {
        Self { thousandths: ((factor * 1_000.0).round() as u32).max(1_000) }
    }

    /// Judges for one pick; counts when it first has to.
    pub(super) fn judge<'v>(self, view: View<'v>, cx: &PickCx<'_>) -> Judge<'v> {
        Judge { bound: self, view, entropy: cx.entropy(), sum: OnceCell::new() }
    }
}

pub(super) struct Judge<'v> {
    bound: Bound,
    view: View<'v>,
    entropy: u64,
    sum: OnceCell<Sum>,
}

/// Over those that were counted.
struct Sum {
    in_flight: u64,
    weight: u64,
}

impl Judge<'_> {
    /// Whether one more request leaves this backend within its bound. O(1) when it
    /// is idle, otherwise O(n) up to 32 backends, once per pick.
    pub(super) fn admits(&self, slot: Slot) -> bool {
        let in_flight = self.view.in_flight(slot);
        // Whatever its share is, it is not nothing.
        if in_flight == 0 {
            return true;
        }
        let sum = self.sum.get_or_init(|| self.count());
        // in flight < ⌈factor × (all + 1) × weight ÷ all weights⌉
        let has = u128::from(in_flight) * u128::from(sum.weight) * 1_000;
        let weight = u128::from(self.view.weight(slot));
        has < u128::from(self.bound.thousandths) * u128::from(sum.in_flight + 1) * weight
    }

    fn count(&self) -> Sum {
        let slots = self.view.new_set().as_slice();
        let counted = slots.len().min(COUNTED);
        let start = if slots.is_empty() { 0 } else { sample::index(self.entropy, slots.len()) };
        let mut sum = Sum { in_flight: 0, weight: 0 };
        for n in 0..counted {
            let slot = slots[(start + n * slots.len() / counted) % slots.len()];
            sum.in_flight += u64::from(self.view.in_flight(slot));
            sum.weight += u64::from(self.view.weight(slot));
        }
        sum
    }
}
