//! Apache's `bybusyness`.

use std::sync::Arc;

use super::{
    BuildCx, Choice, PerGroup, PickCx, Picker, Reason, Strategy, field::Field, round_robin::Cursor,
    scan::Cost,
};
use crate::cluster::View;

/// The backend with the fewest requests in flight, whatever its weight; Apache's
/// `mod_lbmethod_bybusyness`.
///
/// Weights only say who is next among those that are equally busy: when all are, in
/// smooth round-robin order, exactly as Apache with nothing in flight. When some are,
/// one of those is drawn by weight, where Apache goes by credits that everybody gains
/// with each request; those would have to be written by all workers with each pick.
/// So a heavy backend is not busier than a light one;
/// [`LeastConn`](super::LeastConn) is for backends that differ. What failed a moment
/// ago counts as in flight ([`View::pressure`]).
///
/// Up to eight backends are compared one by one. Of more, where Apache goes on comparing
/// all, the best of four draws by weight is taken, as by `LeastConn`. O(1) per pick.
#[derive(Debug, Default)]
pub struct ByBusyness {
    cursors: PerGroup<Option<Arc<Cursor>>>,
}

#[derive(Debug)]
struct LeastBusy(Field);

impl Strategy for ByBusyness {
    fn name(&self) -> &'static str {
        "bybusyness"
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        Box::new(LeastBusy(Field::new(view, self.cursors.of(cx.group()), cx.entropy)))
    }
}

impl Picker for LeastBusy {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let cost = |slot| Cost { amount: u128::from(view.pressure(slot, cx.now())), weight: 1 };
        let slot = self.0.cheapest(view, cx, cost)?;
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}
