//! Everybody while they are few, and otherwise some.
//!
//! To look at all backends costs a cache line each. Beyond a few, the best of four draws
//! by weight is nearly as good (Mitzenmacher: *The Power of Two Choices in Randomized Load
//! Balancing*, 1996), and spares the best one that all workers take it at once.

use std::sync::Arc;

use super::{
    PickCx,
    draws::Draws,
    round_robin::Cursor,
    scan::{Cost, Scan},
};
use crate::cluster::{Slot, View};

/// Up to this many backends are compared one by one.
const SCANNED: usize = 8;
/// How many are drawn of more.
const DRAWS: u32 = 4;

/// Among whom to choose.
#[derive(Debug)]
pub(super) enum Field {
    Scanned(Scan),
    Drawn(Draws),
}

impl Field {
    /// Of the backends that take anybody, with turns counted by the cursor in `place`.
    pub(super) fn new(view: View<'_>, place: &mut Option<Arc<Cursor>>, entropy: u64) -> Self {
        if view.new_set().len() > SCANNED {
            Self::Drawn(Draws::new(view))
        } else {
            Self::Scanned(Scan::new(view, Cursor::keep(place, entropy)))
        }
    }

    /// The cheapest that the request has not tried, of those looked at.
    pub(super) fn cheapest(
        &self,
        view: View<'_>,
        cx: &PickCx<'_>,
        cost: impl Fn(Slot) -> Cost,
    ) -> Option<Slot> {
        match self {
            Self::Scanned(scan) => scan.cheapest(view, cx, cost),
            Self::Drawn(draws) => draws.cheapest_of(DRAWS, view, cx, cost),
        }
    }
}
