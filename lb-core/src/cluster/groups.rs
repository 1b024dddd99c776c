//! Backends that are picked from together, and how requests are shared out over several
//! such groups.
//!
//! Most clusters have one group: the tier in use. Where tiers spill over, or zones are
//! told apart, each part that takes requests is a group, with a set, a picker, and a
//! share of its own. Which group a request goes to is decided before its strategy is
//! asked: by the hash of its key where the strategy goes by one, so that a key stays in
//! its group while the shares stand, and otherwise by its entropy. The shares are cuts on
//! a line of 2³² in the order of preference. So what one group loses goes to the next
//! one, and of two groups only those keys move that have to.
//!
//! The other way would be a picker that owns pickers. Then every strategy of somebody
//! else's would have to be wrapped as well, and where there is one group every pick
//! would go through a second virtual call for nothing.

use super::slots::{Slot, SlotSet};
use crate::{
    hash::Secret,
    sample,
    strategy::{Needs, PickCx, network},
};

/// Names a group within its cluster, over all its snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    tier: u8,
    place: Place,
}

/// Where the backends of a group are; in order of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Place {
    /// In the balancer's own [zone](super::Zone).
    Own,
    /// In other zones, or in none.
    Others,
    /// Anywhere: zones are not told apart, or the tier is in panic.
    #[default]
    Any,
}

impl GroupId {
    /// The group of these.
    #[must_use]
    pub fn new(tier: u8, place: Place) -> Self {
        Self { tier, place }
    }

    /// The tier of its backends.
    #[must_use]
    pub fn tier(self) -> u8 {
        self.tier
    }

    /// Where they are.
    #[must_use]
    pub fn place(self) -> Place {
        self.place
    }
}

/// Slots that are picked from together.
#[derive(Debug)]
pub(super) struct Group {
    /// `None` when nobody can be used.
    pub(super) id: Option<GroupId>,
    /// Those that take anybody.
    pub(super) new: SlotSet,
}

/// The groups of a snapshot.
#[derive(Debug)]
pub(super) struct Groups {
    /// The only one; of several, all together under the name of the first.
    pub(super) whole: Group,
    /// Each of several; empty where there is one.
    pub(super) several: Box<[Group]>,
    /// Where each of several ends on the line of 2³².
    ends: Box<[u64]>,
    /// By slot: the group in whose tables it has its place, able or not.
    homes: Box<[Option<GroupId>]>,
}

/// All requests, as a share.
pub(super) const ALL: u64 = 1 << 32;

impl Groups {
    /// Groups in order of preference with their shares of 2³², which make [`ALL`]
    /// together; who takes requests in each, and of which group each slot is.
    pub(super) fn new(
        shares: &[(GroupId, u64)],
        members: Vec<Vec<Slot>>,
        homes: Box<[Option<GroupId>]>,
    ) -> Self {
        let total = homes.len();
        let id = shares.first().map(|(id, _)| *id);
        let mut all: Vec<Slot> = members.concat();
        all.sort_unstable();
        let whole = Group { id, new: SlotSet::new(all, total) };
        if shares.len() < 2 {
            return Self { whole, several: Box::default(), ends: Box::default(), homes };
        }
        let group = |((id, _), slots): (&(GroupId, u64), Vec<Slot>)| Group {
            id: Some(*id),
            new: SlotSet::new(slots, total),
        };
        let several = shares.iter().zip(members).map(group).collect();
        let ends = shares.iter().scan(0, |end, (_, share)| {
            *end += share;
            Some(*end)
        });
        Self { whole, several, ends: ends.collect(), homes }
    }

    /// The one at this position in the order of preference.
    pub(super) fn get(&self, position: usize) -> &Group {
        self.several.get(position).unwrap_or(&self.whole)
    }

    pub(super) fn len(&self) -> usize {
        self.several.len().max(1)
    }

    /// All, the one at this position first and then by preference.
    pub(super) fn from(&self, position: usize) -> impl Iterator<Item = &Group> {
        let others = (0..self.len()).filter(move |other| *other != position);
        [position].into_iter().chain(others).map(|position| self.get(position))
    }

    /// The group in whose tables a slot has its place.
    pub(super) fn home(&self, slot: Slot) -> Option<GroupId> {
        self.homes[slot.index()]
    }

    /// Each with its share of 2³².
    pub(super) fn shares(&self) -> impl Iterator<Item = (GroupId, u64)> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let several = self.several.iter().zip(starts.zip(&self.ends));
        let several = several.filter_map(|(group, (start, end))| Some((group.id?, end - start)));
        let only = self.whole.id.filter(|_| self.several.is_empty()).map(|id| (id, ALL));
        only.into_iter().chain(several)
    }

    /// Whose share these bits are in, by position; 0 where there is one group.
    pub(super) fn at(&self, bits: u64) -> usize {
        let at = bits >> 32;
        self.ends.iter().position(|end| at < *end).unwrap_or(0)
    }
}

/// How a request finds its group: to what bits it comes. The hash of its key is another
/// one than tables go by, and its entropy is mixed: what is left of either within a group
/// must still be even.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    secret: Secret,
    by_key: bool,
    by_network: bool,
}

impl Split {
    /// As a strategy with these needs picks.
    pub(super) fn new(cluster: Secret, needs: Needs) -> Self {
        let secret = cluster.derive(b"grps", "");
        Self { secret, by_key: needs.key, by_network: needs.by_network }
    }

    /// The bits of a request.
    pub(super) fn of(self, cx: &PickCx<'_>) -> u64 {
        match cx.key() {
            // Who shares a backend shares the group: clients of one network must not part.
            key if self.by_network => self.of_key(network(key)),
            Some(key) if self.by_key => self.of_key(key),
            _ => sample::mix(cx.entropy() ^ APART),
        }
    }

    /// The bits of a key.
    pub(super) fn of_key(self, key: &[u8]) -> u64 {
        self.secret.spread(key)
    }
}

/// Makes the choice of a group independent of what else is done with the same entropy.
const APART: u64 = 0x6c62_272e_07bb_0142;
