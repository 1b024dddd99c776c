//! The better of two.

use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// Draws two different backends and takes the one with less in flight for its
/// weight (Mitzenmacher: *The Power of Two Choices in Randomized Load Balancing*,
/// 1996; as in linkerd and Envoy, but the two are never the same one).
///
/// The draws are even; weights count in the comparison, (in flight + 1) ÷ weight.
/// Where a single balancer sees all traffic, [`LeastConn`](super::LeastConn) has
/// the shorter tail.
///
/// O(1) per pick.
#[derive(Clone, Copy, Debug, Default)]
pub struct P2c;

impl Strategy for P2c {
    fn name(&self) -> &'static str {
        "p2c"
    }

    fn build(&mut self, _: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(*self)
    }
}

impl Picker for P2c {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let slots = view.new_set().as_slice();
        let chosen = |slot| Some(Choice::new(slot, Reason::LeastLoaded));
        if slots.len() < 2 {
            return chosen(*slots.first().filter(|slot| !view.was_tried(**slot, cx))?);
        }
        let [one, other] = two_of(slots, cx.entropy());
        match (view.was_tried(one, cx), view.was_tried(other, cx)) {
            (false, false) => chosen(less_loaded(view, one, other)),
            (false, true) => chosen(one),
            (true, false) => chosen(other),
            (true, true) => chosen(least_loaded(view, slots.iter().copied(), cx)?),
        }
    }
}

/// Two different slots; there must be two.
fn two_of(slots: &[Slot], entropy: u64) -> [Slot; 2] {
    let one = sample::index(entropy, slots.len());
    // The low half, moved to where `index` looks.
    let step = sample::index(entropy.rotate_left(32), slots.len() - 1) + 1;
    let other = (one + step) % slots.len();
    [slots[one], slots[other]]
}

/// The one with the smaller (in flight + 1) ÷ weight; `one` when they are equal.
pub(super) fn less_loaded(view: View<'_>, one: Slot, other: Slot) -> Slot {
    let cost = |slot, rival| (u64::from(view.in_flight(slot)) + 1) * u64::from(view.weight(rival));
    if cost(other, one) < cost(one, other) { other } else { one }
}

/// The least loaded of those that were not tried. O(n).
pub(super) fn least_loaded(
    view: View<'_>,
    slots: impl Iterator<Item = Slot>,
    cx: &PickCx<'_>,
) -> Option<Slot> {
    slots
        .filter(|slot| !view.was_tried(*slot, cx))
        .reduce(|one, other| less_loaded(view, one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_are_different_and_all_pairs_are_as_likely() {
        let slots: Vec<Slot> = (0..5).map(Slot::new).collect();
        let mut counts = [[0_u32; 5]; 5];
        for counter in 0..200_000 {
            let [one, other] = two_of(&slots, sample::mix(counter));
            counts[one.index()][other.index()] += 1;
        }
        for (one, row) in counts.iter().enumerate() {
            for (other, count) in row.iter().enumerate() {
                // Binomial(200000, 1/20): sigma is 97, so five are 487.
                let expected = if one == other { 0 } else { 10_000 };
                assert!(count.abs_diff(expected) < 487, "{counts:?}");
            }
        }
    }
}
