//! Draws by weight, and the least loaded of several.
//!
//! Weight decides who is drawn, and load ÷ weight who of those is taken. Either
//! alone would not do: of two even draws, a backend that should have nine tenths
//! of the requests of ten can get a fifth at most.

use super::{PickCx, alias::AliasTable, retry::any_untried, scan::Cost};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// The pickable backends of a snapshot, to draw from by weight.
#[derive(Debug)]
pub(super) struct Draws {
    table: AliasTable,
}

impl Draws {
    pub(super) fn new(view: View<'_>) -> Self {
        let slots = view.new_set().as_slice();
        let weights: Vec<u32> = slots.iter().map(|slot| view.weight(*slot)).collect();
        Self { table: AliasTable::new(slots, &weights) }
    }

    pub(super) fn slots(&self) -> &[Slot] {
        self.table.slots()
    }

    /// Draws one. O(1).
    #[inline]
    pub(super) fn draw(&self, entropy: u64) -> Option<Slot> {
        self.table.draw(entropy)
    }

    /// Draws one that the request has not tried.
    #[inline]
    pub(super) fn draw_untried(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        let first = self.draw(cx.entropy())?;
        if view.was_tried(first, cx) { self.draw_another(view, cx) } else { Some(first) }
    }

    #[cold]
    fn draw_another(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        // Drawing again keeps the proportions of the others; it is rarely in vain.
        let mut redraws = (1..=16).filter_map(|n| self.draw(sample::mix(cx.entropy() ^ n)));
        redraws.find(|slot| !view.was_tried(*slot, cx)).or_else(|| self.any_untried(view, cx))
    }

    /// The least loaded of `count` backends drawn, none of them tried, and none
    /// drawn twice in a row; `None` when all were tried.
    pub(super) fn least_of(&self, count: u32, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        let load = |slot| (view.pressure(slot, cx.now()), u64::from(view.weight(slot)));
        self.best_of(count, view, cx, load, |one, other| one.0 * other.1 < other.0 * one.1)
    }

    /// The cheapest of them.
    pub(super) fn cheapest_of(
        &self,
        count: u32,
        view: View<'_>,
        cx: &PickCx<'_>,
        cost: impl Fn(Slot) -> Cost,
    ) -> Option<Slot> {
        self.best_of(count, view, cx, cost, Cost::is_below)
    }

    fn best_of<C: Copy>(
        &self,
        count: u32,
        view: View<'_>,
        cx: &PickCx<'_>,
        cost: impl Fn(Slot) -> C,
        is_below: impl Fn(C, C) -> bool,
    ) -> Option<Slot> {
        let mut best: Option<(Slot, C)> = None;
        self.compare(count, view, cx, |slot| {
            if let Some((best, _)) = best
                && best == slot
            {
                return false;
            }
            let cost = cost(slot);
            if best.is_none_or(|(_, least)| is_below(cost, least)) {
                best = Some((slot, cost));
            }
            true
        });
        best.map(|(slot, _)| slot).or_else(|| self.any_untried(view, cx))
    }

    /// Draws until `compare` has taken `count` backends that the request has not tried:
    /// it says whether it took the one it was given, or knew it. Where one weight
    /// outweighs all others, draws repeat themselves, so there are three for each at
    /// most.
    pub(super) fn compare(
        &self,
        count: u32,
        view: View<'_>,
        cx: &PickCx<'_>,
        mut compare: impl FnMut(Slot) -> bool,
    ) {
        let mut entropy = cx.entropy();
        let mut compared = 0;
        for _ in 0..count * 3 {
            let Some(slot) = self.draw(entropy) else { return };
            entropy = sample::mix(entropy);
            if !view.was_tried(slot, cx) && compare(slot) {
                compared += 1;
                if compared == count {
                    return;
                }
            }
        }
    }

    /// Any that the request has not tried, for when draws were in vain. O(n).
    pub(super) fn any_untried(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        any_untried(view, cx, self.slots())
    }
}
