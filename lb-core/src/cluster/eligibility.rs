//! Who may be picked: one function, one order.
//!
//! The order is: disabled, draining, tier, health and ejection, panic. What keeps
//! a backend out is named by the first that does, except that one which is down or
//! ejected is called so even where its tier is not used. *Full* comes last and is
//! not judged here: it changes with every request, so it is tested when a request
//! is counted in. So is, for the same reason, whether another request tries a backend
//! that is *half-open*. Such a backend is offered even where its tier is not used, if
//! that would come first: who else should find out that the tier is back? But apart
//! from the set that strategies pick from: what they build over the tier in use must
//! not change because somebody of another is tried.
//!
//! A tier is used when nobody of those before it *can be used*. Where somebody could
//! but not by this request, because it has tried them all or all are full, the backends
//! that stand by are asked in the end, tier by tier: that is better than no answer.
//!
//! *Panic* is the exception that keeps a cluster answering when the judgements
//! themselves are likely to be wrong. When no backend of any tier is usable, or
//! (with a threshold) less than that share of a tier, ejected ones are used
//! again, and half-open ones by everybody: they failed some requests, which is better
//! than failing all. Backends
//! that an active check holds down come back only where a threshold was set.
//! Disabled and draining ones never do, and they don't count in the share.

use std::fmt;

use super::slots::{Slot, SlotSet};
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
    /// Its tier is not needed now. Clients bound to it may stay.
    Standby,
    /// It was ejected.
    Ejected,
    /// A check says it is down.
    Down,
}

impl Standing {
    fn admits_new(self) -> bool {
        matches!(self, Self::In | Self::HalfOpen | Self::Panic)
    }

    fn admits_bound(self) -> bool {
        matches!(self, Self::In | Self::HalfOpen | Self::Panic | Self::Draining | Self::Standby)
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
    /// The tier in use; `None` when nobody can be used.
    pub(super) tier: Option<u8>,
    pub(super) panic: Option<Panic>,
    /// Slots of that tier that take anybody.
    pub(super) new: SlotSet,
    /// Half-open slots of tiers before it.
    pub(super) trials: Box<[Slot]>,
    /// Slots on standby, by tier.
    pub(super) reserves: Box<[Slot]>,
    /// Slots that take clients bound to them.
    pub(super) bound: SlotSet,
}

/// Judges all backends. `panic_threshold` is in percent. O(n).
pub(super) fn judge(facts: &[Facts], panic_threshold: u8, now: Tick) -> Judgement {
    let tier = Tier::active(facts, panic_threshold);
    let standings: Box<[Standing]> = facts.iter().map(|facts| standing(facts, tier, now)).collect();
    let select = |admits: fn(Standing) -> bool| {
        let slots = standings.iter().enumerate().filter(move |(_, standing)| admits(**standing));
        slots.map(|(index, _)| Slot::new(index))
    };
    let is_in_panic = standings.contains(&Standing::Panic);
    let panic = tier.filter(|_| is_in_panic).map(|tier| tier.panic(facts, panic_threshold));
    let tier = tier.map(|tier| tier.number);
    let is_of_tier = |slot: &Slot| Some(facts[slot.index()].tier) == tier;
    let new = select(Standing::admits_new).filter(is_of_tier);
    let trials = select(Standing::admits_new).filter(|slot| !is_of_tier(slot));
    let mut reserves: Box<[Slot]> = select(|standing| standing == Standing::Standby).collect();
    reserves.sort_by_key(|slot| facts[slot.index()].tier);
    Judgement {
        tier,
        panic,
        new: SlotSet::new(new, facts.len()),
        trials: trials.collect(),
        reserves,
        bound: SlotSet::new(select(Standing::admits_bound), facts.len()),
        standings,
    }
}

fn standing(facts: &Facts, tier: Option<Tier>, now: Tick) -> Standing {
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
    let active = tier.filter(|tier| facts.admin.admits_new() && tier.number == facts.tier);
    match facts.health {
        Health::Unknown | Health::Up if active.is_some() => Standing::In,
        Health::Ejected | Health::HalfOpen if active.is_some_and(|tier| tier.readmits_ejected) => {
            Standing::Panic
        }
        Health::Down if active.is_some_and(|tier| tier.readmits_down) => Standing::Panic,
        Health::HalfOpen if tier.is_some_and(|tier| facts.tier <= tier.number) => {
            Standing::HalfOpen
        }
        Health::Unknown | Health::Up | Health::HalfOpen => Standing::Standby,
        Health::Ejected => Standing::Ejected,
        Health::Down => Standing::Down,
    }
}

/// The tier in use.
#[derive(Clone, Copy, Debug)]
struct Tier {
    number: u8,
    readmits_ejected: bool,
    readmits_down: bool,
}

impl Tier {
    /// The first tier with a usable backend; failing that, the first that panic
    /// can bring back: rather one with a backend whose ejection is over than one whose
    /// backends just failed some requests, and that rather than one whose backends
    /// fail their checks.
    fn active(facts: &[Facts], panic_threshold: u8) -> Option<Self> {
        let enabled = || facts.iter().filter(|facts| facts.admin.admits_new());
        let first = |wanted: fn(Health) -> bool| {
            enabled().filter(|facts| wanted(facts.health)).map(|facts| facts.tier).min()
        };
        if let Some(number) = first(Health::is_usable) {
            let (usable, total) = count(facts, number);
            let panic = usable * 100 < total * usize::from(panic_threshold);
            return Some(Self { number, readmits_ejected: panic, readmits_down: panic });
        }
        let readmits_down = panic_threshold > 0;
        let ejected = first(|health| health == Health::HalfOpen)
            .or_else(|| first(|health| health == Health::Ejected));
        let number = ejected.or_else(|| first(|_| true).filter(|_| readmits_down))?;
        Some(Self { number, readmits_ejected: true, readmits_down })
    }

    fn panic(self, facts: &[Facts], threshold: u8) -> Panic {
        let (usable, total) = count(facts, self.number);
        Panic { tier: self.number, usable, total, threshold }
    }
}

/// Of the enabled backends of a tier, those that are usable, and all.
fn count(facts: &[Facts], tier: u8) -> (usize, usize) {
    let all = || facts.iter().filter(|facts| facts.admin.admits_new() && facts.tier == tier);
    (all().filter(|facts| facts.health.is_usable()).count(), all().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Facts = Facts { admin: AdminState::Enabled, tier: 0, health: Health::Up };

    fn judged(facts: &[Facts]) -> Vec<Standing> {
        judge(facts, 0, Tick::from_nanos(10)).standings.to_vec()
    }

    fn slots(set: &SlotSet) -> Vec<usize> {
        set.as_slice().iter().map(|slot| slot.index()).collect()
    }

    #[test]
    fn disabled_comes_before_everything_else() {
        let facts = Facts { admin: AdminState::Disabled, tier: 3, health: Health::Down };
        assert_eq!(judged(&[facts, UP]), [Standing::Disabled, Standing::In]);
    }

    #[test]
    fn a_draining_backend_serves_bound_clients_until_its_deadline() {
        let draining = |until| Facts { admin: AdminState::Draining { until }, ..UP };
        let facts = [
            draining(None),
            draining(Some(Tick::from_nanos(11))),
            draining(Some(Tick::from_nanos(10))),
            UP,
        ];
        let judgement = judge(&facts, 0, Tick::from_nanos(10));
        assert_eq!(
            *judgement.standings,
            [Standing::Draining, Standing::Draining, Standing::Drained, Standing::In]
        );
        assert_eq!(slots(&judgement.new), [3]);
        assert_eq!(slots(&judgement.bound), [0, 1, 3]);
    }

    #[test]
    fn a_draining_backend_that_is_down_serves_nobody() {
        let facts =
            Facts { admin: AdminState::Draining { until: None }, tier: 0, health: Health::Down };
        assert_eq!(judged(&[facts, UP]), [Standing::Down, Standing::In]);
    }

    #[test]
    fn the_next_tier_is_used_when_nobody_of_the_first_can_be() {
        let backup = Facts { tier: 1, ..UP };
        assert_eq!(judged(&[UP, backup]), [Standing::In, Standing::Standby]);
        let down = Facts { health: Health::Down, ..UP };
        assert_eq!(judged(&[down, backup]), [Standing::Down, Standing::In]);
        let disabled = Facts { admin: AdminState::Disabled, ..UP };
        assert_eq!(judged(&[disabled, backup]), [Standing::Disabled, Standing::In]);
    }

    #[test]
    fn bound_clients_may_stay_on_a_tier_that_others_do_not_use() {
        let judgement = judge(&[UP, Facts { tier: 1, ..UP }], 0, Tick::ZERO);
        assert_eq!(slots(&judgement.new), [0]);
        assert_eq!(slots(&judgement.bound), [0, 1]);
    }

    #[test]
    fn ejected_backends_come_back_when_nobody_else_is_left_and_down_ones_do_not() {
        let ejected = Facts { health: Health::Ejected, ..UP };
        let down = Facts { health: Health::Down, ..UP };
        assert_eq!(judged(&[ejected, UP]), [Standing::Ejected, Standing::In]);
        assert_eq!(judged(&[ejected, down]), [Standing::Panic, Standing::Down]);
        assert_eq!(judged(&[down, down]), [Standing::Down, Standing::Down]);
    }

    #[test]
    fn below_the_threshold_everybody_who_is_enabled_is_used() {
        let down = Facts { health: Health::Down, ..UP };
        let disabled = Facts { admin: AdminState::Disabled, ..UP };
        let at = |threshold| {
            judge(&[UP, down, down, disabled], threshold, Tick::ZERO).standings.to_vec()
        };
        assert_eq!(at(33), [Standing::In, Standing::Down, Standing::Down, Standing::Disabled]);
        assert_eq!(at(34), [Standing::In, Standing::Panic, Standing::Panic, Standing::Disabled]);
        let all_down = judge(&[down, disabled], 1, Tick::ZERO);
        assert_eq!(*all_down.standings, [Standing::Panic, Standing::Disabled]);
    }

    #[test]
    fn an_ejected_backend_is_rather_used_than_one_that_is_down() {
        let down = Facts { health: Health::Down, ..UP };
        let ejected = Facts { tier: 1, health: Health::Ejected, ..UP };
        let judgement = judge(&[down, ejected], 50, Tick::ZERO);
        assert_eq!(*judgement.standings, [Standing::Down, Standing::Panic]);
    }

    #[test]
    fn a_half_open_backend_is_offered_where_its_tier_is_used_or_comes_first() {
        let half_open = Facts { health: Health::HalfOpen, ..UP };
        let backup = |facts| Facts { tier: 1, ..facts };
        assert_eq!(judged(&[half_open, UP]), [Standing::HalfOpen, Standing::In]);
        assert_eq!(judged(&[half_open, backup(UP)]), [Standing::HalfOpen, Standing::In]);
        assert_eq!(judged(&[backup(half_open), UP]), [Standing::Standby, Standing::In]);
        let judgement = judge(&[half_open, UP], 0, Tick::ZERO);
        assert_eq!((slots(&judgement.new), slots(&judgement.bound)), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn a_half_open_backend_of_a_better_tier_is_offered_apart_from_the_tier_in_use() {
        let half_open = Facts { health: Health::HalfOpen, ..UP };
        let backup = Facts { tier: 1, ..UP };
        for (facts, new, trial) in [([half_open, backup], 1, 0), ([backup, half_open], 0, 1)] {
            let judgement = judge(&facts, 0, Tick::ZERO);
            assert_eq!((judgement.tier, slots(&judgement.new)), (Some(1), vec![new]));
            assert_eq!(*judgement.trials, [Slot::new(trial)]);
            assert_eq!(slots(&judgement.bound), [0, 1]);
        }
        let judgement = judge(&[half_open, UP], 0, Tick::ZERO);
        assert_eq!((judgement.tier, judgement.trials.len()), (Some(0), 0));
    }

    #[test]
    fn who_stands_by_is_in_reserve_by_tier() {
        let of_tier = |tier| Facts { tier, ..UP };
        let down = Facts { health: Health::Down, ..of_tier(1) };
        let facts = [of_tier(2), of_tier(0), down, of_tier(1), of_tier(2)];
        assert_eq!(*judge(&facts, 0, Tick::ZERO).reserves, [3, 0, 4].map(Slot::new));
    }

    #[test]
    fn when_nobody_else_is_left_a_half_open_backend_is_open_to_all() {
        let half_open = Facts { health: Health::HalfOpen, ..UP };
        let ejected = Facts { health: Health::Ejected, ..UP };
        let down = Facts { health: Health::Down, ..UP };
        assert_eq!(judged(&[half_open, down]), [Standing::Panic, Standing::Down]);
        assert_eq!(judged(&[half_open, ejected]), [Standing::Panic, Standing::Panic]);
        let backup = Facts { tier: 1, ..half_open };
        assert_eq!(judged(&[ejected, backup]), [Standing::Ejected, Standing::Panic]);
    }

    #[test]
    fn a_half_open_backend_does_not_count_as_usable_for_the_threshold() {
        let half_open = Facts { health: Health::HalfOpen, ..UP };
        let at = |threshold| judge(&[UP, half_open], threshold, Tick::ZERO).standings.to_vec();
        assert_eq!(at(50), [Standing::In, Standing::HalfOpen]);
        assert_eq!(at(51), [Standing::In, Standing::Panic]);
    }

    #[test]
    fn a_draining_backend_that_is_half_open_keeps_its_bound_clients() {
        let draining = AdminState::Draining { until: None };
        let facts = Facts { admin: draining, tier: 0, health: Health::HalfOpen };
        assert_eq!(judged(&[facts, UP]), [Standing::Draining, Standing::In]);
    }

    #[test]
    fn nobody_is_nobody() {
        assert!(judge(&[], 50, Tick::ZERO).new.is_empty());
    }
}
