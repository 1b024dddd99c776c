//! Everybody in turn.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy, schedule::Schedule};
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
/// backend failed or was closed, goes to the next in the cycle without taking
/// anybody's turn.
///
/// O(1) per pick.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// `None` before the first build.
    cursor: Option<Arc<Cursor>>,
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

    fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The cursor in `place`, or a new one that starts where `entropy` says in a
    /// cycle of `turns`.
    pub(super) fn keep(place: &mut Option<Arc<Self>>, entropy: u64, turns: usize) -> Arc<Self> {
        let start = || sample::index(entropy, turns.max(1)) as u64;
        Arc::clone(place.get_or_insert_with(|| Arc::new(Self(AtomicU64::new(start())))))
    }
}

#[derive(Debug)]
struct Turns {
    cursor: Arc<Cursor>,
    slots: Box<[Slot]>,
    schedule: Schedule,
}

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let slots: Box<[Slot]> = view.new_set().as_slice().into();
        let weights: Vec<u32> = slots.iter().map(|slot| view.weight(*slot)).collect();
        let schedule = Schedule::new(&weights);
        let cursor = Cursor::keep(&mut self.cursor, cx.entropy, schedule.len());
        Box::new(Turns { cursor, slots, schedule })
    }
}

impl Picker for Turns {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let turn = |position: usize| Choice::new(self.slots[position], Reason::Turn);
        if cx.tried().is_empty() {
            return self.schedule.turn(self.cursor.take()).map(turn);
        }
        let ticket = self.cursor.peek();
        let first = self.schedule.turn(ticket).into_iter();
        let mut turns = first.chain(self.schedule.after(ticket)).map(turn);
        turns.find(|choice| !view.was_tried(choice.slot(), cx))
    }
}
