//! Everybody in turn.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    BuildCx, Choice, PerGroup, PickCx, Picker, Reason, Strategy, Tickets, blocks::Blocks,
    retry::any_untried, schedule::Schedule,
};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// Smooth weighted round-robin, exact over all workers together.
///
/// The order is nginx's (see its `ngx_http_upstream_round_robin`); with equal
/// weights, the order of the list. One counter is shared by all workers, so any
/// whole cycle of requests is split exactly by weight however many workers took
/// them. That costs one contended addition per pick.
///
/// The cursor starts at a place given by the cluster's entropy, so that a fleet of
/// balancers doesn't send its first requests to the same backend, and it keeps
/// counting across rebuilds. A request that is picked for again, because its first
/// backend failed or was closed, takes nobody's turn: it goes to one drawn from the
/// cycle, so that not all of them fall on the one that comes next.
///
/// With [`Tickets::Blocks`] a [worker](PickCx::on_worker) takes 64 turns at once and
/// plays them alone. That gives up exactness over the workers between blocks: a whole
/// block is split exactly as the same turns of the cycle would be, but the blocks that
/// are being played are at different places, and each may have a backend up to three
/// turns off its share. Workers may be at the same place of the cycle at the same
/// time. What is left of a block when the backends change is played in the new cycle.
/// Two threads of one number may both play the same turn.
///
/// O(1) per pick; a second pick for a request O(n) at worst.
#[derive(Debug, Default)]
pub struct RoundRobin {
    tickets: Tickets,
    /// `None` before a group's first build.
    cursors: PerGroup<Option<Arc<Cursor>>>,
    blocks: PerGroup<Option<Arc<Blocks>>>,
}

impl RoundRobin {
    /// Has turns handed out in this way; one by one unless said.
    #[must_use]
    pub fn tickets(mut self, tickets: Tickets) -> Self {
        self.tickets = tickets;
        self
    }
}

/// The next ticket. Written by every pick; relaxed, because a ticket orders
/// nothing but itself. On a line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Cursor(AtomicU64);

impl Cursor {
    pub(super) fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// The cursor in `place`, or a new one that starts where `entropy` says: at a
    /// number that means another place in a cycle of any length.
    pub(super) fn keep(place: &mut Option<Arc<Self>>, entropy: u64) -> Arc<Self> {
        // Halved, so that it does not run over within 2^63 requests.
        let start = AtomicU64::new(entropy / 2);
        Arc::clone(place.get_or_insert_with(|| Arc::new(Self(start))))
    }
}

#[derive(Debug)]
struct Turns {
    counter: Counter,
    slots: Box<[Slot]>,
    schedule: Schedule,
}

#[derive(Debug)]
enum Counter {
    Exact(Arc<Cursor>),
    Blocks(Arc<Blocks>),
}

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let slots: Box<[Slot]> = view.new_set().as_slice().into();
        let weights: Vec<u32> = slots.iter().map(|slot| view.weight(*slot)).collect();
        let schedule = Schedule::new(&slots, &weights);
        let counter = match self.tickets {
            Tickets::Exact => Counter::Exact(Cursor::keep(self.cursors.of(cx.group()), cx.entropy)),
            Tickets::Blocks => {
                Counter::Blocks(Blocks::keep(self.blocks.of(cx.group()), cx.entropy))
            }
        };
        Box::new(Turns { counter, slots, schedule })
    }
}

impl Picker for Turns {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        if !cx.is_untried() {
            return self.another(view, cx);
        }
        let slot = match &self.counter {
            Counter::Exact(cursor) => self.schedule.turn(cursor.take()),
            Counter::Blocks(blocks) => blocks.turn(&self.schedule, cx),
        };
        slot.map(|slot| Choice::new(slot, Reason::Turn))
    }
}

impl Turns {
    /// For a request that has been somewhere.
    #[cold]
    fn another(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let mut drawn = (0..8).filter_map(|n| self.schedule.turn(sample::mix(cx.entropy() ^ n)));
        drawn
            .find(|slot| !view.was_tried(*slot, cx))
            .or_else(|| any_untried(view, cx, &self.slots))
            .map(|slot| Choice::new(slot, Reason::Turn))
    }
}
