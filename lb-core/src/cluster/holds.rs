//! What a worker's leases hold on to, and how they get it without counting.
//!
//! A lease needs an `Arc` of its own, because it may outlive the handle and end on
//! another thread. Cloning and dropping one is two locked operations, as many as the
//! whole rest of a request costs. So leases that end where they began give theirs
//! back, and the next one takes it.

use std::{cell::Cell, sync::Arc};

use super::{driver::Driver, eligibility::Standing, feedback::Feedback};
use crate::{
    backend::{Backend, IncarnationId, load::Load, tallies::Tallies},
    sync,
};

/// One worker's hold on one incarnation. Its leases share this and not something
/// that other workers share as well, so counting references touches no cache line
/// of theirs; and they keep one incarnation alive, not the snapshot they were
/// picked from: a connection that lasts for hours costs what it uses.
pub(super) struct Hold {
    pub(super) backend: Arc<Backend>,
    pub(super) incarnation: IncarnationId,
    pub(super) load: sync::Arc<Load>,
    pub(super) standing: Standing,
    pub(super) driver: Arc<Driver>,
    /// Where outliers are looked for.
    pub(super) tallies: Option<sync::Arc<Tallies>>,
    pub(super) feedback: Feedback,
}

/// A worker's holds on one backend: the one it keeps, and spare ones. One cache line.
///
/// There are few spare ones, because few are enough: how many are out goes up and
/// down by one, and only where it passes what is kept here is one cloned or dropped.
#[repr(align(64))]
pub(super) struct Holds {
    own: Arc<Hold>,
    spare: [Cell<Option<Arc<Hold>>>; Self::SPARE],
    /// How many of `spare` are there: the first.
    count: Cell<usize>,
}

impl Holds {
    const SPARE: usize = 6;

    pub(super) fn new(own: Arc<Hold>) -> Self {
        Self { own, spare: Default::default(), count: Cell::new(0) }
    }

    pub(super) fn own(&self) -> &Arc<Hold> {
        &self.own
    }

    /// A hold for a lease.
    #[inline]
    pub(super) fn take(&self) -> Arc<Hold> {
        let last = self.count.get().wrapping_sub(1);
        if let Some(hold) = self.spare.get(last).and_then(Cell::take) {
            self.count.set(last);
            return hold;
        }
        Arc::clone(&self.own)
    }

    /// Keeps the hold of a lease that is over, if it is one of these and there is room.
    #[inline]
    pub(super) fn give_back(&self, hold: Arc<Hold>) {
        let count = self.count.get();
        if let Some(place) = self.spare.get(count)
            && Arc::ptr_eq(&hold, &self.own)
        {
            place.set(Some(hold));
            self.count.set(count + 1);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{
        backend::{meters::Means, seat::Seats},
        strategy::Needs,
    };

    fn hold() -> Arc<Hold> {
        Arc::new(Hold {
            backend: Arc::new(Backend::new("a")),
            incarnation: IncarnationId::from_number(1),
            load: sync::Arc::new(Load::new(Seats::default().take())),
            standing: Standing::In,
            driver: Driver::new(),
            tallies: None,
            feedback: Feedback { needs: Needs::default(), means: Arc::new(Means::new()) },
        })
    }

    #[test]
    fn a_hold_that_came_back_is_handed_out_again() {
        let holds = Holds::new(hold());
        let hold = holds.take();
        assert_eq!(Arc::strong_count(holds.own()), 2);
        holds.give_back(hold);
        let _hold = holds.take();
        assert_eq!(Arc::strong_count(holds.own()), 2, "another clone was made");
    }

    #[test]
    fn more_than_there_is_room_for_are_dropped() {
        let holds = Holds::new(hold());
        let out: Vec<_> = (0..20).map(|_| holds.take()).collect();
        out.into_iter().for_each(|hold| holds.give_back(hold));
        assert_eq!(Arc::strong_count(holds.own()), 1 + Holds::SPARE);
    }

    #[test]
    fn a_hold_of_another_life_is_not_kept() {
        let holds = Holds::new(hold());
        let other = hold();
        holds.give_back(Arc::clone(&other));
        assert_eq!(Arc::strong_count(&other), 1);
    }

    #[test]
    fn the_holds_on_a_backend_fit_a_cache_line() {
        assert_eq!(size_of::<Holds>(), 64);
    }
}
