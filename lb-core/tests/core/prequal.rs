//! By what probes have found.

use std::time::Duration;

use lb_core::{
    Cause, Change, Cluster, ClusterHandle, LoadReport, Membership, Outcome, PickCx, Tick, Tried,
    cluster::{CauseKind, Slot},
    sample::mix,
    strategy::{ProbePool, Probed, Reason, StrategyKind},
};

use crate::support::{cluster, equal, position, settle, weighted};

fn requests(count: u32) -> LoadReport {
    let mut report = LoadReport::new(u64::from(count) * LoadReport::ONE);
    report.in_flight = Some(count);
    report
}

/// The backend in this position has so many in flight, and takes so long.
fn probe(handle: &ClusterHandle, backend: usize, load: u32, millis: u64, at: Tick) -> Probed {
    let snapshot = handle.snapshot();
    let latency = Duration::from_millis(millis);
    Probed::new(snapshot.view(), Slot::new(backend), requests(load), latency, at)
}

fn prequal(backends: usize) -> (Cluster, ClusterHandle, ProbePool) {
    let cluster = cluster(StrategyKind::Prequal, equal(backends));
    let handle = cluster.handle();
    (cluster, handle, ProbePool::new(3.0))
}

/// Whom a pick at this time takes, and why.
fn pick(handle: &mut ClusterHandle, pool: &ProbePool, at: Tick) -> (usize, Reason) {
    let lease = handle.acquire(&PickCx::new(at, mix(7)).probed(pool)).unwrap();
    (position(lease.backend().name()), lease.reason())
}

#[test]
fn the_fastest_of_those_who_are_not_hot_is_taken() {
    let (_cluster, mut handle, mut pool) = prequal(20);
    // 84 % of ten loads: the ninth is the last that is not hot.
    for (backend, load) in (0..10).zip(1..) {
        let latency = if backend == 9 { 1 } else { 50 - u64::from(load) };
        pool.add(probe(&handle, backend, load, latency, Tick::ZERO), 20, 0);
    }
    assert_eq!(pick(&mut handle, &pool, Tick::ZERO), (8, Reason::Probed));
}

#[test]
fn where_all_are_hot_the_least_loaded_is_taken() {
    let (_cluster, mut handle, mut pool) = prequal(100);
    // These are gone from the pool, and still what is usual.
    for backend in 0..40 {
        pool.add(probe(&handle, backend, 1, 1, Tick::ZERO), 100, 0);
    }
    let later = Tick::from_millis(1_500);
    for (backend, load) in [(50, 30), (51, 10), (52, 20)] {
        pool.add(probe(&handle, backend, load, 99 - u64::from(load), later), 100, 0);
    }
    assert_eq!(pick(&mut handle, &pool, later), (51, Reason::Probed));
}

#[test]
fn a_load_is_for_its_weight() {
    let cluster = cluster(StrategyKind::Prequal, weighted(&[1, 10]));
    let (mut handle, mut pool) = (cluster.handle(), ProbePool::new(3.0));
    // Six in seven loads are one for one.
    for _ in 0..6 {
        pool.add(probe(&handle, 1, 10, 30, Tick::ZERO), 2, 0);
    }
    pool.add(probe(&handle, 0, 2, 1, Tick::ZERO), 2, 0);
    assert_eq!(pick(&mut handle, &pool, Tick::ZERO).0, 1, "twice the load of one for one is hot");
}

#[test]
fn with_less_than_two_results_the_least_loaded_of_some_is_taken() {
    let (_cluster, mut handle, mut pool) = prequal(2);
    assert_eq!(pick(&mut handle, &pool, Tick::ZERO).1, Reason::LeastLoaded);
    pool.add(probe(&handle, 0, 1, 1, Tick::ZERO), 2, 0);
    let held = handle.acquire(&PickCx::new(Tick::ZERO, 1)).unwrap();
    let other = 1 - position(held.backend().name());
    assert_eq!(pick(&mut handle, &pool, Tick::ZERO), (other, Reason::LeastLoaded));
    pool.add(probe(&handle, 1, 1, 9, Tick::ZERO), 2, 0);
    assert_eq!(pick(&mut handle, &pool, Tick::ZERO), (0, Reason::Probed));
    let late = Tick::from_millis(1_000);
    assert_eq!(pick(&mut handle, &pool, late).1, Reason::LeastLoaded, "they are too old");
}

#[test]
fn who_was_tried_or_has_left_is_not_taken() {
    let (cluster, mut handle, mut pool) = prequal(3);
    for backend in 0..3 {
        let latency = 1 + backend as u64;
        pool.add(probe(&handle, backend, 1, latency, Tick::ZERO), 3, 0);
    }
    let mut tried = Tried::default();
    tried.add(handle.snapshot().view().incarnation(Slot::new(0)));
    let cx = PickCx::new(Tick::ZERO, 1).probed(&pool).avoiding(&tried);
    assert_eq!(handle.acquire(&cx).unwrap().backend().name(), "b1");
    // The last one moves to the first place, and the others are gone.
    let last = Membership::new(equal(3).iter().skip(2).map(|it| (**it).clone())).unwrap();
    let cause = Cause::new(CauseKind::Person, "test");
    cluster.apply(Change::Membership(last), cause).unwrap();
    settle(&cluster);
    assert_eq!(pick(&mut handle, &pool, Tick::ZERO), (2, Reason::LeastLoaded));
}

#[test]
fn who_fails_fast_is_hot() {
    let (_cluster, mut handle, mut pool) = prequal(3);
    let mut counts = [0; 3];
    for request in 0..300_u64 {
        let now = Tick::from_millis(request * 10);
        for backend in 0..3 {
            // The one that fails has nothing to do and is done at once.
            let (load, latency) = if backend == 0 { (0, 1) } else { (2, 20) };
            pool.add(probe(&handle, backend, load, latency, now), 3, mix(request));
        }
        let lease = handle.acquire(&PickCx::new(now, mix(request)).probed(&pool)).unwrap();
        let backend = position(lease.backend().name());
        pool.used(lease.incarnation(), now);
        counts[backend] += 1;
        let outcome = if backend == 0 { Outcome::Refused } else { Outcome::Status(200) };
        lease.complete(outcome, now);
    }
    assert!(counts[0] <= 100, "no more than a fair share: {counts:?}");
    assert!(counts[0] > 0, "and found out again: {counts:?}");
}
