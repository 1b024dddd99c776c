//! Bytes by weight, while backends come, go and change.

use std::time::Duration;

use lb_core::{
    Backend, Cause, Change, Cluster, ClusterHandle, Health, Membership, Outcome, PickCx, Tick,
    Weight,
    cluster::{CauseKind, Overflow, Policy},
    sample::mix,
    strategy::StrategyKind,
};

use crate::support::{cluster, equal, position, settle, weighted};

fn say(cluster: &Cluster, change: Change) {
    cluster.apply(change, Cause::new(CauseKind::Source, "test")).unwrap();
    settle(cluster);
}

/// So many requests of 1,000 bytes on average; the bytes that each backend moved.
fn move_bytes(handle: &mut ClusterHandle, backends: usize, requests: u64) -> Vec<u64> {
    let mut moved = vec![0; backends];
    for request in 0..requests {
        let mut lease = handle.acquire(&PickCx::new(Tick::ZERO, mix(request))).unwrap();
        let bytes = mix(!request) % 2_000;
        moved[position(lease.backend().name())] += bytes;
        lease.transferred(bytes);
        lease.complete(Outcome::Status(200), Tick::ZERO);
    }
    moved
}

/// Whether they were moved by weight: but for one request of 2,000 bytes, which may be
/// the first or the last, for each.
fn is_by_weight(moved: &[u64], weights: &[u64]) -> bool {
    let (bytes, weight): (u64, u64) = (moved.iter().sum(), weights.iter().sum());
    let fair = weights.iter().map(|own| bytes * own / weight);
    moved.iter().zip(fair).all(|(moved, fair)| moved.abs_diff(fair) <= 4_000)
}

#[test]
fn whoever_joins_or_returns_gets_its_share_and_not_everything() {
    let cluster = cluster(StrategyKind::ByTraffic, equal(2));
    let mut handle = cluster.handle();
    let moved = move_bytes(&mut handle, 2, 10_000);
    assert!(is_by_weight(&moved, &[1, 1]), "{moved:?}");
    for members in [4, 3, 4] {
        say(&cluster, Change::Membership(equal(members)));
        let moved = move_bytes(&mut handle, members, 12_000);
        assert!(is_by_weight(&moved, &vec![1; members]), "{moved:?}");
    }
}

#[test]
fn another_weight_counts_from_now_on() {
    let cluster = cluster(StrategyKind::ByTraffic, weighted(&[1, 1]));
    let mut handle = cluster.handle();
    move_bytes(&mut handle, 2, 10_000);
    say(&cluster, Change::Weight { backend: "b0".into(), weight: Weight::new(3) });
    let moved = move_bytes(&mut handle, 2, 8_000);
    assert!(is_by_weight(&moved, &[3, 1]), "{moved:?}");
}

#[test]
fn an_account_that_was_left_behind_stays_so_when_the_set_is_built_anew() {
    let cluster = cluster(StrategyKind::ByTraffic, equal(2));
    let mut handle = cluster.handle();
    let mut lease = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
    assert_eq!(position(lease.backend().name()), 0);
    lease.transferred(100_000);
    lease.complete(Outcome::Status(200), Tick::ZERO);
    let changed = equal(2).iter().map(|it| Backend::clone(it).in_tier(0)).collect::<Vec<_>>();
    let limited = changed.into_iter().map(|it| it.with_max_in_flight(9.try_into().unwrap()));
    say(&cluster, Change::Membership(Membership::new(limited).unwrap()));
    let moved = move_bytes(&mut handle, 2, 90);
    assert_eq!(moved[0], 0, "b1 catches up first");
}

#[test]
fn accounts_of_one_tier_survive_the_build_of_another() {
    let limited = |limit: u32| {
        let limit = limit.try_into().unwrap();
        let backends = equal(4);
        let backends = backends
            .iter()
            .zip([0, 0, 0, 1])
            .map(|(it, tier)| Backend::clone(it).in_tier(tier).with_max_in_flight(limit));
        Change::Membership(Membership::new(backends.collect::<Vec<_>>()).unwrap())
    };
    let cluster = cluster(StrategyKind::ByTraffic, equal(4));
    let policy = Policy { overflow: Some(Overflow::default()), ..Policy::default() };
    say(&cluster, Change::Policy(policy));
    say(&cluster, limited(8));
    // Two of three are too few for all, so that some goes to the other tier.
    let snapshot = cluster.snapshot();
    let incarnation = snapshot.view().incarnation(snapshot.find("b2").unwrap());
    say(&cluster, Change::Health { incarnation, health: Health::Down });
    assert_eq!(cluster.snapshot().groups().count(), 2);
    let mut handle = cluster.handle();
    let mut lease = handle.acquire(&PickCx::new(Tick::ZERO, 0).preferring("b0")).unwrap();
    lease.transferred(1_000_000);
    lease.complete(Outcome::Status(200), Tick::ZERO);
    say(&cluster, limited(9));
    let moved = move_bytes(&mut handle, 4, 90);
    assert_eq!(moved[0], 0, "b1 catches up first");
    assert!(moved[1] > 0 && moved[3] > 0, "{moved:?}");
}

#[test]
fn requests_under_way_count_before_their_bytes_are_known() {
    let cluster = cluster(StrategyKind::ByTraffic, weighted(&[2, 1]));
    let mut handle = cluster.handle();
    move_bytes(&mut handle, 2, 3_000);
    cluster.drive(&|| Tick::ZERO + Duration::from_secs(3_600));
    let leases: Vec<_> =
        (0..300).map(|n| handle.acquire(&PickCx::new(Tick::ZERO, mix(n))).unwrap()).collect();
    let heavy = leases.iter().filter(|it| it.backend().name() == "b0").count();
    assert!((190..=210).contains(&heavy), "{heavy} of 300 on the one with two thirds");
}
