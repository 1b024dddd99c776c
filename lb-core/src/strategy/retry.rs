//! Where a request goes when everything it was offered has been tried.

use super::PickCx;
use crate::{
    cluster::{Slot, View},
    sample,
};

/// Any of `slots` that the request has not tried, all with the same chance: the
/// share of whoever was tried should not fall on one neighbour. O(n).
pub(super) fn any_untried(view: View<'_>, cx: &PickCx<'_>, slots: &[Slot]) -> Option<Slot> {
    let untried = || slots.iter().copied().filter(|slot| !view.was_tried(*slot, cx));
    let count = untried().count();
    (count > 0).then(|| untried().nth(sample::index(sample::mix(cx.entropy()), count)))?
}
