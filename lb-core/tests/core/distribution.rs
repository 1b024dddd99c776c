//! Who gets how much.

use std::{collections::BTreeSet, num::NonZeroU32, thread};

use lb_core::{
    Backend, Cause, Change, Cluster, Membership, PickCx, Tick, Tried,
    cluster::CauseKind,
    sample::mix,
    strategy::{First, RoundRobin, StrategyKind},
};

use crate::support::{acquire, cluster, equal, pick, position, settle, weighted};

fn counts(cluster: &Cluster, backends: usize, picks: u64) -> Vec<u64> {
    let mut handle = cluster.handle();
    let mut counts = vec![0; backends];
    for request in 0..picks {
        counts[pick(&mut handle, mix(request))] += 1;
    }
    counts
}

#[test]
fn round_robin_is_exact_over_all_workers_together() {
    let cluster = cluster(StrategyKind::RoundRobin, weighted(&[3, 1]));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let mut handle = cluster.handle();
            thread::spawn(move || {
                let mut counts = [0_u64; 2];
                (0..10_000).for_each(|_| counts[pick(&mut handle, 0)] += 1);
                counts
            })
        })
        .collect();
    let totals = workers.into_iter().map(|worker| worker.join().unwrap());
    let totals = totals.fold([0, 0], |sum, counts| [sum[0] + counts[0], sum[1] + counts[1]]);
    assert_eq!(totals, [30_000, 10_000]);
}

#[test]
fn the_cursor_starts_where_entropy_says() {
    let first = |entropy| {
        let builder = Cluster::builder("test").strategy(RoundRobin::default());
        let cluster = builder.membership(equal(10)).entropy(entropy).build();
        pick(&mut cluster.handle(), 0)
    };
    assert_eq!(first(0), 0);
    let starts: BTreeSet<_> = (1..100).map(|n| first(mix(n))).collect();
    assert!(starts.len() > 5, "99 clusters start at {starts:?}");
}

#[test]
fn random_follows_the_weights() {
    let counts = counts(&cluster(StrategyKind::Random, weighted(&[5, 3, 2])), 3, 100_000);
    for (count, expected) in counts.iter().zip([50_000, 30_000, 20_000]) {
        // Binomial(100000, p): sigma is at most 158, so five are below 800.
        assert!(count.abs_diff(expected) < 800, "{counts:?}");
    }
}

#[test]
fn idle_backends_are_used_by_weight() {
    // Above eight backends, where least-conn goes by the idle bitmap.
    let weights: Vec<u32> = (0..20).map(|index| if index < 10 { 3 } else { 1 }).collect();
    let counts = counts(&cluster(StrategyKind::LeastConn, weighted(&weights)), 20, 100_000);
    let heavy: u64 = counts[..10].iter().sum();
    assert!(heavy.abs_diff(75_000) < 800, "{counts:?}");
}

#[test]
fn least_conn_fills_evenly_at_every_size() {
    for size in [2, 8, 9, 64, 65, 200] {
        let cluster = cluster(StrategyKind::LeastConn, equal(size));
        let mut handle = cluster.handle();
        let mut leases = Vec::new();
        for request in 0..size as u64 {
            leases.push(handle.acquire(&PickCx::new(Tick::ZERO, mix(request))).unwrap());
        }
        let view = handle.snapshot().view();
        assert!(view.slots().all(|slot| view.in_flight(slot) == 1), "one each of {size}");
    }
}

#[test]
fn p2c_avoids_the_busier_of_two() {
    let cluster = cluster(StrategyKind::P2c, equal(2));
    let mut handle = cluster.handle();
    let held = handle.acquire(&PickCx::new(Tick::ZERO, 1)).unwrap();
    let busy = position(held.backend().name());
    for request in 0..100 {
        assert_ne!(pick(&mut handle, mix(request)), busy);
    }
}

#[test]
fn p2c_weighs_what_is_in_flight() {
    let cluster = cluster(StrategyKind::P2c, weighted(&[3, 1]));
    let mut handle = cluster.handle();
    let leases: Vec<_> = (0..400)
        .map(|request| handle.acquire(&PickCx::new(Tick::ZERO, mix(request))).unwrap())
        .collect();
    let heavy = leases.iter().filter(|lease| lease.backend().name() == "b0").count();
    assert!((298..=302).contains(&heavy), "{heavy} of 400 on the one with three quarters");
}

#[test]
fn first_fills_one_backend_before_the_next() {
    let backends = ["b0", "b1", "b2"]
        .map(|name| Backend::new(name).with_max_in_flight(NonZeroU32::new(2).unwrap()));
    let membership = Membership::new(backends).unwrap();
    let cluster = Cluster::builder("test").strategy(First).membership(membership).build();
    let mut handle = cluster.handle();
    let mut leases: Vec<_> = (0..6)
        .map(|request| handle.acquire(&PickCx::new(Tick::ZERO, mix(request))).unwrap())
        .collect();
    let used: Vec<_> = leases.iter().map(|lease| position(lease.backend().name())).collect();
    assert_eq!(used, [0, 0, 1, 1, 2, 2]);
    let error = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap_err();
    assert_eq!(error.to_string(), "none of 3 backends can be used: 3 full");
    assert!(error.is_overload());
    drop(leases.remove(0));
    assert_eq!(pick(&mut handle, 0), 0);
}

#[test]
fn every_strategy_finds_the_one_that_was_not_tried() {
    for kind in StrategyKind::ALL {
        for size in [1, 2, 3, 8, 9, 70] {
            let cluster = cluster(*kind, equal(size));
            let mut handle = cluster.handle();
            let mut tried = Tried::default();
            // `Tried` remembers eight: enough to leave one of nine.
            let steps = size.min(8);
            for step in 0..steps {
                let lease = acquire(&mut handle, mix(step as u64), &tried).unwrap();
                assert!(!tried.contains(lease.incarnation()), "{kind} of {size}");
                tried.add(lease.incarnation());
            }
            if size <= 8 {
                let error = acquire(&mut handle, 3, &tried).unwrap_err();
                assert_eq!(error.tried, size, "{kind}");
            }
        }
    }
}

#[test]
fn a_retry_takes_nobody_elses_turn() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(3));
    let mut handle = cluster.handle();
    let mut played = Vec::new();
    for _ in 0..6 {
        let lease = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
        played.push(position(lease.backend().name()));
        let mut tried = Tried::default();
        tried.add(lease.incarnation());
        let retry = handle.acquire(&PickCx::new(Tick::ZERO, 0).avoiding(&tried)).unwrap();
        assert_ne!(retry.incarnation(), lease.incarnation());
    }
    assert_eq!(played, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn the_same_inputs_give_the_same_decisions() {
    for kind in StrategyKind::ALL {
        let decisions = || {
            let weights: Vec<u32> = (1..=12).collect();
            let cluster = cluster(*kind, weighted(&weights));
            let mut handle = cluster.handle();
            let mut held = std::collections::VecDeque::new();
            let mut names = Vec::new();
            for request in 0..2_000 {
                let lease = acquire(&mut handle, mix(request), &Tried::default()).unwrap();
                names.push((lease.backend().name().to_owned(), lease.reason()));
                held.push_back(lease);
                if held.len() > 15 {
                    held.pop_front();
                }
            }
            names
        };
        assert_eq!(decisions(), decisions(), "{kind}");
    }
}

/// Takes `total` requests that stay, and counts them per backend.
fn saturate(cluster: &Cluster, backends: usize, total: u64) -> Vec<u64> {
    let mut handle = cluster.handle();
    let leases: Vec<_> = (0..total)
        .map(|request| handle.acquire(&PickCx::new(Tick::ZERO, mix(request))).unwrap())
        .collect();
    let mut counts = vec![0; backends];
    for lease in &leases {
        counts[position(lease.backend().name())] += 1;
    }
    counts
}

#[test]
fn a_heavy_backend_gets_its_share_under_load() {
    let weights = [91, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    for kind in [StrategyKind::P2c, StrategyKind::LeastConn] {
        let counts = saturate(&cluster(kind, weighted(&weights)), 10, 1_000);
        assert!((850..=950).contains(&counts[0]), "{kind}: {counts:?}");
    }
}

#[test]
fn p2c_serves_an_idle_cluster_by_weight() {
    let counts = counts(&cluster(StrategyKind::P2c, weighted(&[3, 1])), 2, 40_000);
    // Binomial(40000, 3/4): sigma is 87, so five are 433.
    assert!(counts[0].abs_diff(30_000) < 433, "{counts:?}");
}

/// How requests one at a time fall on `cluster` while some backends keep one each.
fn beside_busy(cluster: &Cluster, backends: usize, busy: &[usize]) -> Vec<u64> {
    let mut handle = cluster.handle();
    let names: Vec<String> = busy.iter().map(|position| format!("b{position}")).collect();
    let _busy: Vec<_> = names
        .iter()
        .map(|name| handle.acquire(&PickCx::new(Tick::ZERO, 0).preferring(name)).unwrap())
        .collect();
    counts(cluster, backends, 20_000)
}

#[test]
fn the_share_of_a_busy_backend_falls_on_all_others() {
    let three = cluster(StrategyKind::LeastConn, equal(3));
    let shares = beside_busy(&three, 3, &[0]);
    assert!(shares[1].abs_diff(10_000) < 400, "{shares:?}");

    let twenty = cluster(StrategyKind::LeastConn, equal(20));
    let busy: Vec<usize> = (0..10).collect();
    let shares = beside_busy(&twenty, 20, &busy);
    assert!(shares[..10].iter().all(|share| *share == 0), "{shares:?}");
    // Binomial(20000, 1/10): sigma is 42, so five are 212.
    assert!(shares[10..].iter().all(|share| share.abs_diff(2_000) < 212), "{shares:?}");
}

#[test]
fn idle_backends_are_found_evenly_wherever_they_sit() {
    // 65 backends: the last sits alone in a block of the bitmap.
    for size in [65, 130] {
        let cluster = cluster(StrategyKind::LeastConn, equal(size));
        let idle: Vec<usize> = (0..10).chain([size - 1]).collect();
        let busy: Vec<usize> = (0..size).filter(|position| !idle.contains(position)).collect();
        let shares = beside_busy(&cluster, size, &busy);
        for position in idle {
            // Binomial(20000, 1/11): sigma is 41, so five are 203.
            assert!(shares[position].abs_diff(1_818) < 203, "{size}: {shares:?}");
        }
    }
}

#[test]
fn the_cursor_goes_on_counting_when_the_set_is_built_anew() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(4));
    let mut handle = cluster.handle();
    let mut played = vec![pick(&mut handle, 0), pick(&mut handle, 0)];
    let cause = Cause::new(CauseKind::Source, "another address");
    let mut backends: Vec<Backend> = equal(4).iter().map(|backend| (**backend).clone()).collect();
    backends[3] = Backend::new("10.9.9.9:80").named("b3");
    let membership = Membership::new(backends).unwrap();
    cluster.apply(Change::Membership(membership), cause).unwrap();
    settle(&cluster);
    played.extend([pick(&mut handle, 0), pick(&mut handle, 0)]);
    assert_eq!(played, [0, 1, 2, 3]);
}

#[test]
fn an_idle_minority_is_used_by_weight() {
    let cluster = cluster(StrategyKind::LeastConn, weighted(&[1_000, 3, 1]));
    let shares = beside_busy(&cluster, 3, &[0]);
    // With one in flight, b0 of weight 1000 is still busier than nothing.
    assert!(shares[1].abs_diff(15_000) < 400, "{shares:?}");
}

#[test]
fn the_share_of_a_tried_backend_falls_on_all_others() {
    for kind in [StrategyKind::RoundRobin, StrategyKind::Random, StrategyKind::P2c] {
        let cluster = cluster(kind, weighted(&[10_000, 1, 1, 1]));
        let mut handle = cluster.handle();
        let mut tried = Tried::default();
        let first = handle.acquire(&PickCx::new(Tick::ZERO, 0).preferring("b0")).unwrap();
        tried.add(first.incarnation());
        drop(first);
        let mut counts = [0_u64; 4];
        for request in 0..30_000 {
            let cx = PickCx::new(Tick::ZERO, mix(request));
            let lease = handle.acquire(&cx.avoiding(&tried)).unwrap();
            counts[position(lease.backend().name())] += 1;
        }
        assert_eq!(counts[0], 0);
        // Binomial(30000, 1/3): sigma is 82, so five are 408.
        assert!(counts[1..].iter().all(|count| count.abs_diff(10_000) < 408), "{kind}: {counts:?}");
    }
}

#[test]
fn the_cursor_of_a_cluster_that_began_empty_starts_where_entropy_says() {
    let first = |n| {
        let builder = Cluster::builder("test").strategy(RoundRobin::default());
        let cluster = builder.entropy(mix(n)).build();
        let cause = Cause::new(CauseKind::Source, "somebody came");
        cluster.apply(Change::Membership(equal(10)), cause).unwrap();
        settle(&cluster);
        pick(&mut cluster.handle(), 0)
    };
    let starts: BTreeSet<_> = (1..100).map(first).collect();
    assert!(starts.len() > 5, "99 clusters start at {starts:?}");
}
