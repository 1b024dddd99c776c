//! The better of two, or of a few.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    BuildCx, Choice, PickCx, Picker, Reason, Strategy, draws::Draws, per_worker::PerWorker,
    scan::Cost,
};
use crate::cluster::{Slot, View};

/// Draws two different backends and takes the one with less in flight for its
/// weight (Mitzenmacher: *The Power of Two Choices in Randomized Load Balancing*,
/// 1996).
///
/// Draws are by weight, and the smaller in flight ÷ weight wins, as in nginx's
/// `random two least_conn`; where they are equal, the one drawn first, so that a
/// cluster with nothing to do is served by weight. A second draw of the same one is
/// repeated (up to four times), which Envoy does not: with two backends that picks
/// the busier one every fourth time.
///
/// Up to eight may be drawn. With [memory](Self::remembering), the best one left over
/// from the last pick of the same [worker](PickCx::on_worker) is compared as well
/// (Mitzenmacher, Prabhakar, Shah: *Load Balancing with Memory*, 2002), which is worth
/// about one more draw. It is forgotten when the backends change.
///
/// What failed a moment ago counts as in flight ([`View::pressure`]).
///
/// Where a single balancer sees all traffic, [`LeastConn`](super::LeastConn) has
/// the shorter tail. O(draws) per pick.
#[derive(Clone, Copy, Debug)]
pub struct P2c {
    draws: u8,
    memory: bool,
}

/// One request, in the unit of pressure.
const REQUEST: u64 = 256;

impl P2c {
    /// How many draws it compares unless said.
    pub const DRAWS: u8 = 2;

    /// Compares so many draws: 2 to 8, and the nearest of these if it is none.
    #[must_use]
    pub fn drawing(mut self, draws: u8) -> Self {
        self.draws = draws.clamp(2, 8);
        self
    }

    /// Whether the best one left over is compared again.
    #[must_use]
    pub fn remembering(mut self, memory: bool) -> Self {
        self.memory = memory;
        self
    }
}

impl Default for P2c {
    /// Two draws, and no memory.
    fn default() -> Self {
        Self { draws: Self::DRAWS, memory: false }
    }
}

#[derive(Debug)]
struct BestDrawn {
    draws: Draws,
    count: u32,
}

/// As [`BestDrawn`], and each worker's best one left over: its slot and 1; 0 for none.
#[derive(Debug)]
struct BestRemembered {
    draws: Draws,
    count: u32,
    left: PerWorker<AtomicU64>,
}

impl Strategy for P2c {
    fn name(&self) -> &'static str {
        "p2c"
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        let (draws, count) = (Draws::new(view), u32::from(self.draws));
        if self.memory {
            Box::new(BestRemembered { draws, count, left: PerWorker::new() })
        } else {
            Box::new(BestDrawn { draws, count })
        }
    }
}

impl Picker for BestDrawn {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let slot = self.draws.least_of(self.count, view, cx)?;
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}

impl Picker for BestRemembered {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let cost = |slot, more| Cost {
            amount: u128::from(view.pressure(slot, cx.now()) + more),
            weight: view.weight(slot),
        };
        let (mut best, mut second): (Option<Slot>, Option<Slot>) = (None, None);
        let mut compare = |slot| {
            if best == Some(slot) || second == Some(slot) {
                return false;
            }
            let beats = |other| cost(slot, 0).is_below(cost(other, 0));
            if best.is_none_or(beats) {
                (best, second) = (Some(slot), best);
            } else if second.is_none_or(beats) {
                second = Some(slot);
            }
            true
        };
        self.draws.compare(self.count, view, cx, &mut compare);
        let left = self.left.of(cx);
        // After the draws: where it is as good as they are, it would get everything.
        if let Some(slot) = remembered(left).filter(|slot| !view.was_tried(*slot, cx)) {
            compare(slot);
        }
        let slot = best.or_else(|| self.draws.any_untried(view, cx))?;
        let stays = second.is_none_or(|other| cost(slot, REQUEST).is_below(cost(other, 0)));
        remember(left, if stays { slot } else { second? });
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it was made of an index")]
fn remembered(left: &AtomicU64) -> Option<Slot> {
    left.load(Ordering::Relaxed).checked_sub(1).map(|index| Slot::new(index as usize))
}

fn remember(left: &AtomicU64, slot: Slot) {
    left.store(slot.index() as u64 + 1, Ordering::Relaxed);
}
