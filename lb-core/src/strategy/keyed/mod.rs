//! What all strategies that go by a key have in common.
//!
//! They differ in one thing: whom a key meets first, and whom then. That is a
//! [`Table`]. All else is here, once: who may take the request, bounded loads, the part
//! of a backend that starts slowly, and what comes when the table knows nobody more.
//! A [`ByKey`] is compiled for each table, so that a pick whose first backend takes it
//! is one look-up and three questions, whatever else could have happened.

mod bound;
mod cache;
mod hosts;
mod marks;
mod owners;
mod rehash;
mod size;

use std::{fmt::Debug, sync::Arc};

pub(super) use bound::Bound;
use bound::Shares;
pub(super) use cache::Cache;
pub(super) use hosts::{Host, Hosts};
pub(super) use marks::Marks;
pub(super) use owners::Owners;
pub(super) use rehash::Rehash;
pub(super) use size::{NOBODY, size_for};

use super::{Choice, PickCx, Picker, Reason};
use crate::cluster::{Slot, View};

/// Whom a key meets, one after the other, by position in the list of those that the
/// table was built of. Depends on names, addresses, and configured weights only, never
/// on who can be used: that keys return with their backend rests on it.
pub(super) trait Table: Debug + Send + Sync {
    /// Where one request is.
    type Walk<'k>;

    /// The beginning of a request's walk, given what it brings: its key, and entropy for
    /// when it has none.
    fn walk<'k>(&self, cx: &PickCx<'k>) -> Self::Walk<'k>;

    /// The next position; `None` when it is enough. The same one may come again.
    fn next(&self, walk: &mut Self::Walk<'_>) -> Option<usize>;
}

/// Picks by a table.
#[derive(Debug)]
pub(super) struct ByKey<T> {
    table: Arc<T>,
    /// Where each position is in this snapshot; empty when that is its number.
    slots: Box<[Slot]>,
    /// The part of its weight that each position has, of 2³²; empty when all have the
    /// whole, or nobody cares.
    parts: Box<[u64]>,
    shares: Option<Shares>,
    rest: Rest,
}

/// Who gets a request whose walk has met nobody.
#[derive(Debug)]
enum Rest {
    /// One of those that can take it, by rendezvous hashing.
    Heirs(Marks),
    /// Whose turn it is.
    Turns(Box<dyn Picker>),
}

impl<T: Table> ByKey<T> {
    /// For strategies that are our own: slow starts count, and in the end rendezvous
    /// hashing by `marks` finds who can take the request.
    pub(super) fn ours(table: Arc<T>, slots: Box<[Slot]>, marks: Marks, view: View<'_>) -> Self {
        Self { parts: parts(view, &slots), ..Self::new(table, slots, Rest::Heirs(marks)) }
    }

    /// For strategies that do as another program: weights are whole, and in the end
    /// `turns` decides.
    pub(super) fn theirs(table: Arc<T>, slots: Box<[Slot]>, turns: Box<dyn Picker>) -> Self {
        Self::new(table, slots, Rest::Turns(turns))
    }

    fn new(table: Arc<T>, slots: Box<[Slot]>, rest: Rest) -> Self {
        let are_numbers = slots.iter().enumerate().all(|(number, slot)| slot.index() == number);
        let slots = if are_numbers { Box::default() } else { slots };
        Self { table, slots, parts: Box::default(), shares: None, rest }
    }

    /// With this bound on what each may have in flight.
    pub(super) fn bounded(mut self, bound: Option<Bound>, view: View<'_>) -> Self {
        self.shares = bound.map(|bound| bound.over(view));
        self
    }

    fn slot(&self, position: usize) -> Slot {
        self.slots.get(position).copied().unwrap_or_else(|| Slot::new(position))
    }

    /// Whether a position takes this key although its backend starts slowly.
    fn takes(&self, position: usize, cx: &PickCx<'_>) -> bool {
        match (self.parts.get(position), &self.rest) {
            (Some(part), Rest::Heirs(marks)) => marks.is_within(*part, position, marks.hash(cx)),
            _ => true,
        }
    }

    /// Whether one more request leaves this backend within its bound. Keeps in `total` what
    /// is in flight, once it had to know.
    fn admits(&self, slot: Slot, total: &mut Option<u64>, view: View<'_>, cx: &PickCx<'_>) -> bool {
        let Some(shares) = &self.shares else { return true };
        shares.admit(slot, view, || *total.get_or_insert_with(|| shares.total(view, cx)))
    }

    #[cold]
    fn rest(&self, view: View<'_>, cx: &PickCx<'_>, mut total: Option<u64>) -> Option<Choice> {
        let marks = match &self.rest {
            Rest::Heirs(marks) => marks,
            Rest::Turns(turns) => return turns.pick(view, cx),
        };
        let hash = marks.hash(cx);
        let can = |position: usize| can(self.slot(position), view, cx);
        let may = |position: usize| {
            can(position)
                && self.takes(position, cx)
                && self.admits(self.slot(position), &mut total, view, cx)
        };
        // In the end also who is full: to say so is for the lease.
        let is_candidate = |position: usize| view.is_candidate(self.slot(position), cx);
        let heir = marks.highest(hash, may).or_else(|| marks.highest(hash, can));
        let position = heir.or_else(|| marks.highest(hash, is_candidate))?;
        Some(Choice::new(self.slot(position), self.reason(cx, usize::MAX)))
    }

    fn reason(&self, cx: &PickCx<'_>, attempt: usize) -> Reason {
        match (cx.key(), &self.rest) {
            (None, Rest::Heirs(_)) => Reason::Draw,
            _ => Reason::of_attempt(attempt),
        }
    }
}

impl<T: Table> Picker for ByKey<T> {
    // What the rest of a walk needs is put together there again: kept for it, it would have
    // to be in memory for every pick.
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let mut walk = self.table.walk(cx);
        let (mut attempt, mut total) = (0, None);
        while let Some(position) = self.table.next(&mut walk) {
            let slot = self.slot(position);
            if can(slot, view, cx)
                && self.takes(position, cx)
                && self.admits(slot, &mut total, view, cx)
            {
                return Some(Choice::new(slot, self.reason(cx, attempt)));
            }
            attempt += 1;
        }
        self.rest(view, cx, total)
    }
}

fn can(slot: Slot, view: View<'_>, cx: &PickCx<'_>) -> bool {
    view.is_candidate(slot, cx) && !view.is_full(slot)
}

/// The part of its weight that each has, of 2³²; empty when all have the whole.
fn parts(view: View<'_>, slots: &[Slot]) -> Box<[u64]> {
    let whole = |slot: &Slot| view.weight(*slot) == view.full_weight(*slot);
    if slots.iter().all(whole) {
        return Box::default();
    }
    let part = |slot: &Slot| {
        (u64::from(view.weight(*slot)) << 32) / u64::from(view.full_weight(*slot)).max(1)
    };
    slots.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{
        super::{BuildCx, Maglev, Strategy, Tried},
        *,
    };
    use crate::{Backend, Cluster, Membership, Tick};

    #[test]
    fn who_is_over_the_bound_is_better_than_who_is_full() {
        let one = NonZeroU32::MIN;
        let full = Backend::new("full").with_max_in_flight(one);
        let backends = [Backend::new("busy"), Backend::new("tried"), full];
        let cluster =
            Cluster::builder("test").membership(Membership::new(backends).unwrap()).build();
        let mut handle = cluster.handle();
        let mut acquire = |name| handle.acquire(&PickCx::new(Tick::ZERO, 0).preferring(name));
        let _held = ["busy", "busy", "busy", "full"].map(|name| acquire(name).unwrap());
        let snapshot = cluster.snapshot();
        let slot = |name| snapshot.find(name).unwrap();
        let mut tried = Tried::default();
        tried.add(snapshot.view().incarnation(slot("tried")));
        let picker = Maglev::default().build(snapshot.view(), &BuildCx::new(0, "test"));
        for key in (0..100_u32).map(u32::to_be_bytes) {
            let cx = PickCx::new(Tick::ZERO, 0).keyed(&key).avoiding(&tried);
            let choice = picker.pick(snapshot.view(), &cx).unwrap();
            assert_eq!(choice.slot(), slot("busy"));
        }
    }
}
