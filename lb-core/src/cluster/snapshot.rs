//! The set of backends as pickable now.

use std::{num::NonZeroU32, sync::Arc};

use super::{
    change::Version,
    eligibility::Standing,
    generation::Stamp,
    slots::{Slot, SlotSet},
    view::View,
};
use crate::{
    backend::{Backend, IncarnationId, load::Load, seat::Block},
    strategy::Picker,
    sync,
};

/// All backends of a cluster in order, where each stands, and the picker built
/// for exactly this set. Immutable; the numbers behind [`View`] are live.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) roster: Roster,
    pub(super) picker: Box<dyn Picker>,
    pub(super) stamp: Stamp,
    pub(super) version: Version,
    pub(super) publication: u64,
}

/// Who is there. What a picker is built from, and later reads.
#[derive(Debug)]
pub(super) struct Roster {
    /// What picks read, close together.
    pub(super) hot: Box<[Hot]>,
    pub(super) members: Box<[Member]>,
    /// Slots sorted by name.
    pub(super) by_name: Box<[Slot]>,
    pub(super) new: SlotSet,
    pub(super) bound: SlotSet,
    pub(super) blocks: Box<[sync::Arc<Block>]>,
}

#[derive(Debug)]
pub(super) struct Hot {
    pub(super) load: sync::Arc<Load>,
    pub(super) weight: u32,
    pub(super) limit: Option<NonZeroU32>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) backend: Arc<Backend>,
    pub(super) incarnation: IncarnationId,
    pub(super) standing: Standing,
}

impl Snapshot {
    /// What pickers see of it.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(&self.roster)
    }

    /// Its generation and revision.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The last change it contains.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The slot of the backend of this name. O(log n).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Slot> {
        self.roster.find(name)
    }

    /// Where this incarnation is. O(n).
    #[must_use]
    pub fn slot_of(&self, incarnation: IncarnationId) -> Option<Slot> {
        let position =
            self.roster.members.iter().position(|member| member.incarnation == incarnation);
        position.map(Slot::new)
    }

    pub(super) fn publication(&self) -> u64 {
        self.publication
    }

    pub(super) fn load(&self, slot: Slot) -> &Load {
        &self.roster.hot[slot.index()].load
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = (&Backend, &Load)> {
        self.roster
            .members
            .iter()
            .zip(&self.roster.hot)
            .map(|(member, hot)| (&*member.backend, &*hot.load))
    }
}

impl Roster {
    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let name_of = |slot: &Slot| self.members[slot.index()].backend.name();
        let found = self.by_name.binary_search_by(|slot| name_of(slot).cmp(name));
        found.ok().map(|position| self.by_name[position])
    }
}
