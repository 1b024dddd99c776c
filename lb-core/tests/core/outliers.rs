//! Backends that do worse than the others, from requests to ejections.

use std::time::Duration;

use lb_core::{
    AdminState, Backend, Change, Health, Membership, Outcome, PickCx, Tick,
    cluster::{Passive, Policy, Standing},
    health::Outlier,
    strategy::StrategyKind,
};
use proptest::{prelude::*, test_runner::RngSeed};

use crate::{health::Farm, support::equal};

const GOOD: Outcome = Outcome::Status(200);
const BAD: Outcome = Outcome::Status(500);

fn policy(outlier: Outlier) -> Policy {
    Policy { outlier: Some(outlier), ..Policy::default() }
}

/// A farm in turn whose first interval has begun.
fn farm_of(size: usize, outlier: Outlier) -> Farm {
    let farm = Farm::new(StrategyKind::RoundRobin, equal(size), policy(outlier));
    farm.drive();
    farm
}

/// Sends so many requests in turn; `end` says how each does, by its backend and its
/// number there.
fn requests(farm: &mut Farm, count: u32, end: impl Fn(&str, u32) -> Outcome) {
    let mut numbers = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..count {
        let lease = farm.acquire();
        let number = numbers.entry(lease.backend().name().to_owned()).or_default();
        *number += 1;
        let outcome = end(lease.backend().name(), *number);
        lease.complete(outcome, farm.now.get());
    }
}

/// Has so many requests end like this on one backend.
fn on(farm: &mut Farm, name: &str, outcomes: impl IntoIterator<Item = Outcome>) {
    for outcome in outcomes {
        let cx = PickCx::new(farm.now.get(), 0).preferring(name);
        let lease = farm.handle.acquire(&cx).unwrap();
        assert_eq!(lease.backend().name(), name);
        lease.complete(outcome, farm.now.get());
    }
    farm.wait(100);
}

fn out(farm: &Farm) -> usize {
    let conditions = farm.cluster.conditions();
    let is_out = |health| matches!(health, Health::Ejected | Health::HalfOpen);
    conditions.into_iter().filter(|condition| is_out(condition.health)).count()
}

#[test]
fn five_answers_in_a_row_that_say_500_take_a_backend_out_for_thirty_seconds() {
    let mut farm = farm_of(2, Outlier::default());
    on(&mut farm, "b0", [BAD; 4]);
    assert_eq!(farm.said(), [""; 0]);
    on(&mut farm, "b0", [Outcome::Status(503)]);
    assert_eq!(farm.said(), ["b0 ejected: 5 requests in a row failed, the last: status 503"]);
    farm.wait(29_800);
    assert_eq!(farm.standing("b0"), Standing::Ejected);
    farm.wait(200);
    assert_eq!(farm.said(), ["b0 half-open: ejected for 30 s is over: one request at a time"]);
    requests(&mut farm, 4, |_, _| GOOD);
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 up: a request succeeded"]);
}

#[test]
fn after_no_errors_means_after_the_first() {
    let mut farm = farm_of(2, Outlier { consecutive_5xx: Some(0), ..Outlier::default() });
    on(&mut farm, "b0", [GOOD]);
    assert_eq!(farm.said(), [""; 0]);
    on(&mut farm, "b0", [BAD]);
    assert_eq!(farm.said(), ["b0 ejected: a request failed: status 500"]);
}

#[test]
fn a_good_answer_ends_the_row_and_501_is_a_good_one() {
    for good in [GOOD, Outcome::Status(404), Outcome::Status(501)] {
        let mut farm = farm_of(2, Outlier::default());
        on(&mut farm, "b0", [BAD, BAD, BAD, BAD, good, BAD, BAD, BAD, BAD]);
        assert_eq!(farm.said(), [""; 0], "{good:?}");
    }
    let mut farm = farm_of(2, Outlier::default());
    on(&mut farm, "b0", [BAD, BAD, Outcome::ClientGone, BAD, BAD, Outcome::Abandoned, BAD]);
    assert_eq!(farm.said().len(), 1, "what says nothing of the backend ends no row");
}

#[test]
fn failures_and_bad_answers_are_one_row_of_errors_and_two_of_failures() {
    let mut farm = farm_of(2, Outlier::default());
    let timeout = Outcome::Timeout;
    on(&mut farm, "b0", [timeout, BAD, timeout, timeout, BAD]);
    assert_eq!(farm.said(), ["b0 ejected: 5 requests in a row failed, the last: status 500"]);
    on(&mut farm, "b1", [timeout, timeout, BAD, timeout]);
    assert_eq!(farm.said(), [""; 0]);
}

#[test]
fn three_failures_in_a_row_eject_as_without_outliers_and_once() {
    let mut farm = farm_of(3, Outlier::default());
    on(&mut farm, "b0", [Outcome::Connect; 3]);
    farm.wait(9_000);
    assert_eq!(farm.said(), ["b0 ejected: 3 requests in a row failed, the last: connect"]);
    farm.wait(1_100);
    assert_eq!(farm.said(), ["b0 half-open: ejected for 10 s is over: one request at a time"]);
}

#[test]
fn a_trial_that_is_answered_with_an_error_has_failed() {
    let mut farm = Farm::new(StrategyKind::First, equal(2), policy(Outlier::default()));
    on(&mut farm, "b0", [BAD; 5]);
    farm.wait(30_000);
    farm.said();
    let mut trial = farm.acquire();
    assert_eq!(trial.backend().name(), "b0");
    trial.answers(500, farm.now.get());
    farm.wait(100);
    assert_eq!(farm.said(), [""; 0]);
    trial.complete(BAD, farm.now.get());
    requests(&mut farm, 4, |name, _| {
        assert_eq!(name, "b1", "even before anybody drives");
        GOOD
    });
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 ejected: the one request that tried it failed: status 500"]);
    farm.wait(59_500);
    assert_eq!(farm.standing("b0"), Standing::Ejected, "sixty seconds");
    farm.wait(500);
    let mut trial = farm.acquire();
    trial.answers(200, farm.now.get());
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Up);
    drop(trial);
}

#[test]
fn without_outliers_a_trial_that_is_answered_has_not_failed() {
    let mut farm = Farm::half_open(2);
    farm.requests([BAD]);
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 up: a request succeeded"]);
}

#[test]
fn the_one_of_five_that_answers_500_to_a_fifth_is_ejected_at_the_end_of_the_interval() {
    let mut farm = farm_of(5, Outlier::default());
    let bad_one = |name: &str, number: u32| {
        if name == "b2" && number.is_multiple_of(5) { BAD } else { GOOD }
    };
    requests(&mut farm, 500, bad_one);
    farm.wait(9_900);
    assert_eq!(farm.said(), [""; 0]);
    farm.wait(200);
    assert_eq!(
        farm.said(),
        ["b2 ejected: success rate 80.0 %, threshold 80.8 % (mean 96.0 %, 5 backends)"]
    );
    assert_eq!(farm.standing("b2"), Standing::Ejected);
    let causes = farm.cluster.generations().pop().unwrap().causes;
    assert!(causes[0].to_string().contains("success rate 80.0 %"), "{causes:?}");
}

#[test]
fn where_all_fail_alike_nobody_is_ejected() {
    let mut farm = farm_of(5, Outlier::default());
    for _ in 0..3 {
        requests(&mut farm, 1_000, |_, number| if number.is_multiple_of(5) { BAD } else { GOOD });
        farm.wait(10_000);
    }
    assert_eq!(farm.said(), [""; 0]);
}

#[test]
fn where_only_four_have_enough_requests_nobody_is_compared() {
    let mut farm = farm_of(4, Outlier::default());
    requests(
        &mut farm,
        800,
        |name, number| if name == "b2" && number % 4 == 0 { BAD } else { GOOD },
    );
    farm.wait(10_100);
    assert_eq!(farm.said(), [""; 0]);
}

#[test]
fn each_interval_is_judged_by_itself() {
    let mut farm = farm_of(5, Outlier::default());
    let bad_one =
        |name: &str, number: u32| if name == "b2" && number.is_multiple_of(4) { BAD } else { GOOD };
    for _ in 0..3 {
        requests(&mut farm, 499, bad_one);
        farm.wait(10_000);
    }
    assert_eq!(farm.said(), [""; 0], "99 on one of them are not enough, however often");
}

#[test]
fn the_one_that_answers_late_is_ejected_where_latency_counts() {
    for (latency, ejected) in [(Some(5_000), 1), (None, 0)] {
        let outlier = Outlier { latency, success_rate: None, ..Outlier::default() };
        let mut farm = farm_of(5, outlier);
        for _ in 0..500 {
            let mut lease = farm.acquire();
            let time = if lease.backend().name() == "b3" { 120 } else { 20 };
            lease.answers(200, farm.now.get() + Duration::from_millis(time));
            lease.complete(GOOD, farm.now.get());
        }
        farm.wait(10_100);
        let said = farm.said();
        assert_eq!(said.len(), ejected);
        if ejected > 0 {
            let words = "first byte after 120 ms, limit 100 ms (median 20 ms, 5 backends)";
            assert_eq!(said, [format!("b3 ejected: {words}")]);
        }
    }
}

#[test]
fn ejections_get_longer_and_with_intervals_in_use_shorter_again() {
    let mut farm = farm_of(3, Outlier::default());
    let ejected_for = |farm: &mut Farm| {
        on(farm, "b0", [BAD; 5]);
        farm.wait(400_000);
        let said = farm.said();
        assert_eq!(said.len(), 2, "{said:?}");
        requests(farm, 6, |_, _| GOOD);
        farm.wait(100);
        assert_eq!(farm.said(), ["b0 up: a request succeeded"]);
        said[1].clone()
    };
    let words = |seconds: u32| {
        format!("b0 half-open: ejected for {seconds} s is over: one request at a time")
    };
    for length in [30, 60, 90] {
        assert_eq!(ejected_for(&mut farm), words(length));
    }
    farm.wait(30_000);
    assert_eq!(ejected_for(&mut farm), words(60), "two whole intervals and two parts");
    farm.wait(100_000);
    assert_eq!(ejected_for(&mut farm), words(30));
}

#[test]
fn no_more_than_half_of_a_tier_is_out_whatever_for() {
    let mut farm = farm_of(6, Outlier::default());
    on(&mut farm, "b0", [Outcome::Connect; 3]);
    on(&mut farm, "b1", [BAD; 5]);
    on(&mut farm, "b2", [Outcome::Connect; 3]);
    assert_eq!((farm.said().len(), out(&farm)), (3, 3));
    on(&mut farm, "b3", [Outcome::Connect; 30]);
    on(&mut farm, "b4", [BAD; 50]);
    assert_eq!(farm.said(), [""; 0]);
    farm.wait(9_800);
    assert_eq!(farm.said().len(), 2, "b0 and b2 are half-open");
    on(&mut farm, "b3", [Outcome::Connect; 30]);
    assert_eq!(farm.said(), [""; 0], "which is not yet in use");
    on(&mut farm, "b0", [GOOD]);
    on(&mut farm, "b3", [Outcome::Connect; 3]);
    let failed = "b3 ejected: 3 requests in a row failed, the last: connect";
    assert_eq!(farm.said(), ["b0 up: a request succeeded", failed]);
    assert_eq!(out(&farm), 3);
}

#[test]
fn the_ceiling_takes_the_worst_and_leaves_the_others_in_use() {
    let outlier = Outlier { failure_percentage: Some(50), max_ejected: 40, ..Outlier::default() };
    let outlier = Outlier { success_rate: None, consecutive_5xx: None, ..outlier };
    let mut farm = farm_of(6, outlier);
    let share = |name: &str| name[1..].parse::<u32>().unwrap() * 2;
    requests(&mut farm, 720, |name, number| if number % 10 < share(name) { BAD } else { GOOD });
    farm.wait(10_100);
    let words =
        |name: &str, errors| format!("{name} ejected: {errors} of 120 requests failed, limit 50 %");
    assert_eq!(farm.said(), [words("b5", 120), words("b4", 96)]);
}

#[test]
fn the_only_backend_may_be_ejected_and_is_used_for_want_of_a_better_one() {
    let mut farm = farm_of(1, Outlier::default());
    on(&mut farm, "b0", [BAD; 5]);
    assert_eq!(farm.said().len(), 1);
    requests(&mut farm, 3, |_, _| GOOD);
}

#[test]
fn only_enabled_backends_of_the_tier_count_for_the_ceiling() {
    let backends = (0..8).map(|n| Backend::new(format!("b{n}")).in_tier(n / 4));
    let membership = Membership::new(backends).unwrap();
    let mut farm = Farm::new(StrategyKind::RoundRobin, membership, policy(Outlier::default()));
    let disabled = |name: &str| Change::Admin { backend: name.into(), state: AdminState::Disabled };
    farm.say(disabled("b3"));
    farm.wait(100);
    requests(&mut farm, 3, |_, _| GOOD);
    on(&mut farm, "b0", [BAD; 5]);
    assert_eq!(farm.said().len(), 1);
    on(&mut farm, "b1", [BAD; 20]);
    assert_eq!(farm.said(), [""; 0], "one of three is out");
    farm.say(Change::Admin { backend: "b3".into(), state: AdminState::Enabled });
    farm.wait(100);
    on(&mut farm, "b1", [BAD; 20]);
    assert_eq!(farm.said().len(), 1, "two of four");
}

#[test]
fn outliers_are_looked_for_from_the_next_build_on_and_no_more_when_that_is_said() {
    let mut farm = Farm::new(StrategyKind::RoundRobin, equal(2), Policy::default());
    assert_eq!(farm.drive(), None);
    on(&mut farm, "b0", [BAD; 9]);
    farm.say(Change::Policy(policy(Outlier::default())));
    farm.wait(100);
    assert!(farm.drive().is_some(), "the end of the interval");
    on(&mut farm, "b0", [BAD; 4]);
    assert_eq!(farm.said(), [""; 0]);
    on(&mut farm, "b0", [BAD; 1]);
    assert_eq!(farm.said().len(), 1);
    farm.say(Change::Policy(Policy::default()));
    farm.wait(100);
    on(&mut farm, "b1", [BAD; 9]);
    assert_eq!(farm.standing("b0"), Standing::Ejected, "what runs, runs its course");
    farm.wait(30_000);
    requests(&mut farm, 2, |_, _| BAD);
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Up);
    assert_eq!(farm.drive(), None);
}

#[test]
fn a_lease_from_before_counts_nothing_where_nobody_asked() {
    let mut farm = Farm::new(StrategyKind::RoundRobin, equal(2), Policy::default());
    let leases: Vec<_> = (0..20).map(|_| farm.acquire()).collect();
    farm.say(Change::Policy(policy(Outlier::default())));
    farm.wait(100);
    leases.into_iter().for_each(|lease| lease.complete(BAD, farm.now.get()));
    farm.wait(100);
    assert_eq!(farm.said(), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        rng_seed: RngSeed::Fixed(0x0071_1e85),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_no_more_are_out_than_the_ceiling_says_and_a_replay_agrees(
        size in 1..9_usize,
        max_ejected in 0..=100_u8,
        windowed in any::<bool>(),
        events in prop::collection::vec((0..9_usize, 0..5_u8, 1..8_usize, 0..9_000_u64), 1..80),
    ) {
        let outlier = Outlier {
            max_ejected,
            failure_percentage: Some(30),
            latency: Some(1_500),
            request_volume: 3,
            min_backends: 2,
            eject: Duration::from_secs(5),
            ..Outlier::default()
        };
        let passive = if windowed {
            Passive::Windowed { max_fails: 2, fail_timeout: Duration::from_secs(5) }
        } else {
            Passive::default()
        };
        let run = || {
            let policy = Policy { passive, ..policy(outlier) };
            let mut farm = Farm::new(StrategyKind::LeastConn, equal(size), policy);
            let most = (size * usize::from(max_ejected) / 100).max(usize::from(max_ejected > 0));
            let mut said = Vec::new();
            for (backend, outcome, times, later) in &events {
                let outcomes = [GOOD, BAD, Outcome::Connect, Outcome::Timeout, Outcome::ClientGone];
                for _ in 0..*times {
                    let name = format!("b{}", backend % size);
                    let cx = PickCx::new(farm.now.get(), 0).preferring(&name);
                    let Ok(mut lease) = farm.handle.acquire(&cx) else { continue };
                    let now: Tick = farm.now.get() + Duration::from_millis(later / 100);
                    if *outcome < 2 {
                        lease.answers([200, 500][usize::from(*outcome)], now);
                    }
                    lease.complete(outcomes[usize::from(*outcome)], now);
                }
                farm.wait(*later);
                assert!(out(&farm) <= most, "{} of {size} are out", out(&farm));
                said.extend(farm.said());
            }
            said
        };
        prop_assert_eq!(run(), run());
    }
}
