//! Who is asked when: the tier in use, those who may be back, those who stand by.

use std::num::NonZeroU32;

use lb_core::{
    Backend, Lease, Membership, Outcome, PickCx, Tried,
    cluster::{Policy, Standing},
    sample::mix,
    strategy::{Reason, StrategyKind},
};

use crate::health::Farm;

/// Backends of these names; those that begin with `backup` are of tier 1.
fn farm(kind: StrategyKind, names: &[&str]) -> Farm {
    let backend = |name: &&str| Backend::new(*name).in_tier(u8::from(name.starts_with("backup")));
    let membership = Membership::new(names.iter().map(backend)).unwrap();
    Farm::new(kind, membership, Policy::default())
}

/// A request of client number `n`.
fn acquire(farm: &mut Farm, n: u64) -> Lease {
    let key = mix(n).to_be_bytes();
    farm.handle.acquire(&PickCx::new(farm.now.get(), mix(n)).keyed(&key[..4])).unwrap()
}

/// Has requests to primaries fail until there are none, and others succeed.
fn fail_primaries(farm: &mut Farm) {
    for n in 0..200 {
        let lease = acquire(farm, n);
        let primary = lease.backend().name().starts_with("primary");
        let outcome = if primary { Outcome::Connect } else { Outcome::Status(200) };
        lease.complete(outcome, farm.now.get());
        farm.wait(20);
    }
}

#[test]
fn a_tier_that_works_again_is_used_again_wherever_it_is_listed() {
    for kind in StrategyKind::ALL {
        for names in [["backup", "primary"], ["primary", "backup"]] {
            let mut farm = farm(*kind, &names);
            fail_primaries(&mut farm);
            assert_eq!(farm.standing("backup"), Standing::In, "{kind}");
            farm.wait(10_000);
            assert_eq!(farm.standing("primary"), Standing::HalfOpen, "{kind}");
            let trial = acquire(&mut farm, 1);
            assert_eq!((trial.backend().name(), trial.reason()), ("primary", Reason::Trial));
            assert_eq!(acquire(&mut farm, 2).backend().name(), "backup", "one at a time");
            trial.complete(Outcome::Status(200), farm.now.get());
            farm.wait(100);
            assert_eq!(farm.standing("backup"), Standing::Standby, "{kind}");
            assert_eq!(acquire(&mut farm, 3).backend().name(), "primary", "{kind}");
        }
    }
}

#[test]
fn keys_keep_their_backups_while_a_primary_is_tried() {
    for kind in StrategyKind::ALL.iter().copied().filter(|kind| kind.needs_key()) {
        let names = ["primary-0", "backup-0", "backup-1", "primary-1", "backup-2", "backup-3"];
        let mut farm = farm(kind, &names);
        fail_primaries(&mut farm);
        let owners = |farm: &mut Farm| -> Vec<String> {
            let mut owner = |n: u64| acquire(farm, 7_000 + n).backend().name().to_owned();
            (0..300).map(&mut owner).collect()
        };
        let before = owners(&mut farm);
        farm.wait(12_000);
        assert_eq!(farm.standing("primary-0"), Standing::HalfOpen, "{kind}");
        let trials = [acquire(&mut farm, 1), acquire(&mut farm, 2)];
        assert!(trials.iter().all(|lease| lease.reason() == Reason::Trial), "{kind}");
        assert_eq!(owners(&mut farm), before, "{kind}");
    }
}

#[test]
fn a_request_that_has_tried_all_of_its_tier_goes_to_one_that_stands_by() {
    for kind in StrategyKind::ALL {
        let mut farm = farm(*kind, &["backup-0", "primary", "backup-1"]);
        let mut tried = Tried::default();
        let mut retry = |expected: &[&str]| {
            let cx = PickCx::new(farm.now.get(), 1).avoiding(&tried);
            let lease = farm.handle.acquire(&cx).unwrap();
            assert!(expected.contains(&lease.backend().name()), "{kind}: {lease:?}");
            assert_eq!(lease.reason() == Reason::Standby, expected.len() == 2);
            tried.add(lease.incarnation());
        };
        retry(&["primary"]);
        let backups = ["backup-0", "backup-1"];
        retry(&backups);
        retry(&backups);
        let cx = PickCx::new(farm.now.get(), 1).avoiding(&tried);
        let error = farm.handle.acquire(&cx).unwrap_err();
        assert_eq!(error.to_string(), "none of 3 backends can be used: 3 tried");
    }
}

#[test]
fn what_a_full_tier_cannot_take_goes_to_the_next_and_then_to_the_one_after_it() {
    let one = NonZeroU32::MIN;
    let backends = [2_u8, 0, 1, 1]
        .into_iter()
        .enumerate()
        .map(|(n, tier)| Backend::new(format!("b{n}")).in_tier(tier).with_max_in_flight(one));
    let membership = Membership::new(backends).unwrap();
    let mut farm = Farm::new(StrategyKind::LeastConn, membership, Policy::default());
    let leases: Vec<Lease> = (0..4).map(|n| acquire(&mut farm, n)).collect();
    let tiers: Vec<u8> = leases.iter().map(|lease| lease.backend().tier()).collect();
    assert_eq!(tiers, [0, 1, 1, 2]);
    let error = farm.handle.acquire(&PickCx::new(farm.now.get(), 0)).unwrap_err();
    assert_eq!(error.to_string(), "none of 4 backends can be used: 4 full");
    assert!(error.is_overload());
}

#[test]
fn somebody_who_stands_by_is_better_than_one_about_to_be_out() {
    let mut farm = farm(StrategyKind::First, &["primary", "backup"]);
    let weight = lb_core::Weight::new(2);
    farm.say(lb_core::Change::Weight { backend: "primary".into(), weight });
    farm.drive();
    farm.requests([Outcome::Connect; 3]);
    farm.drive();
    assert_eq!(farm.standing("primary"), Standing::In, "nothing was built yet");
    assert_eq!(farm.requests([Outcome::Status(200); 2]), ["backup"; 2]);
}
