//! A backend that comes or returns gets its share little by little.

use std::time::Duration;

use lb_core::{
    AdminState, Cause, Change, Cluster, ClusterHandle, Health, Membership, Outcome, PickCx, Tick,
    cluster::{CauseKind, Policy, SlowStart},
    sample::mix,
    strategy::StrategyKind,
};
use serde_json::Value;

use crate::support::{equal, weighted};

const START: Tick = Tick::from_millis(1_000);

fn cluster(membership: Membership) -> Cluster {
    let slow_start = Some(SlowStart::over(Duration::from_secs(20)));
    let builder = Cluster::builder("test").strategy(lb_core::strategy::RoundRobin::default());
    builder.membership(membership).policy(Policy { slow_start, ..Policy::default() }).build()
}

fn say(cluster: &Cluster, change: Change) {
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
}

/// Drives at so many milliseconds after the start.
fn drive(cluster: &Cluster, millis: u64) -> Option<Tick> {
    cluster.drive(&|| START + Duration::from_millis(millis))
}

fn weights(cluster: &Cluster) -> (Vec<u32>, Vec<u32>) {
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    view.slots().map(|slot| (view.weight(slot), view.base_weight(slot))).unzip()
}

fn stamp(cluster: &Cluster) -> String {
    cluster.snapshot().stamp().to_string()
}

#[test]
fn the_share_of_a_weight_is_envoys_to_the_printed_digits() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/slow_start.json")).unwrap();
    let rows = vectors["rows"].as_array().unwrap();
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        let slow_start = SlowStart {
            window: Duration::from_secs_f64(number("window_s")),
            aggression: number("aggression"),
            least: u8::try_from(row["min_weight_percent"].as_u64().unwrap()).unwrap(),
        };
        let age = Duration::from_secs_f64(number("time_since_start_s"));
        let effective = number("weight") * slow_start.part(age);
        assert_eq!(format!("{effective:.12}"), format!("{:.12}", number("effective")), "{row}");
    }
    println!("slow_start: {} rows exact to twelve digits", rows.len());
    assert_eq!(rows.len(), 20);
}

#[test]
fn a_backend_that_joins_others_ramps_in_ten_revisions() {
    let cluster = cluster(weighted(&[2, 1]));
    assert_eq!(drive(&cluster, 0), None, "those of the first generation have no ramp");
    say(&cluster, Change::Membership(weighted(&[2, 1, 3])));
    let mut due = drive(&cluster, 0);
    assert_eq!(weights(&cluster), (vec![20, 10, 3], vec![2, 1, 3]));
    let mut seen = Vec::new();
    while let Some(next) = due {
        seen.push((next.since(START).as_secs(), weights(&cluster).0[2], stamp(&cluster)));
        due = cluster.drive(&|| next);
    }
    let expected = [3, 3, 6, 9, 12, 15, 18, 21, 24, 27].into_iter().enumerate();
    let expected: Vec<_> = expected
        .map(|(step, weight)| {
            let stamp = if step == 0 { "2".to_owned() } else { format!("2.{step}") };
            (2 * step as u64 + 2, weight, stamp)
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(weights(&cluster), (vec![2, 1, 3], vec![2, 1, 3]));
    assert_eq!(cluster.generations().len(), 2, "nobody caused the steps");
}

fn shares(handle: &mut ClusterHandle, requests: u64) -> Vec<u32> {
    let mut counts = vec![0; 3];
    for request in 0..requests {
        let lease = handle.acquire(&PickCx::new(START, mix(request))).unwrap();
        counts[crate::support::position(lease.backend().name())] += 1;
        lease.complete(Outcome::Status(200), START);
    }
    counts
}

#[test]
fn a_backend_that_returns_ramps_and_its_share_shows_it() {
    let cluster = cluster(equal(3));
    let mut handle = cluster.handle();
    let incarnation = {
        let snapshot = cluster.snapshot();
        snapshot.view().incarnation(snapshot.find("b1").unwrap())
    };
    say(&cluster, Change::Health { incarnation, health: Health::Down });
    drive(&cluster, 0);
    assert_eq!(shares(&mut handle, 100), [50, 0, 50]);
    say(&cluster, Change::Health { incarnation, health: Health::Up });
    assert_eq!(drive(&cluster, 60_000), Some(START + Duration::from_secs(62)));
    assert_eq!(shares(&mut handle, 210), [100, 10, 100]);
    drive(&cluster, 70_000);
    assert_eq!(shares(&mut handle, 250), [100, 50, 100]);
    assert_eq!(drive(&cluster, 80_000), None);
    assert_eq!(shares(&mut handle, 300), [100, 100, 100]);
}

#[test]
fn those_who_come_all_at_once_do_not_ramp() {
    let cluster = cluster(Membership::default());
    say(&cluster, Change::Membership(equal(3)));
    assert_eq!(drive(&cluster, 0), None);
    assert_eq!(weights(&cluster).0, [1, 1, 1]);
    say(&cluster, Change::Membership(equal(7)));
    assert_eq!(drive(&cluster, 60_000), None, "four of seven");
}

#[test]
fn who_is_out_of_use_does_not_count_as_one_of_those_who_stay() {
    let cluster = cluster(equal(2));
    let incarnation = {
        let snapshot = cluster.snapshot();
        snapshot.view().incarnation(snapshot.find("b1").unwrap())
    };
    say(&cluster, Change::Health { incarnation, health: Health::Down });
    drive(&cluster, 0);
    say(&cluster, Change::Membership(equal(4)));
    assert_eq!(drive(&cluster, 60_000), None, "two of three");
}

#[test]
fn a_backend_that_is_enabled_again_ramps() {
    for state in [AdminState::Disabled, AdminState::Draining { until: None }] {
        let cluster = cluster(equal(3));
        let set = |state| say(&cluster, Change::Admin { backend: "b1".into(), state });
        set(state);
        drive(&cluster, 0);
        set(AdminState::Enabled);
        assert_eq!(drive(&cluster, 60_000), Some(START + Duration::from_secs(62)), "{state:?}");
        assert_eq!(weights(&cluster).0, [10, 1, 10]);
        drive(&cluster, 80_000);
        assert_eq!(weights(&cluster).0, [1, 1, 1]);
        set(AdminState::Enabled);
        assert_eq!(drive(&cluster, 90_000), None, "it was");
    }
}

/// Who gets each of so many keys.
fn owners(cluster: &Cluster) -> Vec<usize> {
    let mut handle = cluster.handle();
    (0..20_000).map(|key| crate::support::pick(&mut handle, mix(key))).collect()
}

#[test]
fn a_backend_that_joins_gets_some_of_its_keys_and_then_more() {
    for kind in [
        StrategyKind::HaproxyHash,
        StrategyKind::Ring,
        StrategyKind::Maglev,
        StrategyKind::Rendezvous,
        StrategyKind::Jump,
    ] {
        joins_slowly(kind);
    }
}

fn joins_slowly(kind: StrategyKind) {
    let cluster = cluster(weighted(&[1, 2, 1]));
    say(&cluster, Change::Strategy(kind.build()));
    say(&cluster, Change::Membership(weighted(&[1, 2, 1, 2])));
    let steps: Vec<Vec<usize>> = [0, 10_000, 18_000, 20_000]
        .map(|millis| {
            drive(&cluster, millis);
            owners(&cluster)
        })
        .into();
    let count = |owners: &[usize]| owners.iter().filter(|owner| **owner == 3).count();
    let whole = count(&steps[3]);
    for (owners, percent) in steps.iter().zip([10, 50, 90]) {
        // Binomial of some 6700: sigma is at most 41, so five are below 210.
        assert!(count(owners).abs_diff(whole * percent / 100) < 210, "{kind}, {percent} %");
    }
    for pair in steps.windows(2) {
        for (before, after) in pair[0].iter().zip(&pair[1]) {
            assert!(before == after || *after == 3, "the keys of others stay where they are");
        }
    }
}

#[test]
fn nginx_hashes_are_nginxs_also_while_somebody_ramps() {
    for kind in [StrategyKind::IpHash, StrategyKind::Hash, StrategyKind::HashConsistent] {
        let cluster = cluster(weighted(&[1, 2, 1]));
        say(&cluster, Change::Strategy(kind.build()));
        say(&cluster, Change::Membership(weighted(&[1, 2, 1, 2])));
        drive(&cluster, 0);
        assert_eq!(weights(&cluster).0, [10, 20, 10, 2]);
        let during = owners(&cluster);
        drive(&cluster, 20_000);
        assert_eq!(during, owners(&cluster), "{kind}");
    }
}

#[test]
fn a_first_check_that_passes_does_not_begin_a_ramp() {
    let cluster = cluster(equal(3));
    let incarnation = {
        let snapshot = cluster.snapshot();
        snapshot.view().incarnation(snapshot.find("b1").unwrap())
    };
    say(&cluster, Change::Health { incarnation, health: Health::Up });
    assert_eq!(drive(&cluster, 60_000), None);
}

#[test]
fn without_slow_start_a_policy_may_bring_it_and_take_it_away() {
    let cluster = cluster(equal(2));
    say(&cluster, Change::Membership(equal(3)));
    drive(&cluster, 0);
    assert_eq!(weights(&cluster).0, [10, 10, 1]);
    say(&cluster, Change::Policy(Policy::default()));
    assert_eq!(drive(&cluster, 5_000), None);
    assert_eq!(weights(&cluster).0, [1, 1, 1]);
    let slow_start = Some(SlowStart::over(Duration::from_secs(10)));
    say(&cluster, Change::Policy(Policy { slow_start, ..Policy::default() }));
    drive(&cluster, 6_000);
    assert_eq!(weights(&cluster).0, [10, 10, 6], "since it came");
}

#[test]
fn every_strategy_can_pick_while_somebody_ramps() {
    for kind in StrategyKind::ALL {
        for size in [2, 12] {
            let cluster = cluster(equal(size));
            say(&cluster, Change::Strategy(kind.build()));
            say(&cluster, Change::Membership(equal(size + 1)));
            drive(&cluster, 0);
            let mut handle = cluster.handle();
            for request in 0..100 {
                drop(handle.acquire(&PickCx::new(START, mix(request))).unwrap());
            }
        }
    }
}
