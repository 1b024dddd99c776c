//! What strategies that listen to backends make of what they hear.

use std::time::Duration;

use lb_core::{
    Outcome, PickCx, Tick,
    sample::mix,
    strategy::{Measure, P2c, StrategyKind, StrategyOptions},
};

use crate::{
    simulation::{Done, World, exponential},
    support::{boxed, equal, position},
};

const MILLI: Duration = Duration::from_millis(1);
const GOOD: Outcome = Outcome::Status(200);

/// The share of requests that went to b0, of those that ended within the seconds.
fn share(done: &[Done], from: u64, to: u64) -> f64 {
    let within = Tick::from_millis(from * 1_000)..Tick::from_millis(to * 1_000);
    let (mut own, mut all) = (0, 0);
    for one in done.iter().filter(|one| within.contains(&one.at)) {
        all += 1;
        own += u32::from(one.server == 0);
    }
    f64::from(own) / f64::from(all)
}

#[test]
fn a_backend_that_fails_fast_gets_no_more_than_its_share() {
    let kinds = [
        StrategyKind::P2c,
        StrategyKind::PeakEwma,
        StrategyKind::LeastTime,
        StrategyKind::LeastConn,
        StrategyKind::ByBusyness,
        StrategyKind::ByTraffic,
    ];
    for kind in kinds {
        for servers in [4, 10] {
            let failures =
                [Outcome::Refused, Outcome::Reset, Outcome::Timeout, Outcome::Status(503)];
            for failure in failures {
                // From the start, and after it was good for a while.
                for good in [0, 10] {
                    let until = Tick::from_millis(good * 1_000);
                    let service = |server, now: Tick, _| {
                        if server == 0 && now >= until {
                            (MILLI, failure)
                        } else {
                            (MILLI * 20, GOOD)
                        }
                    };
                    let mut world = World::new(kind, 1, servers);
                    let done = world.closed(2 * servers, Tick::from_millis(30_000), &service);
                    let got = share(&done, good, 30);
                    println!("{kind} of {servers}, {failure:?} from {good} s on: {got:.4}");
                    assert!(got <= 1.0 / servers as f64, "{kind} of {servers} {failure:?}: {got}");
                }
            }
        }
    }
}

#[test]
fn one_that_fails_fast_now_and_then_gets_no_more_than_its_share_however_few_requests_come() {
    for kind in [StrategyKind::P2c, StrategyKind::PeakEwma, StrategyKind::LeastTime] {
        for (servers, percent) in [(4, 10), (4, 50), (4, 100), (12, 50)] {
            for every in [1, 20, 300] {
                let service = |server, _, entropy: u64| {
                    if server == 0 && entropy % 100 < percent {
                        (MILLI, Outcome::Status(503))
                    } else {
                        (MILLI * 20, GOOD)
                    }
                };
                let until = Tick::from_millis(u64::from(every) * 10_000);
                let mut world = World::new(kind, 1, servers);
                let done = world.open(MILLI * every, until, &service);
                let got = share(&done, 0, u64::from(every) * 10);
                println!("{kind} of {servers}, {percent} % fail, every {every} ms: {got:.4}");
                // Where they come so seldom that failures are forgotten meanwhile, the share
                // is a fair one: binomial(10000, 1/n), whose sigma is at most 0.0044.
                assert!(got <= 1.0 / servers as f64 + 0.022, "{kind} of {servers}: {got}");
            }
        }
    }
}

/// A good head makes a backend look fast, and two thousand times the speed is not
/// outweighed by the phantoms of its failures alone. From the start it is twenty times: in
/// the first second nobody knows what is usual.
#[test]
fn a_backend_that_breaks_off_its_answers_gets_no_more_than_its_share() {
    for kind in [StrategyKind::P2c, StrategyKind::PeakEwma, StrategyKind::LeastTime] {
        for servers in [4, 10] {
            for (good, breaks_off_after) in [(0, MILLI), (10, Duration::from_micros(10))] {
                let until = Tick::from_millis(good * 1_000);
                let service = |server, now: Tick, _| {
                    if server == 0 && now >= until {
                        (breaks_off_after, Outcome::Reset)
                    } else {
                        (MILLI * 20, GOOD)
                    }
                };
                let mut world = World::new(kind, 1, servers).heads_first();
                let done = world.closed(8 * servers, Tick::from_millis(20_000), &service);
                let got = share(&done, good, 20);
                println!("{kind} of {servers}, broken off from {good} s on: {got:.4}");
                assert!(got <= 1.0 / servers as f64, "{kind} of {servers}: {got}");
            }
        }
    }
}

#[test]
fn a_slow_backend_gets_less_and_its_share_again_when_it_has_recovered() {
    for kind in [StrategyKind::PeakEwma, StrategyKind::LeastTime] {
        for servers in [4, 10] {
            let service = |server, now: Tick, _| {
                let slow = server == 0 && now < Tick::from_millis(20_000);
                (MILLI * if slow { 400 } else { 20 }, GOOD)
            };
            let mut world = World::new(kind, 1, servers);
            let done = world.closed(2 * servers, Tick::from_millis(120_000), &service);
            let fair = 1.0 / servers as f64;
            let (slow, late) = (share(&done, 1, 20), share(&done, 90, 120));
            println!("{kind} of {servers}: {slow:.4} while slow, {late:.4} in the end");
            assert!(slow < fair / 5.0, "{kind} of {servers}: {slow}");
            assert!(late > fair * 0.8 && late < fair * 1.2, "{kind} of {servers}: {late}");
        }
    }
}

#[test]
fn a_backend_about_which_nothing_is_known_is_tried_by_one_request() {
    for kind in [StrategyKind::PeakEwma, StrategyKind::LeastTime] {
        let cluster = boxed(kind.build(), equal(3));
        let mut handle = cluster.handle();
        let leases: Vec<_> =
            (0..3).map(|n| handle.acquire(&PickCx::new(Tick::ZERO, mix(n))).unwrap()).collect();
        let mut used: Vec<_> = leases.iter().map(|it| position(it.backend().name())).collect();
        used.sort_unstable();
        assert_eq!(used, [0, 1, 2], "{kind}");
    }
}

#[test]
fn of_equally_fast_backends_the_heavy_one_is_as_busy_as_the_light_one_for_its_weight() {
    for kind in [StrategyKind::PeakEwma, StrategyKind::LeastTime] {
        let cluster = boxed(kind.build(), crate::support::weighted(&[3, 1]));
        let mut handle = cluster.handle();
        let mut acquire = |n| handle.acquire(&PickCx::new(Tick::ZERO, mix(n))).unwrap();
        for lease in [0, 1].map(&mut acquire) {
            lease.complete(GOOD, Tick::from_millis(20));
        }
        let leases: Vec<_> = (2..402).map(acquire).collect();
        let heavy = leases.iter().filter(|it| it.backend().name() == "b0").count();
        assert_eq!(heavy, 300, "{kind}");
    }
}

#[test]
fn least_time_goes_by_what_it_was_told_to_measure() {
    // b0 begins to answer early and ends late, b1 the other way round.
    for (measure, expected) in [(Measure::FirstByte, 0), (Measure::LastByte, 1)] {
        let options = StrategyOptions { measure, ..StrategyOptions::default() };
        let cluster = boxed(StrategyKind::LeastTime.build_with(&options), equal(2));
        let mut handle = cluster.handle();
        let mut last = usize::MAX;
        for request in 0..10 {
            let now = request * 100;
            let mut lease =
                handle.acquire(&PickCx::new(Tick::from_millis(now), mix(request))).unwrap();
            last = position(lease.backend().name());
            let (first_byte, end) = [(5, 50), (15, 20)][last];
            lease.first_byte(Tick::from_millis(now + first_byte));
            lease.complete(GOOD, Tick::from_millis(now + end));
        }
        assert_eq!(last, expected, "{measure:?}");
    }
}

#[test]
fn equally_fast_backends_take_turns_although_no_two_times_are_the_same() {
    let service = |_, _, entropy: u64| (Duration::from_nanos(20_000_000 + entropy % 50_000), GOOD);
    let mut world = World::new(StrategyKind::LeastTime, 1, 4);
    let done = world.closed(1, Tick::from_millis(60_000), &service);
    let got = share(&done, 0, 60);
    assert!((got - 0.25).abs() < 0.01, "one at a time: {got}");
}

/// The 99th percentile of times, in mean services of 10 ms, of those that ended then.
fn p99(done: &[Done], from: u64, to: u64) -> f64 {
    let within = Tick::from_millis(from * 1_000)..Tick::from_millis(to * 1_000);
    let ended = done.iter().filter(|one| within.contains(&one.at));
    let mut times: Vec<_> = ended.map(|one| one.took).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100].as_secs_f64() * 100.0
}

/// Ten balancers before twenty servers that take one request at a time, at nine tenths
/// of what they can do. Each balancer hears from a server nine times a second. With
/// estimates that decay to zero, all rush to whoever was not heard of; decaying to the
/// mean, the tail is near that of two draws, which know nothing of each other either.
#[test]
fn many_balancers_do_not_rush_after_each_others_estimates() {
    let service = |_, _, entropy| (Duration::from_millis(10).mul_f64(exponential(entropy)), GOOD);
    let run = |kind| {
        let mut world = World::new(kind, 10, 20).one_at_a_time();
        let done = world.open(MILLI * 10 / 18, Tick::from_millis(60_000), &service);
        let (early, late) = (p99(&done, 10, 35), p99(&done, 35, 60));
        println!("{kind}: p99 {early:.1} services early, {late:.1} late");
        (early, late)
    };
    let p2c = run(StrategyKind::P2c);
    let ewma = run(StrategyKind::PeakEwma);
    assert!(ewma.1 < 1.5 * ewma.0, "it stays bounded");
    assert!(ewma.1 < 1.3 * p2c.1);
}

/// The fullest of 1,000 backends after 1,000 requests that stay, in several runs.
fn fullest(p2c: P2c) -> Vec<u32> {
    let run = |run: u64| {
        let cluster = boxed(Box::new(p2c), equal(1_000));
        let mut handle = cluster.handle();
        let _leases: Vec<_> = (0..1_000)
            .map(|n| handle.acquire(&PickCx::new(Tick::ZERO, mix(run << 32 | n))).unwrap())
            .collect();
        let view = handle.snapshot().view();
        view.slots().map(|slot| view.in_flight(slot)).max().unwrap()
    };
    (0..40).map(run).collect()
}

/// Balls in bins: ln ln n ÷ ln d + O(1). Of 200 runs with n = 1,000 that others made,
/// the fullest had 3 in 199 with two draws, and 2 or 3 with three.
#[test]
fn more_draws_leave_the_fullest_less_full() {
    let mean = |runs: &[u32]| f64::from(runs.iter().sum::<u32>()) / runs.len() as f64;
    let two = fullest(P2c::default());
    assert!(two.iter().all(|fullest| (3..=4).contains(fullest)), "{two:?}");
    assert!(two.iter().filter(|fullest| **fullest == 3).count() >= 38, "{two:?}");
    let three = fullest(P2c::default().drawing(3));
    assert!(three.iter().all(|fullest| (2..=3).contains(fullest)), "{three:?}");
    let eight = fullest(P2c::default().drawing(8));
    assert!(eight.iter().all(|fullest| *fullest == 2), "{eight:?}");
    let remembering = fullest(P2c::default().remembering(true));
    assert!(remembering.iter().all(|fullest| (2..=3).contains(fullest)), "{remembering:?}");
    println!("{} {} {} {}", mean(&two), mean(&three), mean(&eight), mean(&remembering));
    assert!(mean(&remembering) <= mean(&two));
}

#[test]
fn memory_serves_an_idle_cluster_by_weight() {
    let p2c = P2c::default().remembering(true);
    let cluster = boxed(Box::new(p2c), crate::support::weighted(&[3, 1]));
    let mut handle = cluster.handle();
    let picks = (0..40_000).map(|n| crate::support::pick(&mut handle, mix(n)));
    let heavy = picks.filter(|picked| *picked == 0).count();
    // Binomial(40000, 3/4): sigma is 87, so five are 433.
    assert!(heavy.abs_diff(30_000) < 433, "{heavy}");
}
