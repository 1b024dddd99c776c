//! The cheapest of all backends, looked at one by one.
//!
//! For strategies whose backends differ in more than one bit. When all cost the same
//! they take turns in smooth round-robin order; when some do, one of those is drawn by
//! weight, and not by turns: the turns of those who are not among them would all fall
//! on whoever comes next.

use std::sync::Arc;

use super::{PickCx, round_robin::Cursor, schedule::Schedule};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// What one more request on a backend costs: the smaller amount ÷ weight wins. Amounts
/// are below 2⁹⁶, so that costs are compared without division.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) amount: u128,
    pub(super) weight: u32,
}

impl Cost {
    pub(super) fn is_below(self, other: Self) -> bool {
        self.amount * u128::from(other.weight) < other.amount * u128::from(self.weight)
    }
}

/// The pickable backends of a snapshot, to compare. O(n) per pick.
#[derive(Debug)]
pub(super) struct Scan {
    slots: Box<[Slot]>,
    weights: Box<[u32]>,
    schedule: Schedule,
    cursor: Arc<Cursor>,
}

impl Scan {
    /// Over the backends that take anybody, with turns counted by `cursor`.
    pub(super) fn new(view: View<'_>, cursor: Arc<Cursor>) -> Self {
        let slots: Box<[Slot]> = view.new_set().as_slice().into();
        let weights: Box<[u32]> = slots.iter().map(|slot| view.weight(*slot)).collect();
        let schedule = Schedule::new(&slots, &weights);
        Self { slots, weights, schedule, cursor }
    }

    /// The cheapest that the request has not tried.
    pub(super) fn cheapest(
        &self,
        view: View<'_>,
        cx: &PickCx<'_>,
        cost: impl Fn(Slot) -> Cost,
    ) -> Option<Slot> {
        let mut best: Option<(Cost, Slot)> = None;
        // Of those that cost as little as the best: how many, of which weight.
        let (mut count, mut weight) = (0, 0);
        let mut entropy = cx.entropy();
        for (position, slot) in self.slots.iter().copied().enumerate() {
            if view.was_tried(slot, cx) {
                continue;
            }
            let cost = cost(slot);
            let here = self.weights[position] as usize;
            match best {
                Some((least, _)) if least.is_below(cost) => {}
                Some((least, _)) if !cost.is_below(least) => {
                    (count, weight) = (count + 1, weight + here);
                    // Each stays with the chance of its weight among all up to it.
                    entropy = sample::mix(entropy);
                    if sample::index(entropy, weight) < here {
                        best = Some((least, slot));
                    }
                }
                _ => {
                    best = Some((cost, slot));
                    (count, weight) = (1, here);
                }
            }
        }
        if count > 1 && count == self.slots.len() {
            return self.schedule.turn(self.cursor.take());
        }
        best.map(|(_, slot)| slot)
    }
}
