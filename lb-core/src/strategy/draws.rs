//! Draws by weight, and the least loaded of several.
//!
//! Weight decides who is drawn, and load ÷ weight who of those is taken. Either
//! alone would not do: of two even draws, a backend that should have nine tenths
//! of the requests of ten can get a fifth at most.

use super::{PickCx, alias::AliasTable, retry::any_untried};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// The pickable backends of a snapshot, to draw from by weight.
#[derive(Debug)]
pub(super) struct Draws {
    slots: Box<[Slot]>,
    table: AliasTable,
}

impl Draws {
    pub(super) fn new(view: View<'_>) -> Self {
        let slots: Box<[Slot]> = view.new_set().as_slice().into();
        let weights: Vec<u32> = slots.iter().map(|slot| view.weight(*slot)).collect();
        Self { slots, table: AliasTable::new(&weights) }
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Draws one. O(1).
    pub(super) fn draw(&self, entropy: u64) -> Option<Slot> {
        self.table.draw(entropy).map(|position| self.slots[position])
    }

    /// Draws one that the request has not tried.
    pub(super) fn draw_untried(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        let first = self.draw(cx.entropy())?;
        if !view.was_tried(first, cx) {
            return Some(first);
        }
        // Drawing again keeps the proportions of the others; it is rarely in vain.
        let mut redraws = (1..=16).filter_map(|n| self.draw(sample::mix(cx.entropy() ^ n)));
        redraws
            .find(|slot| !view.was_tried(*slot, cx))
            .or_else(|| any_untried(view, cx, &self.slots))
    }

    /// The least loaded of `count` backends drawn, none of them tried, and none
    /// drawn twice in a row; `None` when all were tried.
    pub(super) fn least_of(&self, count: u32, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        let mut entropy = cx.entropy();
        let mut best: Option<Slot> = None;
        let mut compared = 0;
        // Where one weight outweighs all others, draws repeat themselves.
        for _ in 0..count * 3 {
            let slot = self.draw(entropy)?;
            entropy = sample::mix(entropy);
            if best == Some(slot) || view.was_tried(slot, cx) {
                continue;
            }
            best = Some(best.map_or(slot, |best| less_loaded(view, cx, best, slot)));
            compared += 1;
            if compared == count {
                break;
            }
        }
        best.or_else(|| any_untried(view, cx, &self.slots))
    }
}

/// The one with the smaller pressure ÷ weight; `one` when they are equal.
fn less_loaded(view: View<'_>, cx: &PickCx<'_>, one: Slot, other: Slot) -> Slot {
    let cost = |slot, rival| view.pressure(slot, cx.now()) * u64::from(view.weight(rival));
    if cost(other, one) < cost(one, other) { other } else { one }
}
