//! Who may be picked, case by case.

use std::num::NonZeroU32;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::cluster::{groups::ALL, policy::Overflow};

pub(in crate::cluster) const UP: Facts = Facts {
    admin: AdminState::Enabled,
    tier: 0,
    health: Health::Up,
    weight: 1,
    place: Place::Any,
    is_spare: false,
    is_called: true,
    mark: 0,
};

fn below(panic_threshold: u8) -> Policy {
    Policy { panic_threshold, ..Policy::default() }
}

fn in_reserve(facts: &[Facts]) -> Vec<Vec<usize>> {
    let reserves = judge(facts, &Policy::default(), Tick::ZERO).reserves;
    reserves.iter().map(|slots| slots.iter().map(|slot| slot.index()).collect()).collect()
}

fn tier(judgement: &Judgement) -> Option<u8> {
    judgement.groups.whole.id.map(GroupId::tier)
}

fn judged(facts: &[Facts]) -> Vec<Standing> {
    judge(facts, &below(0), Tick::from_nanos(10)).standings.to_vec()
}

fn slots(set: &SlotSet) -> Vec<usize> {
    set.as_slice().iter().map(|slot| slot.index()).collect()
}

#[test]
fn disabled_comes_before_everything_else() {
    let facts = Facts { admin: AdminState::Disabled, tier: 3, health: Health::Down, ..UP };
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
    let judgement = judge(&facts, &below(0), Tick::from_nanos(10));
    assert_eq!(
        *judgement.standings,
        [Standing::Draining, Standing::Draining, Standing::Drained, Standing::In]
    );
    assert_eq!(slots(&judgement.groups.whole.new), [3]);
    assert_eq!(slots(&judgement.bound), [0, 1, 3]);
}

#[test]
fn a_draining_backend_that_is_down_serves_nobody() {
    let facts = Facts { admin: AdminState::Draining { until: None }, health: Health::Down, ..UP };
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
    let judgement = judge(&[UP, Facts { tier: 1, ..UP }], &below(0), Tick::ZERO);
    assert_eq!(slots(&judgement.groups.whole.new), [0]);
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
        judge(&[UP, down, down, disabled], &below(threshold), Tick::ZERO).standings.to_vec()
    };
    assert_eq!(at(33), [Standing::In, Standing::Down, Standing::Down, Standing::Disabled]);
    assert_eq!(at(34), [Standing::In, Standing::Panic, Standing::Panic, Standing::Disabled]);
    let all_down = judge(&[down, disabled], &below(1), Tick::ZERO);
    assert_eq!(*all_down.standings, [Standing::Panic, Standing::Disabled]);
}

#[test]
fn an_ejected_backend_is_rather_used_than_one_that_is_down() {
    let down = Facts { health: Health::Down, ..UP };
    let ejected = Facts { tier: 1, health: Health::Ejected, ..UP };
    let judgement = judge(&[down, ejected], &below(50), Tick::ZERO);
    assert_eq!(*judgement.standings, [Standing::Down, Standing::Panic]);
}

#[test]
fn a_half_open_backend_is_offered_where_its_tier_is_used_or_comes_first() {
    let half_open = Facts { health: Health::HalfOpen, ..UP };
    let backup = |facts| Facts { tier: 1, ..facts };
    assert_eq!(judged(&[half_open, UP]), [Standing::HalfOpen, Standing::In]);
    assert_eq!(judged(&[half_open, backup(UP)]), [Standing::HalfOpen, Standing::In]);
    assert_eq!(judged(&[backup(half_open), UP]), [Standing::Standby, Standing::In]);
    let judgement = judge(&[half_open, UP], &below(0), Tick::ZERO);
    assert_eq!(
        (slots(&judgement.groups.whole.new), slots(&judgement.bound)),
        (vec![0, 1], vec![0, 1])
    );
}

#[test]
fn a_half_open_backend_of_a_better_tier_is_offered_apart_from_the_tier_in_use() {
    let half_open = Facts { health: Health::HalfOpen, ..UP };
    let backup = Facts { tier: 1, ..UP };
    for (facts, new, trial) in [([half_open, backup], 1, 0), ([backup, half_open], 0, 1)] {
        let judgement = judge(&facts, &below(0), Tick::ZERO);
        assert_eq!((tier(&judgement), slots(&judgement.groups.whole.new)), (Some(1), vec![new]));
        assert_eq!(*judgement.trials, [Slot::new(trial)]);
        assert_eq!(slots(&judgement.bound), [0, 1]);
    }
    let judgement = judge(&[half_open, UP], &below(0), Tick::ZERO);
    assert_eq!((tier(&judgement), judgement.trials.len()), (Some(0), 0));
}

#[test]
fn who_stands_by_is_in_reserve_by_tier() {
    let of_tier = |tier| Facts { tier, ..UP };
    let down = Facts { health: Health::Down, ..of_tier(1) };
    let facts = [of_tier(2), of_tier(0), down, of_tier(1), of_tier(2)];
    assert_eq!(in_reserve(&facts), [vec![3], vec![0, 4]]);
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
    let at = |threshold| judge(&[UP, half_open], &below(threshold), Tick::ZERO).standings.to_vec();
    assert_eq!(at(50), [Standing::In, Standing::HalfOpen]);
    assert_eq!(at(51), [Standing::In, Standing::Panic]);
}

#[test]
fn a_draining_backend_that_is_half_open_keeps_its_bound_clients() {
    let draining = AdminState::Draining { until: None };
    let facts = Facts { admin: draining, health: Health::HalfOpen, ..UP };
    assert_eq!(judged(&[facts, UP]), [Standing::Draining, Standing::In]);
}

#[test]
fn nobody_is_nobody() {
    assert!(judge(&[], &below(50), Tick::ZERO).groups.whole.new.is_empty());
}

#[test]
fn tiers_that_spill_over_are_in_use_together() {
    let down = Facts { health: Health::Down, ..UP };
    let half_open = Facts { health: Health::HalfOpen, ..UP };
    let of_tier = |tier, facts| Facts { tier, ..facts };
    let facts = [UP, down, half_open, of_tier(1, UP), of_tier(1, half_open), of_tier(2, UP)];
    let policy = Policy { overflow: Some(Overflow::default()), ..Policy::default() };
    let judgement = judge(&facts, &policy, Tick::ZERO);
    let (in_use, half_open) = (Standing::In, Standing::HalfOpen);
    let expected = [in_use, Standing::Down, half_open, in_use, half_open, Standing::Standby];
    assert_eq!(*judgement.standings, expected);
    let groups = &judgement.groups;
    assert_eq!(groups.len(), 2);
    assert_eq!([0, 1].map(|group| slots(&groups.get(group).new)), [vec![0, 2], vec![3, 4]]);
    assert_eq!(slots(&groups.whole.new), [0, 2, 3, 4]);
    assert_eq!(groups.home(Slot::new(1)), Some(GroupId::new(0, Place::Any)));
    assert_eq!((judgement.trials.len(), judgement.reserves.len()), (0, 1));
}

#[test]
fn tiers_that_spill_over_are_each_in_panic_below_the_threshold() {
    let down = Facts { health: Health::Down, ..UP };
    let backup = |facts| Facts { tier: 1, ..facts };
    let overflow = Some(Overflow::default());
    let policy = Policy { overflow, ..below(50) };
    let facts = [UP, down, down, backup(UP), backup(UP), backup(down)];
    let judgement = judge(&facts, &policy, Tick::ZERO);
    let (up, panic) = (Standing::In, Standing::Panic);
    assert_eq!(*judgement.standings, [up, panic, panic, up, up, Standing::Down]);
    assert_eq!(
        judgement.panic.map(|panic| (panic.tier, panic.usable, panic.total)),
        Some((0, 1, 3))
    );
    let facts = [down, down, UP, backup(down), backup(down), backup(UP)];
    let judgement = judge(&facts, &policy, Tick::ZERO);
    assert_eq!(*judgement.standings, [panic, panic, up, panic, panic, up]);
    let nobody = judge(&[down, backup(down)], &policy, Tick::ZERO);
    assert_eq!(*nobody.standings, [panic, Standing::Down], "the first, as without overflow");
}

#[test]
fn a_half_open_backend_of_the_own_zone_is_tried_while_others_are_used() {
    let at = |place, health| Facts { place, health, ..UP };
    let (own, others) = (Place::Own, Place::Others);
    let facts = [at(own, Health::HalfOpen), at(others, Health::Up), at(others, Health::HalfOpen)];
    let judgement = judge(&facts, &Policy::default(), Tick::ZERO);
    assert_eq!(*judgement.standings, [Standing::HalfOpen, Standing::In, Standing::HalfOpen]);
    assert_eq!(*judgement.trials, [Slot::new(0)]);
    assert_eq!(slots(&judgement.groups.whole.new), [1, 2]);
    let facts = [at(own, Health::Up), at(others, Health::Up), at(others, Health::HalfOpen)];
    let judgement = judge(&facts, &Policy::default(), Tick::ZERO);
    assert_eq!(*judgement.standings, [Standing::In, Standing::Standby, Standing::Standby]);
    assert_eq!(slots(&judgement.groups.whole.new), [0]);
}

/// It would stay half-open for ever, as nobody else finds out that it works again.
#[test]
fn a_half_open_backend_is_tried_where_those_in_use_are_too_few() {
    let half_open = Facts { health: Health::HalfOpen, ..UP };
    let down = Facts { health: Health::Down, ..UP };
    let backup = |facts| Facts { tier: 1, ..facts };
    let spilling = Policy { overflow: Some(Overflow::default()), ..Policy::default() };
    let facts = [UP, down, backup(half_open)];
    let judgement = judge(&facts, &spilling, Tick::ZERO);
    assert_eq!(*judgement.standings, [Standing::In, Standing::Down, Standing::HalfOpen]);
    assert_eq!((*judgement.trials).to_vec(), [Slot::new(2)]);
    assert_eq!(slots(&judgement.groups.whole.new), [0]);
    let enough = judge(&[UP, backup(half_open)], &spilling, Tick::ZERO);
    assert_eq!((enough.standings[1], enough.trials.len()), (Standing::Standby, 0));

    let at = |place, facts| Facts { place, ..facts };
    let (own, others) = (Place::Own, Place::Others);
    let facts = [at(own, UP), at(own, down), at(others, half_open)];
    let judgement = judge(&facts, &Policy::default(), Tick::ZERO);
    assert_eq!(*judgement.standings, [Standing::In, Standing::Down, Standing::HalfOpen]);
    assert_eq!((*judgement.trials).to_vec(), [Slot::new(2)]);
}

#[test]
fn who_stands_by_is_in_reserve_by_tier_and_zone() {
    let at = |tier, place| Facts { tier, place, ..UP };
    let (own, others) = (Place::Own, Place::Others);
    let facts = [at(1, others), at(1, own), at(0, others), at(0, own)];
    assert_eq!(in_reserve(&facts), [[2], [1], [0]]);
}

#[test]
fn a_spare_stands_by_until_somebody_is_out() {
    let spare = Facts { is_spare: true, ..UP };
    let down = Facts { health: Health::Down, ..UP };
    let ejected = Facts { health: Health::Ejected, ..spare };
    assert_eq!(judged(&[UP, spare, ejected]), [Standing::In, Standing::Standby, Standing::Ejected]);
    let expected = [Standing::Down, Standing::In, Standing::Standby];
    assert_eq!(judged(&[down, spare, spare]), expected);
    let judgement = judge(&[down, spare, spare], &Policy::default(), Tick::ZERO);
    assert_eq!(slots(&judgement.groups.whole.new), [1]);
    let homes = [0, 1, 2].map(|slot| judgement.groups.home(Slot::new(slot)).is_some());
    assert_eq!(homes, [true, true, false]);
}

#[test]
fn who_is_not_of_the_subset_keeps_those_bound_to_it() {
    let marked = |mark, health| Facts { mark, health, ..UP };
    let healths =
        [Health::Down, Health::Up, Health::HalfOpen, Health::Up, Health::HalfOpen, Health::Up];
    let facts: Vec<Facts> =
        healths.into_iter().zip(0_u64..).map(|(health, mark)| marked(mark, health)).collect();
    let size = NonZeroU32::new(2).unwrap();
    let policy = Policy { subset: Some(Subset { size, instance: 0 }), ..Policy::default() };
    let judgement = judge(&facts, &policy, Tick::ZERO);
    let (used, elsewhere) = (Standing::In, Standing::Elsewhere);
    let expected = [Standing::Down, used, Standing::HalfOpen, used, elsewhere, elsewhere];
    assert_eq!(*judgement.standings, expected);
    assert_eq!(slots(&judgement.groups.whole.new), [1, 2, 3]);
    assert_eq!(slots(&judgement.bound), [1, 2, 3, 4, 5]);
    assert_eq!(judgement.reserves.len(), 0);
    let instance = 1;
    let policy = Policy { subset: Some(Subset { size, instance }), ..Policy::default() };
    let expected = [Standing::Down, used, elsewhere, used, Standing::HalfOpen, used];
    let judgement = judge(&facts, &policy, Tick::ZERO);
    assert_eq!(judgement.standings[3..], expected[3..], "from the middle on");
    assert_eq!(judgement.standings[1], elsewhere);
}

#[test]
fn a_subset_stays_what_it_is_when_there_is_panic() {
    let of = |place, health, mark| Facts { place, health, mark, ..UP };
    let (own, others) = (Place::Own, Place::Others);
    let with = |health| -> Vec<Facts> {
        (0..8).map(|mark| of(if mark % 2 == 0 { own } else { others }, health, mark)).collect()
    };
    let subset = Some(Subset { size: NonZeroU32::new(2).unwrap(), instance: 1 });
    let policy = Policy { subset, ..below(50) };
    let left = |facts: &[Facts]| -> Vec<bool> {
        let judgement = judge(facts, &policy, Tick::ZERO);
        judgement.standings.iter().map(|one| *one == Standing::Elsewhere).collect()
    };
    let before = judge(&with(Health::Up), &policy, Tick::ZERO);
    assert_eq!(slots(&before.groups.whole.new).len(), 2, "the own zone is enough");
    let used = before.standings.iter().map(|one| *one != Standing::Elsewhere);
    let in_panic = judge(&with(Health::Down), &policy, Tick::ZERO);
    let panicking = in_panic.standings.iter().map(|one| *one == Standing::Panic);
    assert!(panicking.eq(used), "{in_panic:?}");
    assert_eq!(left(&with(Health::Up)).iter().filter(|left| **left).count(), 4);
}

fn any_facts() -> impl Strategy<Value = Vec<Facts>> {
    let admin = prop_oneof![
        4 => Just(AdminState::Enabled),
        1 => Just(AdminState::Draining { until: None }),
        1 => Just(AdminState::Disabled),
    ];
    let healths = [Health::Unknown, Health::Up, Health::HalfOpen, Health::Ejected, Health::Down];
    let health = prop::sample::select(healths.to_vec());
    let of = (admin, health, 0..4_u8, 1..10_u32, any::<bool>(), 0..4_u8, any::<u64>());
    let facts = of.prop_map(|(admin, health, tier, weight, is_own, spare, mark)| Facts {
        admin,
        health,
        tier,
        weight,
        place: if is_own { Place::Own } else { Place::Others },
        is_spare: spare == 0,
        mark,
        ..UP
    });
    prop::collection::vec(facts, 0..20)
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let overflow = prop::option::of((0.0..3.0).prop_map(|factor| Overflow { factor }));
    let size = (1..6_u32).prop_map(|size| NonZeroU32::new(size).unwrap());
    let subset = (size, 0..50_u32).prop_map(|(size, instance)| Subset { size, instance });
    let parts = (0..=100_u8, overflow, prop::option::of(subset));
    parts.prop_map(|(panic_threshold, overflow, subset)| Policy {
        overflow,
        subset,
        ..below(panic_threshold)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        rng_seed: RngSeed::Fixed(0x1b),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever is true of backends and whatever is wanted of them.
    #[test]
    fn everybody_is_somewhere_once(
        mut facts in any_facts(),
        policy in any_policy(),
        has_zones: bool,
    ) {
        if !has_zones {
            facts.iter_mut().for_each(|facts| facts.place = Place::Any);
        }
        let judgement = judge(&facts, &policy, Tick::ZERO);
        let groups = &judgement.groups;
        let mut several: Vec<usize> =
            groups.several.iter().flat_map(|group| slots(&group.new)).collect();
        if groups.len() > 1 {
            several.sort_unstable();
            assert_eq!(several, slots(&groups.whole.new));
            assert!(groups.several.iter().all(|group| !group.new.is_empty()));
        }
        let shares: u64 = groups.shares().map(|(_, share)| share).sum();
        assert_eq!(shares, if groups.whole.new.is_empty() { 0 } else { ALL });
        let somebody_is_able = facts.iter().any(Facts::is_able);
        assert!(!somebody_is_able || !groups.whole.new.is_empty());
        for (index, facts) in facts.iter().enumerate() {
            let slot = Slot::new(index);
            let (is_new, standing) = (groups.whole.new.contains(slot), judgement.standings[index]);
            let is_trial = judgement.trials.contains(&slot);
            let is_reserve = judgement.reserves.iter().any(|slots| slots.contains(&slot));
            assert_eq!(is_new || is_trial, standing.admits_new());
            assert!(!(is_new && is_trial) && (is_reserve == (standing == Standing::Standby)));
            assert_eq!(judgement.bound.contains(slot), standing.admits_bound());
            assert!(!standing.admits_new() || facts.admin.admits_new());
            assert!(!is_trial || facts.health == Health::HalfOpen);
            let is_left = standing == Standing::Elsewhere && policy.subset.is_some();
            assert!(!facts.is_able() || is_new || is_reserve || is_left);
        }
    }
}
