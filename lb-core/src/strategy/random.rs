//! A draw, by weight.

use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy, alias::AliasTable};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// A random backend, each with the chance of its weight.
///
/// Keeps nothing between picks and shares nothing between workers: the choice
/// where many balancers stand before many backends and nothing else is known.
/// Bursts happen; the queueing they cost is that of random arrivals.
///
/// O(1) per pick, by an alias table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

#[derive(Debug)]
struct Draws {
    slots: Box<[Slot]>,
    table: AliasTable,
}

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        let slots: Box<[Slot]> = view.new_set().as_slice().into();
        let weights: Vec<u32> = slots.iter().map(|slot| view.weight(*slot)).collect();
        Box::new(Draws { slots, table: AliasTable::new(&weights) })
    }
}

impl Picker for Draws {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let first = self.slots[self.table.draw(cx.entropy())?];
        if !view.was_tried(first, cx) {
            return Some(Choice::new(first, Reason::Draw));
        }
        // Draw again, so that the others keep their proportions; rarely in vain.
        let redraws = (1..=16).filter_map(|n| self.table.draw(sample::mix(cx.entropy() ^ n)));
        let all = 0..self.slots.len();
        let mut slots = redraws.chain(all).map(|position| self.slots[position]);
        slots.find(|slot| !view.was_tried(*slot, cx)).map(|slot| Choice::new(slot, Reason::Draw))
    }
}
