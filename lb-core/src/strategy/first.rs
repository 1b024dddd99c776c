//! The first that can take the request.

use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy};
use crate::cluster::View;

/// The first backend in order that is not full; HAProxy's `first`.
///
/// Fills one backend to its [`max_in_flight`](crate::Backend::max_in_flight)
/// before it uses the next, so that the last ones may be switched off. Without
/// ceilings everything goes to the first. Weights are ignored,
/// and so are slow starts.
///
/// O(1 + number of full backends) per pick.
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

impl Strategy for First {
    fn name(&self) -> &'static str {
        "first"
    }

    fn build(&mut self, _: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(*self)
    }
}

impl Picker for First {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let mut slots = view.new_set().as_slice().iter().copied();
        let slot = slots.find(|slot| !view.is_full(*slot) && !view.was_tried(*slot, cx))?;
        Some(Choice::new(slot, Reason::First))
    }
}
