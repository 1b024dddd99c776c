//! The set of backends as pickable now.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, sync::Arc};

use super::{
    change::Version,
    driver::Driver,
    eligibility::{Panic, Standing},
    feedback::Feedback,
    generation::Stamp,
    groups::{ALL, GroupId, Groups, Split},
    holds::{Hold, Holds},
    slots::{Slot, SlotSet},
    view::View,
};
use crate::{
    backend::{Backend, IncarnationId, load::Load, seat::Block, tallies::Tallies},
    hash::Secret,
    sticky::Routes,
    strategy::{Choice, PickCx, Picker, rendezvous},
    sync,
};

/// All backends of a cluster in order, where each stands, and the picker built
/// for exactly this set. Immutable; the numbers behind [`View`] are live.
pub struct Snapshot {
    pub(super) roster: Roster,
    pub(super) pickers: Pickers,
    /// How a request finds its group.
    pub(super) split: Split,
    pub(super) stamp: Stamp,
    pub(super) version: Version,
    pub(super) publication: u64,
}

/// One for each group.
pub(super) struct Pickers {
    /// Of the first group, mostly the only one.
    pub(super) first: Box<dyn Picker>,
    pub(super) others: Box<[Box<dyn Picker>]>,
}

/// Who is there. What a picker is built from, and later reads.
pub(super) struct Roster {
    /// What picks read, close together.
    pub(super) hot: Box<[Hot]>,
    pub(super) members: Box<[Member]>,
    /// Slots sorted by name.
    pub(super) by_name: Box<[Slot]>,
    /// Slots sorted by incarnation.
    pub(super) by_incarnation: Box<[Slot]>,
    /// By derived route; empty without a ring.
    pub(super) routes: Routes,
    /// For hashes of names that every balancer should agree on.
    pub(super) secret: Secret,
    /// How many times the decided weights those in force are.
    pub(super) weight_scale: u32,
    pub(super) panic: Option<Panic>,
    pub(super) groups: Groups,
    pub(super) bound: SlotSet,
    /// Half-open slots of tiers and zones that are not in use, and would be.
    pub(super) trials: Box<[Slot]>,
    /// Slots on standby, by tier and zone.
    pub(super) reserves: Box<[Box<[Slot]>]>,
    pub(super) blocks: Box<[sync::Arc<Block>]>,
    pub(super) feedback: Feedback,
}

pub(super) struct Hot {
    pub(super) load: sync::Arc<Load>,
    pub(super) weight: u32,
    pub(super) limit: Option<NonZeroU32>,
}

pub(super) struct Member {
    pub(super) backend: Arc<Backend>,
    pub(super) incarnation: IncarnationId,
    pub(super) standing: Standing,
    pub(super) base_weight: u32,
    /// Where outliers are looked for.
    pub(super) tallies: Option<sync::Arc<Tallies>>,
}

impl Snapshot {
    /// What pickers see of it.
    #[inline]
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(&self.roster)
    }

    /// The groups that take requests in order of preference, each with its share: one with
    /// everything, unless tiers [spill over](super::Overflow) or [zones](super::Zone) are
    /// told apart. Nobody when nobody can be used.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, f64)> {
        let shares = self.roster.groups.shares();
        shares.map(|(group, share)| (group, share as f64 / ALL as f64))
    }

    /// Its generation and revision.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether somebody is used for want of better ones.
    #[must_use]
    pub fn panic(&self) -> Option<Panic> {
        self.roster.panic
    }

    /// The last change it contains.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The slot of the backend of this name. O(log n).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Slot> {
        let name_of = |slot: &Slot| self.roster.members[slot.index()].backend.name();
        let slots = &self.roster.by_name;
        let found = slots.binary_search_by(|slot| name_of(slot).cmp(name));
        found.ok().map(|position| slots[position])
    }

    /// The slot of the backend with this derived route, under any key of the
    /// cluster's [`Ring`](crate::sticky::Ring). O(log n).
    #[must_use]
    pub fn find_route(&self, route: u64) -> Option<Slot> {
        self.roster.routes.find(route)
    }

    /// Where rendezvous hashing sends this key, of those of its group who may be picked,
    /// or of the others where that has nobody for it. O(n).
    pub(super) fn find_key(&self, key: &[u8], cx: &PickCx<'_>) -> Option<Slot> {
        let (view, secret) = (self.view(), self.roster.secret);
        let groups = &self.roster.groups;
        groups.from(groups.at(self.split.of_key(key))).find_map(|group| {
            let slots = group.new.as_slice().iter().copied();
            let candidates = slots.filter(|slot| !view.was_tried(*slot, cx)).map(|slot| {
                (slot, secret.spread(view.backend(slot).name().as_bytes()), view.base_weight(slot))
            });
            rendezvous::highest(secret.spread(key), candidates)
        })
    }

    /// Where this incarnation is. O(log n).
    #[must_use]
    pub fn slot_of(&self, incarnation: IncarnationId) -> Option<Slot> {
        let slots = &self.roster.by_incarnation;
        let found = slots.binary_search_by_key(&incarnation, |slot| {
            self.roster.members[slot.index()].incarnation
        });
        found.ok().map(|position| slots[position])
    }

    /// The position of the group that a request is for.
    #[inline]
    pub(super) fn group_of(&self, cx: &PickCx<'_>) -> usize {
        if self.pickers.others.is_empty() {
            return 0;
        }
        self.roster.groups.at(self.split.of(cx))
    }

    /// What the strategy chooses of a request's group, or of another one where that has
    /// nobody for it.
    #[inline]
    pub(super) fn pick(&self, group: usize, cx: &PickCx<'_>) -> Option<Choice> {
        if self.pickers.others.is_empty() {
            return self.pickers.first.pick(self.view(), cx);
        }
        self.pick_of_several(group, cx)
    }

    #[inline(never)]
    fn pick_of_several(&self, group: usize, cx: &PickCx<'_>) -> Option<Choice> {
        let others = (0..self.roster.groups.len()).filter(|other| *other != group);
        [group].into_iter().chain(others).find_map(|group| {
            let view = View::of_group(&self.roster, self.roster.groups.get(group));
            self.picker(group).pick(view, cx)
        })
    }

    fn picker(&self, group: usize) -> &dyn Picker {
        match group.checked_sub(1) {
            Some(other) => &*self.pickers.others[other],
            None => &*self.pickers.first,
        }
    }

    #[inline]
    pub(super) fn publication(&self) -> u64 {
        self.publication
    }

    pub(super) fn load(&self, slot: Slot) -> &Load {
        &self.roster.hot[slot.index()].load
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = (&Backend, &Load)> + Clone {
        let pairs = self.roster.members.iter().zip(&self.roster.hot);
        pairs.map(|(member, hot)| (&*member.backend, &*hot.load))
    }

    /// A worker's holds on all backends: those of `before` where nothing changed.
    pub(super) fn holds(&self, before: Box<[Holds]>, driver: &Arc<Driver>) -> Box<[Holds]> {
        let by_incarnation = |holds: Holds| (holds.own().incarnation, holds);
        let mut before: BTreeMap<_, _> = before.into_iter().map(by_incarnation).collect();
        let holds = |(member, hot): (&Member, &Hot)| {
            let found = before.remove(&member.incarnation).filter(|holds| {
                Arc::ptr_eq(&holds.own().backend, &member.backend)
                    && holds.own().standing == member.standing
                    && is_same(holds.own().tallies.as_ref(), member.tallies.as_ref())
                    && holds.own().feedback.needs == self.roster.feedback.needs
            });
            found.unwrap_or_else(|| {
                Holds::new(Arc::new(Hold {
                    backend: Arc::clone(&member.backend),
                    incarnation: member.incarnation,
                    load: sync::Arc::clone(&hot.load),
                    standing: member.standing,
                    driver: Arc::clone(driver),
                    tallies: member.tallies.clone(),
                    feedback: self.roster.feedback.clone(),
                }))
            })
        };
        self.roster.members.iter().zip(&self.roster.hot).map(holds).collect()
    }
}

fn is_same(one: Option<&sync::Arc<Tallies>>, other: Option<&sync::Arc<Tallies>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => sync::Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("stamp", &self.stamp)
            .field("backends", &self.roster.members.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members.iter().map(|member| member.backend.name())).finish()
    }
}
