//! What a strategy sees: the one set of questions it may ask.

use super::{
    eligibility::Standing,
    groups::{Group, GroupId},
    slots::{Slot, SlotSet},
    snapshot::Roster,
};
use crate::{
    backend::{Backend, IncarnationId},
    strategy::PickCx,
    time::Tick,
};

/// A snapshot as pickers see it: all backends in order, the two sets that may be
/// picked from, weights, and the present load of each.
///
/// Loads are read through methods and never as fields, so that a recorded
/// decision can be replayed with the numbers it saw.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(super) roster: &'a Roster,
    group: &'a Group,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(roster: &'a Roster) -> Self {
        Self { roster, group: &roster.groups.whole }
    }

    /// What the picker of one group sees.
    pub(super) fn of_group(roster: &'a Roster, group: &'a Group) -> Self {
        Self { roster, group }
    }

    /// How many backends there are, pickable or not.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        self.roster.members.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.roster.members.is_empty()
    }

    /// All slots in order.
    pub fn slots(self) -> impl ExactSizeIterator<Item = Slot> {
        (0..self.len()).map(Slot::new)
    }

    /// The [tier](Backend::tier) in use: that of the backends in
    /// [`new_set`](Self::new_set), or of several the first. `None` when nobody can be used.
    #[must_use]
    pub fn tier(self) -> Option<u8> {
        self.group.id.map(GroupId::tier)
    }

    /// The slots that take anybody, in order. A picker sees those of its
    /// [group](crate::strategy::BuildCx::group), all of one tier; the view of a
    /// [snapshot](super::Snapshot::view) has those of all groups. Half-open backends of
    /// tiers and zones that are not in use are not among them: those are tried before a
    /// strategy is asked.
    #[inline]
    #[must_use]
    pub fn new_set(self) -> &'a SlotSet {
        &self.group.new
    }

    /// The slots that take clients bound to them, in order. Contains
    /// [`new_set`](Self::new_set).
    #[must_use]
    pub fn bound_set(self) -> &'a SlotSet {
        &self.roster.bound
    }

    /// The description of a backend.
    #[inline]
    #[must_use]
    pub fn backend(self, slot: Slot) -> &'a Backend {
        &self.roster.members[slot.index()].backend
    }

    /// Which life of the backend this is.
    #[inline]
    #[must_use]
    pub fn incarnation(self, slot: Slot) -> IncarnationId {
        self.roster.members[slot.index()].incarnation
    }

    /// Where it stands, and why.
    #[must_use]
    pub fn standing(self, slot: Slot) -> Standing {
        self.roster.members[slot.index()].standing
    }

    /// The weight in force. While anybody [starts slowly](super::SlowStart), all
    /// weights are ten times what they are otherwise: compare them with each other
    /// only.
    #[inline]
    #[must_use]
    pub fn weight(self, slot: Slot) -> u32 {
        self.roster.hot[slot.index()].weight
    }

    /// The weight that was decided, whatever slow start makes of it for now. For
    /// strategies whose tables should not change with every step.
    #[must_use]
    pub fn base_weight(self, slot: Slot) -> u32 {
        self.roster.members[slot.index()].base_weight
    }

    /// The weight in force once its slow start is over: the same as
    /// [`weight`](Self::weight) for who does not start slowly.
    #[must_use]
    pub fn full_weight(self, slot: Slot) -> u32 {
        self.base_weight(slot) * self.roster.weight_scale
    }

    /// How busy it is, in 1/256 of a request: the requests in flight, and one more for
    /// each failure, which decays by half every second and is nothing below a half.
    /// So a backend that fails at once does not look idle. This is what strategies
    /// that go by load compare. One that is half-open and being tried has more than
    /// any other.
    #[inline]
    #[must_use]
    pub fn pressure(self, slot: Slot, now: Tick) -> u64 {
        self.roster.hot[slot.index()].load.pressure(now)
    }

    /// What of its [pressure](Self::pressure) is not requests in flight.
    pub(crate) fn failure_pressure(self, slot: Slot, now: Tick) -> u64 {
        self.roster.hot[slot.index()].load.failure_pressure(now)
    }

    /// Requests it is working on.
    #[inline]
    #[must_use]
    pub fn in_flight(self, slot: Slot) -> u32 {
        self.roster.hot[slot.index()].load.busy()
    }

    /// Requests whose client has not got the whole answer.
    #[must_use]
    pub fn held(self, slot: Slot) -> u32 {
        self.roster.hot[slot.index()].load.held()
    }

    /// Whether it has as many requests in flight as it may: its ceiling, or one while
    /// it is half-open.
    #[inline]
    #[must_use]
    pub fn is_full(self, slot: Slot) -> bool {
        let hot = &self.roster.hot[slot.index()];
        hot.limit.is_some_and(|limit| hot.load.busy() >= limit.get())
            || hot.load.gate().is_occupied()
    }

    /// Whether there is a limit to its requests in flight.
    pub(crate) fn has_ceiling(self, slot: Slot) -> bool {
        self.roster.hot[slot.index()].limit.is_some()
    }

    /// How many requests in a row failed there, up to now, and when the last did;
    /// `None` when the last one worked.
    #[must_use]
    pub fn failures(self, slot: Slot) -> Option<(u32, Tick)> {
        self.roster.hot[slot.index()].load.failures()
    }

    /// Whether a request of this context may go there: the slot takes anybody and
    /// was not tried. Whether it is full shows when it is reserved.
    #[inline]
    #[must_use]
    pub fn is_candidate(self, slot: Slot, cx: &PickCx<'_>) -> bool {
        self.group.new.contains(slot) && !self.was_tried(slot, cx)
    }

    /// Whether it belongs to the group, able to take requests or not.
    pub(crate) fn is_of_group(self, slot: Slot) -> bool {
        self.group.id.is_some() && self.roster.groups.home(slot) == self.group.id
    }

    /// Whether the request has been there.
    #[inline]
    #[must_use]
    pub fn was_tried(self, slot: Slot, cx: &PickCx<'_>) -> bool {
        !cx.is_untried() && cx.tried().contains(self.incarnation(slot))
    }

    /// The stable number of a backend's seat, as [`Lease::seat`](super::Lease::seat) has
    /// it: an index for what the caller keeps per backend.
    ///
    /// Bit `seat % 64` of the idle bits of block `seat / 64` belongs to it. All about
    /// those is for the pickers of this crate only.
    #[must_use]
    pub fn seat(self, slot: Slot) -> usize {
        self.roster.hot[slot.index()].load.seat().number() as usize
    }

    /// How many blocks of 64 seats there are.
    pub(crate) fn seat_blocks(self) -> usize {
        self.roster.blocks.len()
    }

    /// The idle bits of 64 seats: of whoever is idle, and perhaps of others. Only right
    /// if the strategy [needs](crate::strategy::Needs) them.
    pub(crate) fn idle_bits(self, block: usize) -> u64 {
        self.roster.blocks[block].idle()
    }

    /// Whether it has nothing to do, and no failure of a moment ago weighs on it.
    #[inline]
    pub(crate) fn is_idle(self, slot: Slot) -> bool {
        self.roster.hot[slot.index()].load.is_idle()
    }

    /// The same for who found its idle bit set: a bit that is wrong is cleared.
    pub(crate) fn confirm_idle(self, slot: Slot) -> bool {
        self.roster.hot[slot.index()].load.confirm_idle()
    }
}
