//! What all strategies that go by a key have in common.
//!
//! They differ in one thing: whom a key meets first, and whom then. That is a
//! [`Table`]. All else is here, once: who may take the request, bounded loads, the part
//! of a backend that starts slowly, and what comes when the table knows nobody more.
//!
//! A [`ByKey`] is compiled for each table, and twice: what most picks are, a key's own
//! backend that takes anybody, is one look-up and one [`Place`] in a function that calls
//! little and so saves few registers. All else that could happen is in another, which
//! begins anew; that a key is hashed twice then, where there is no bound, costs less than to
//! hand over what was found.

mod bound;
mod cache;
mod hosts;
mod marks;
mod owners;
mod places;
mod recipe;
mod rehash;
mod size;

use std::{fmt::Debug, sync::Arc};

pub(super) use bound::Bound;
use bound::Shares;
use cache::Cache;
pub(super) use hosts::{Host, Hosts};
pub(super) use marks::Marks;
pub(super) use owners::Owners;
use places::Place;
pub(super) use recipe::Recipe;
pub(super) use rehash::Rehash;
pub(super) use size::{NOBODY, size_for};

use super::{Choice, PickCx, Picker, Reason};
use crate::{
    cluster::{Slot, View},
    sample,
};

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

    /// The first position that a key meets, as a walk would find it; `None` where nobody is
    /// met, or a walk has to say.
    fn home(&self, key: &[u8]) -> Option<usize>;
}

/// Picks by a table.
#[derive(Debug)]
pub(super) struct ByKey<T> {
    table: Arc<T>,
    /// By position.
    places: Box<[Place]>,
    /// The part of its weight that each position has, of [`WHOLE`]; empty when all have the
    /// whole, or nobody cares.
    parts: Box<[u64]>,
    shares: Option<Shares>,
    rest: Rest,
}

/// All of a weight.
const WHOLE: u64 = 1 << 32;

/// Who gets a request whose walk has met nobody.
#[derive(Debug)]
enum Rest {
    /// One of those that can take it, by rendezvous hashing; and the positions of all who
    /// take anybody.
    Heirs(Marks, Box<[u32]>),
    /// Whose turn it is.
    Turns(Box<dyn Picker>),
}

impl<T: Table> ByKey<T> {
    /// For strategies that are our own: slow starts count, and in the end rendezvous
    /// hashing by `marks` finds who can take the request.
    pub(super) fn ours(table: Arc<T>, slots: &[Slot], marks: Marks, view: View<'_>) -> Self {
        let parts = parts(view, slots);
        let places = Place::all(slots, &parts, view);
        let heirs = (0..).zip(&places).filter(|(_, place)| !place.is_out());
        let heirs = heirs.map(|(position, _)| position).collect();
        Self { table, places, parts, shares: None, rest: Rest::Heirs(marks, heirs) }
    }

    /// For strategies that do as another program: weights are whole, and in the end
    /// `turns` decides.
    pub(super) fn theirs(
        table: Arc<T>,
        slots: &[Slot],
        turns: Box<dyn Picker>,
        view: View<'_>,
    ) -> Self {
        let places = Place::all(slots, &[], view);
        Self { table, places, parts: Box::default(), shares: None, rest: Rest::Turns(turns) }
    }

    /// The slot of a position, if it takes any request that has been nowhere.
    pub(super) fn open_slot(&self, position: usize) -> Option<Slot> {
        let place = self.places.get(position)?;
        (self.shares.is_none() && place.takes_all()).then(|| place.slot())
    }

    /// With this bound on what each may have in flight.
    pub(super) fn bounded(mut self, bound: Option<Bound>, view: View<'_>) -> Self {
        self.shares = bound.map(|bound| bound.over(view));
        self
    }

    /// Meets one after the other until somebody takes the request.
    #[inline(never)]
    fn walk(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let mut walk = self.table.walk(cx);
        let (mut attempt, mut total) = (0, None);
        while let Some(position) = self.table.next(&mut walk) {
            let place = self.places[position];
            if can(place, view, cx)
                && self.takes(position, cx)
                && self.admits(place.slot(), &mut total, view, cx)
            {
                return Some(place.choice(self.reason(cx, attempt)));
            }
            attempt += 1;
        }
        self.rest(view, cx, total)
    }

    /// Whether a position takes this key although its backend starts slowly.
    #[inline]
    fn takes(&self, position: usize, cx: &PickCx<'_>) -> bool {
        !self.places[position].is_in_part() || self.takes_in_part(position, cx)
    }

    #[inline(never)]
    fn takes_in_part(&self, position: usize, cx: &PickCx<'_>) -> bool {
        match (self.parts.get(position), &self.rest) {
            (Some(part), Rest::Heirs(marks, _)) => marks.is_within(*part, position, marks.hash(cx)),
            _ => true,
        }
    }

    /// Whether one more request leaves this backend within its bound. Keeps in `total` what
    /// is in flight, once it had to know.
    #[inline]
    fn admits(&self, slot: Slot, total: &mut Option<u64>, view: View<'_>, cx: &PickCx<'_>) -> bool {
        let Some(shares) = &self.shares else { return true };
        shares.admit(slot, view, || *total.get_or_insert_with(|| shares.total(view, cx)))
    }

    #[cold]
    fn rest(&self, view: View<'_>, cx: &PickCx<'_>, mut total: Option<u64>) -> Option<Choice> {
        let (marks, heirs) = match &self.rest {
            Rest::Heirs(marks, heirs) => (marks, heirs),
            Rest::Turns(turns) => {
                let within = self.anybody_within(&mut total, view, cx);
                return within.or_else(|| turns.pick(view, cx));
            }
        };
        let hash = marks.hash(cx);
        let can = |position: usize| can(self.places[position], view, cx);
        let may = |position: usize| {
            can(position)
                && self.takes(position, cx)
                && self.admits(self.places[position].slot(), &mut total, view, cx)
        };
        // In the end also who is full: to say so is for the lease.
        let is_candidate = |position: usize| view.is_candidate(self.places[position].slot(), cx);
        let heir = marks.highest(hash, heirs, may).or_else(|| marks.highest(hash, heirs, can));
        let position = heir.or_else(|| marks.highest(hash, heirs, is_candidate))?;
        Some(self.places[position].choice(self.reason(cx, usize::MAX)))
    }

    /// Where loads are bounded, anybody whose bound admits one more, looked for from a drawn
    /// position on: the turns of others know no bounds.
    fn anybody_within(
        &self,
        total: &mut Option<u64>,
        view: View<'_>,
        cx: &PickCx<'_>,
    ) -> Option<Choice> {
        if self.shares.is_none() || self.places.is_empty() {
            return None;
        }
        let start = sample::index(cx.entropy(), self.places.len());
        let (before, from) = self.places.split_at(start);
        let mut places = from.iter().chain(before).copied();
        let place = places
            .find(|place| can(*place, view, cx) && self.admits(place.slot(), total, view, cx))?;
        Some(place.choice(self.reason(cx, usize::MAX)))
    }

    #[inline]
    fn reason(&self, cx: &PickCx<'_>, attempt: usize) -> Reason {
        let is_drawn = cx.key().is_none() && matches!(self.rest, Rest::Heirs(..));
        if is_drawn { Reason::Draw } else { Reason::of_attempt(attempt) }
    }
}

impl<T: Table> Picker for ByKey<T> {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        if self.shares.is_none()
            && let Some(key) = cx.untried_key()
            && let Some(position) = self.table.home(key)
            && let Some(place) = self.places.get(position)
            && place.takes_all()
        {
            debug_assert_eq!(self.table.next(&mut self.table.walk(cx)), Some(position));
            return Some(place.choice(Reason::Key));
        }
        self.walk(view, cx)
    }
}

#[inline]
fn can(place: Place, view: View<'_>, cx: &PickCx<'_>) -> bool {
    let slot = place.slot();
    let is_full = || place.may_be_full() && view.is_full(slot);
    !place.is_out() && !view.was_tried(slot, cx) && !is_full()
}

/// The part of its weight that each has, of [`WHOLE`]; empty when all have the whole.
fn parts(view: View<'_>, slots: &[Slot]) -> Box<[u64]> {
    let whole = |slot: &Slot| view.weight(*slot) == view.full_weight(*slot);
    if slots.iter().all(whole) {
        return Box::default();
    }
    let part = |slot: &Slot| {
        u64::from(view.weight(*slot)) * WHOLE / u64::from(view.full_weight(*slot)).max(1)
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
