//! Who may be picked: one function, one order.
//!
//! The order is: disabled, draining, spare, tier and zone, health and ejection, panic,
//! subset. What keeps a backend out is named by the first that does, except that one
//! which is down or ejected is called so even where its tier is not used. *Full* comes
//! last and is not judged here: it changes with every request, so it is tested when a
//! request is counted in. So is, for the same reason, whether another request tries a
//! backend that is *half-open*. Such a backend is offered even where its tier is not used,
//! if that would come first, or if those in use are too few: who else should find out that
//! it is back? But apart from the set that strategies pick from: what they build over the
//! tier in use must not change because somebody of another is tried.
//!
//! A tier is used when nobody of those before it *can be used*, or, where they spill over,
//! when those that can are too few; which *parts* that makes, and how much each takes, is
//! found in `parts`. Where somebody could take requests but not this one, because it has
//! tried them all or all are full, the backends that stand by are asked in the end, tier
//! by tier: that is better than no answer.
//!
//! *Panic* is the exception that keeps a cluster answering when the judgements
//! themselves are likely to be wrong. When no backend of any tier is usable, or
//! (with a threshold) less than that share of a tier, ejected ones are used
//! again, and half-open ones by everybody: they failed some requests, which is better
//! than failing all. Backends that an active check holds down come back only where a threshold was set.
//! Disabled and draining ones never do, and they don't count in the share.

mod parts;
mod spares;
mod subset;

use std::fmt;

use self::parts::{InUse, Part, in_use};
pub use self::subset::Subset;
use super::{
    groups::{GroupId, Groups, Place},
    policy::Policy,
    slots::{Slot, SlotSet},
};
use crate::{
    backend::{AdminState, Health},
    time::Tick,
};

/// What a judgement needs to know of one backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) admin: AdminState,
    pub(super) tier: u8,
    pub(super) health: Health,
    /// The weight that was decided.
    pub(super) weight: u32,
    pub(super) place: Place,
    pub(super) is_spare: bool,
    /// Not a spare, or a spare that fills in for somebody.
    pub(super) is_called: bool,
    /// Where it is on the ring of which a subset is a piece.
    pub(super) mark: u64,
}

impl Facts {
    /// Of which part it is where zones are told apart.
    pub(super) fn part(&self) -> GroupId {
        GroupId::new(self.tier, self.place)
    }

    /// Whether it takes its share, as far as that is for itself to say.
    pub(super) fn is_able(&self) -> bool {
        self.admin.admits_new() && self.health.is_usable()
    }
}

/// Where a backend stands in a snapshot, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It takes requests.
    In,
    /// It takes one request at a time, which finds out whether it works again.
    HalfOpen,
    /// It takes requests although it is ejected or down, for want of better ones.
    Panic,
    /// It takes requests of clients bound to it.
    Draining,
    /// Its drain is over.
    Drained,
    /// Somebody disabled it.
    Disabled,
    /// Its tier or its zone is not needed now, or it is a spare and nobody is out whose
    /// place it could take. Clients bound to it may stay.
    Standby,
    /// It was ejected.
    Ejected,
    /// A check says it is down.
    Down,
    /// It is not of the [subset](super::Subset) that this balancer uses. Clients bound to
    /// it may stay.
    Elsewhere,
}

impl Standing {
    fn admits_new(self) -> bool {
        matches!(self, Self::In | Self::HalfOpen | Self::Panic)
    }

    fn admits_bound(self) -> bool {
        matches!(self, Self::Draining | Self::Standby | Self::Elsewhere) || self.admits_new()
    }

    /// Of one whom the subset leaves to other balancers.
    fn elsewhere(self) -> Self {
        let is_ours = self.admits_new() || self == Self::Standby;
        if is_ours { Self::Elsewhere } else { self }
    }
}

/// Ejected backends, or ones that are down, are used for want of better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// The tier in use.
    pub tier: u8,
    /// How many of its enabled backends are usable.
    pub usable: usize,
    /// How many it has.
    pub total: usize,
    /// Below which share of them there is panic, in percent; always when there is none.
    pub threshold: u8,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { usable, total, threshold, .. } = self;
        write!(f, "{usable} of {total} usable, threshold {threshold} %")
    }
}

/// The verdict on all backends of a cluster.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) standings: Box<[Standing]>,
    /// Who takes anybody; without an id when nobody does.
    pub(super) groups: Groups,
    pub(super) panic: Option<Panic>,
    /// Half-open slots of parts that are not in use, and would be.
    pub(super) trials: Box<[Slot]>,
    /// Slots on standby, by tier and zone.
    pub(super) reserves: Box<[Box<[Slot]>]>,
    /// Slots that take clients bound to them.
    pub(super) bound: SlotSet,
}

/// Judges all backends. O(n log n).
pub(super) fn judge(facts: &[Facts], policy: &Policy, now: Tick) -> Judgement {
    let facts = spares::called(facts);
    let InUse { parts, reach } = in_use(&facts, policy);
    let part_of = |facts: &Facts| parts.iter().find(|part| part.covers(facts));
    let mut standings: Box<[Standing]> =
        facts.iter().map(|facts| standing(facts, part_of(facts), reach, now)).collect();
    let left_out = subset::left_out(&facts, &standings, policy.subset);
    for (standing, _) in standings.iter_mut().zip(&left_out).filter(|(_, left_out)| **left_out) {
        *standing = standing.elsewhere();
    }
    let home = |(facts, left_out): (&Facts, &bool)| {
        part_of(facts).filter(|_| facts.is_called && !left_out).map(|part| part.id)
    };
    let homes: Box<[Option<GroupId>]> = facts.iter().zip(&left_out).map(home).collect();
    let select = |admits: fn(Standing) -> bool| {
        let slots = standings.iter().enumerate().filter(move |(_, standing)| admits(**standing));
        slots.map(|(index, _)| Slot::new(index))
    };
    let is_in_panic = |part: &&Part| {
        let mut panicking = select(|standing| standing == Standing::Panic);
        panicking.any(|slot| homes[slot.index()] == Some(part.id))
    };
    let panic = parts.iter().find(is_in_panic).map(|part| part.panic(policy.panic_threshold));
    let of_part = |slot: &Slot| facts[slot.index()].part();
    let mut reserves: Vec<Slot> = select(|standing| standing == Standing::Standby).collect();
    reserves.sort_by_key(of_part);
    let reserves = reserves.chunk_by(|one, other| of_part(one) == of_part(other));
    let shares: Vec<(GroupId, u64)> = parts.iter().map(|part| (part.id, part.share)).collect();
    let of_home = |home: Option<GroupId>| -> Vec<Slot> {
        select(Standing::admits_new).filter(|slot| homes[slot.index()] == home).collect()
    };
    let trials = of_home(None);
    let new = parts.iter().map(|part| of_home(Some(part.id))).collect();
    Judgement {
        panic,
        trials: trials.into(),
        reserves: reserves.map(Box::from).collect(),
        bound: SlotSet::new(select(Standing::admits_bound), facts.len()),
        groups: Groups::new(&shares, new, homes),
        standings,
    }
}

/// Where one stands as long as nobody is left out.
fn standing(facts: &Facts, part: Option<&Part>, reach: Option<GroupId>, now: Tick) -> Standing {
    match facts.admin {
        AdminState::Disabled => return Standing::Disabled,
        AdminState::Draining { .. } if !facts.admin.admits_bound(now) => return Standing::Drained,
        AdminState::Draining { .. }
            if facts.health.is_usable() || facts.health == Health::HalfOpen =>
        {
            return Standing::Draining;
        }
        AdminState::Draining { .. } | AdminState::Enabled => {}
    }
    let active = part.filter(|_| facts.admin.admits_new() && facts.is_called);
    let is_wanted = facts.is_called && reach.is_some_and(|reach| facts.part() <= reach);
    match facts.health {
        Health::Unknown | Health::Up if active.is_some() => Standing::In,
        Health::Ejected | Health::HalfOpen if active.is_some_and(|part| part.readmits_ejected) => {
            Standing::Panic
        }
        Health::Down if active.is_some_and(|part| part.readmits_down) => Standing::Panic,
        Health::HalfOpen if is_wanted => Standing::HalfOpen,
        Health::Unknown | Health::Up | Health::HalfOpen => Standing::Standby,
        Health::Ejected => Standing::Ejected,
        Health::Down => Standing::Down,
    }
}

#[cfg(test)]
pub(super) mod tests;
