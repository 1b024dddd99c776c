//! Nobody gets much more than his share.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    cluster::{Slot, View},
    strategy::PickCx,
};

/// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018): a
/// backend takes no more than ⌈factor × its share by weight of all that is in
/// flight⌉, the new request included. In thousandths, so that it is exact.
#[derive(Clone, Copy, Debug)]
pub(in crate::strategy) struct Bound {
    thousandths: u32,
}

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

    /// For the requests of one snapshot.
    pub(super) fn over(self, view: View<'_>) -> Shares {
        let slots = view.new_set().as_slice();
        let weight = slots.iter().map(|slot| u64::from(view.weight(*slot))).sum();
        let (total, n) = (AtomicU64::new(in_flight(view)), slots.len());
        let recounts = match n {
            0..=COUNTED => u64::MAX,
            _ => u64::MAX / n.max(512) as u64 * 8,
        };
        Shares { bound: self, weight, recounts, total }
    }
}

/// Up to this many backends, what is in flight is counted for each request.
const COUNTED: usize = 16;

/// Who may have how much.
///
/// Whether a request is too many depends on all that is in flight. To count that is a
/// cache line for each backend, and a counter would be written by every request. So in
/// larger clusters the sum is one that some request counted a moment ago. It is off by as
/// much as begins and ends between two counts, which, spread over so many backends, is
/// less than one request each; where as much begins as ends, it is exact. A sample
/// instead, though anew for each request, is off by more, and every time by another
/// number: at a bound of 1.1 one key in twenty moved to and fro for nothing.
#[derive(Debug)]
pub(super) struct Shares {
    bound: Bound,
    /// Of all that may be picked.
    weight: u64,
    /// How many of 2⁶⁴ requests count: in small clusters all, in larger ones one of 64, and
    /// in very large ones one of as many that eight backends are read for each.
    recounts: u64,
    /// What was in flight when it was counted last. Read alone, so relaxed.
    total: AtomicU64,
}

impl Shares {
    /// What is in flight, for one pick. O(1), or O(n) for those that count.
    #[inline]
    pub(super) fn total(&self, view: View<'_>, cx: &PickCx<'_>) -> u64 {
        // Draws go by the high bits, so this goes by the low ones.
        if cx.entropy() << 32 > self.recounts {
            return self.total.load(Ordering::Relaxed);
        }
        self.count(view)
    }

    #[inline(never)]
    fn count(&self, view: View<'_>) -> u64 {
        let total = in_flight(view);
        // A line that nobody writes is in everybody's cache.
        if self.total.load(Ordering::Relaxed) != total {
            self.total.store(total, Ordering::Relaxed);
        }
        total
    }

    /// Whether one more request leaves this backend within its bound, given what is in
    /// flight: who is idle need not know. O(1).
    #[inline]
    pub(super) fn admit(&self, slot: Slot, view: View<'_>, total: impl FnOnce() -> u64) -> bool {
        let in_flight = u64::from(view.in_flight(slot));
        // Whatever its share is, it is not nothing.
        if in_flight == 0 {
            return true;
        }
        // in flight < ⌈factor × (all + 1) × weight ÷ all weights⌉
        let has = u128::from(in_flight * 1_000) * u128::from(self.weight);
        let factor = u64::from(self.bound.thousandths) * u64::from(view.weight(slot));
        has < u128::from(factor) * u128::from(total() + 1)
    }
}

fn in_flight(view: View<'_>) -> u64 {
    view.new_set().as_slice().iter().map(|slot| u64::from(view.in_flight(*slot))).sum()
}
