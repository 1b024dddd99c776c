//! From what happens to requests and checks to who is picked, and why.

use std::{
    cell::Cell,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, ClusterHandle, Health, Lease, Membership, Outcome,
    PickCx, Tick, Weight,
    backend::IncarnationId,
    cluster::{
        CauseKind, ChangeError, Observation, Passive, Policy, SlowStart, Standing, Thresholds,
    },
    sample::mix,
    strategy::StrategyKind,
};
use proptest::{prelude::*, test_runner::RngSeed};

use crate::support::equal;

/// A cluster in a time of its own.
pub(crate) struct Farm {
    pub(crate) cluster: Cluster,
    pub(crate) handle: ClusterHandle,
    pub(crate) now: Cell<Tick>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Farm {
    pub(crate) fn new(kind: StrategyKind, membership: Membership, policy: Policy) -> Self {
        let builder = Cluster::builder("test").boxed_strategy(kind.build());
        let cluster = builder.membership(membership).policy(policy).build();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let listener = Arc::clone(&said);
        cluster.on_transition(Arc::new(move |transition| {
            listener.lock().unwrap().push(transition.to_string());
        }));
        let handle = cluster.handle();
        Self { cluster, handle, now: Cell::new(Tick::from_millis(1_000)), said }
    }

    /// Everything to the first backend that takes it.
    pub(crate) fn first(size: usize) -> Self {
        Self::new(StrategyKind::First, equal(size), Policy::default())
    }

    pub(crate) fn drive(&self) -> Option<Tick> {
        self.cluster.drive(&|| self.now.get())
    }

    /// Lets time pass, and drives when that is due.
    pub(crate) fn wait(&self, millis: u64) {
        let end = self.now.get() + Duration::from_millis(millis);
        while let Some(due) = self.drive().filter(|due| *due <= end) {
            self.now.set(due.max(self.now.get()));
        }
        self.now.set(end);
        self.drive();
    }

    pub(crate) fn acquire(&mut self) -> Lease {
        self.handle.acquire(&PickCx::new(self.now.get(), 0)).unwrap()
    }

    /// Has so many requests end like this, and says where they were.
    pub(crate) fn requests(&mut self, outcomes: impl IntoIterator<Item = Outcome>) -> Vec<String> {
        let mut names = Vec::new();
        for outcome in outcomes {
            let lease = self.acquire();
            names.push(lease.backend().name().to_owned());
            lease.complete(outcome, self.now.get());
        }
        names
    }

    pub(crate) fn incarnation(&self, name: &str) -> IncarnationId {
        let snapshot = self.cluster.snapshot();
        snapshot.view().incarnation(snapshot.find(name).unwrap())
    }

    pub(crate) fn check(&self, name: &str, result: Result<(), &str>) {
        let result = result.map(|()| Duration::from_millis(1)).map_err(Arc::from);
        let observation = Observation::Check(result);
        self.cluster.observe(self.incarnation(name), observation, self.now.get()).unwrap();
    }

    pub(crate) fn say(&self, change: Change) {
        self.cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
    }

    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }

    pub(crate) fn standing(&self, name: &str) -> Standing {
        let snapshot = self.cluster.snapshot();
        snapshot.view().standing(snapshot.find(name).unwrap())
    }

    pub(crate) fn health(&self, name: &str) -> Health {
        let conditions = self.cluster.conditions();
        conditions.into_iter().find(|it| &*it.backend == name).unwrap().health
    }

    /// Has `b0` ejected and lets its ten seconds pass.
    pub(crate) fn half_open(size: usize) -> Self {
        let mut farm = Self::first(size);
        farm.requests([Outcome::Connect; 3]);
        farm.wait(10_050);
        assert_eq!(farm.standing("b0"), Standing::HalfOpen);
        farm.said();
        farm
    }
}

/// Builds at this very moment, so that the next build has to wait.
fn just_built(size: usize) -> Farm {
    let farm = Farm::first(size);
    farm.say(Change::Weight { backend: "b0".into(), weight: lb_core::Weight::new(2) });
    farm.drive();
    farm
}

#[test]
fn who_is_out_gets_nothing_more_although_the_next_build_has_to_wait() {
    let mut farm = just_built(2);
    farm.requests([Outcome::Connect; 3]);
    farm.drive();
    assert_eq!(farm.standing("b0"), Standing::In, "nothing was built yet");
    assert_eq!(farm.requests([Outcome::Status(200); 4]), ["b1"; 4]);
    farm.wait(100);
    assert_eq!(farm.standing("b0"), Standing::Ejected);
    farm.wait(10_000);
    assert_eq!(farm.requests([Outcome::Status(200); 2]), ["b0"; 2], "and it comes back");
}

#[test]
fn somebody_who_is_about_to_be_out_is_better_than_nobody() {
    let mut farm = just_built(1);
    farm.requests([Outcome::Connect; 3]);
    farm.drive();
    assert_eq!(farm.standing("b0"), Standing::In, "nothing was built yet");
    assert_eq!(farm.requests([Outcome::Status(200); 2]), ["b0"; 2]);
}

#[test]
fn three_failures_in_a_row_take_a_backend_out_and_the_generation_says_why() {
    let mut farm = Farm::first(2);
    farm.requests([Outcome::Connect, Outcome::Timeout, Outcome::Reset]);
    farm.drive();
    let reason = "b0 ejected: 3 requests in a row failed, the last: reset";
    assert_eq!(farm.said(), [reason]);
    let counts = farm.cluster.transitions();
    assert_eq!((counts.to(Health::Ejected), counts.to(Health::Down)), (1, 0));
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b1"]);
    let generations = farm.cluster.generations();
    assert_eq!(generations.len(), 2);
    assert_eq!(generations[1].causes, [Cause::new(CauseKind::Health, reason)]);
    let conditions = farm.cluster.conditions();
    let printed: Vec<_> = conditions
        .iter()
        .map(|it| {
            format!(
                "{} {} since {} ms: {}",
                it.backend,
                it.health,
                it.since.as_nanos() / 1_000_000,
                it.reason
            )
        })
        .collect();
    assert_eq!(
        printed,
        [
            "b0 ejected since 1000 ms: 3 requests in a row failed, the last: reset",
            "b1 unknown since 0 ms: nothing was seen of it yet",
        ]
    );
}

#[test]
fn an_answer_between_failures_and_a_bad_answer_eject_nobody() {
    let mut farm = Farm::first(2);
    for last in [Outcome::Status(200), Outcome::Status(500)] {
        farm.requests([Outcome::Connect, Outcome::Connect, last]);
    }
    farm.requests([Outcome::Status(502); 20]);
    farm.requests([Outcome::ClientGone; 20]);
    farm.drive();
    assert_eq!(farm.said(), [""; 0]);
}

#[test]
fn whoever_drives_is_woken_for_failures_that_matter_and_for_no_other_request() {
    let mut farm = Farm::first(2);
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    farm.cluster.on_change(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let woken = || woken.load(Ordering::SeqCst) - 1;
    farm.requests([Outcome::Status(200), Outcome::Connect, Outcome::Connect]);
    assert_eq!(woken(), 0);
    farm.requests([Outcome::Connect]);
    assert_eq!(woken(), 1);
    farm.requests([Outcome::Connect]);
    assert_eq!(woken(), 1, "he was woken and has not come");
    farm.drive();
    farm.requests([Outcome::Status(200), Outcome::Connect, Outcome::Connect]);
    assert_eq!(woken(), 1);
}

#[test]
fn after_its_time_one_request_at_a_time_tries_it() {
    let mut farm = Farm::first(2);
    farm.requests([Outcome::Connect; 3]);
    assert_eq!(farm.drive(), Some(Tick::from_millis(11_000)));
    farm.wait(9_999);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b1"]);
    farm.wait(51);
    farm.said();
    let trial = farm.acquire();
    assert_eq!(trial.backend().name(), "b0");
    let mut other_worker = farm.cluster.handle();
    let other = other_worker.acquire(&PickCx::new(farm.now.get(), 0)).unwrap();
    assert_eq!(other.backend().name(), "b1");
    assert_eq!(farm.requests([Outcome::Status(200); 3]), ["b1"; 3]);
    trial.complete(Outcome::Status(200), farm.now.get());
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 up: a request succeeded"]);
    let leases = [farm.acquire(), farm.acquire()];
    assert!(leases.iter().all(|lease| lease.backend().name() == "b0"));
}

#[test]
fn a_trial_that_fails_is_the_only_one_until_a_longer_ejection_is_over() {
    let mut farm = Farm::half_open(2);
    let names = farm.requests([Outcome::Connect; 2]);
    assert_eq!(names, ["b0", "b1"], "even before anybody drives");
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 ejected: the one request that tried it failed: connect"]);
    farm.wait(19_800);
    assert_eq!(farm.standing("b0"), Standing::Ejected, "twenty seconds now");
    farm.wait(200);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
}

#[test]
fn a_trial_that_tells_nothing_leaves_the_place_to_the_next() {
    let mut farm = Farm::half_open(2);
    assert_eq!(farm.requests([Outcome::ClientGone, Outcome::Abandoned]), ["b0", "b0"]);
    drop(farm.acquire());
    let mut lease = farm.acquire();
    lease.backend_done(Outcome::ClientGone, farm.now.get());
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"], "it is done with that one");
    assert_eq!(lease.backend().name(), "b0");
}

#[test]
fn the_first_byte_of_a_long_answer_is_enough() {
    let mut farm = Farm::half_open(2);
    let mut lease = farm.acquire();
    lease.first_byte(farm.now.get());
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 up: a request succeeded"]);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
    assert_eq!(lease.backend().name(), "b0");
}

#[test]
fn an_answer_to_a_request_from_before_the_ejection_ends_no_trial() {
    let mut farm = Farm::first(2);
    let old = [farm.acquire(), farm.acquire()];
    farm.requests([Outcome::Connect; 3]);
    farm.wait(10_100);
    let [one, other] = old;
    one.complete(Outcome::Status(200), farm.now.get());
    other.complete(Outcome::Timeout, farm.now.get());
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::HalfOpen);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Up);
}

#[test]
fn when_the_only_other_one_was_tried_the_error_names_the_trial() {
    let mut farm = Farm::half_open(2);
    let trial = farm.acquire();
    let mut tried = lb_core::Tried::default();
    tried.add(farm.incarnation("b1"));
    let cx = PickCx::new(farm.now.get(), 0).avoiding(&tried);
    let error = farm.handle.acquire(&cx).unwrap_err();
    assert_eq!(error.to_string(), "none of 2 backends can be used: 1 tried, 1 half-open");
    assert!(error.is_overload());
    drop(trial);
    assert!(farm.handle.acquire(&cx).is_ok());
}

#[test]
fn with_every_strategy_nobody_but_the_trial_gets_to_a_half_open_backend() {
    for kind in StrategyKind::ALL {
        for size in [3, 12] {
            let mut farm = Farm::new(*kind, equal(size), Policy::default());
            let change = |health| Change::Health { incarnation: farm.incarnation("b0"), health };
            farm.say(change(Health::HalfOpen));
            farm.wait(2_000);
            let mut held = Vec::new();
            for request in 0..200 {
                // Strategies by key are asked by many clients.
                let key = mix(request).to_be_bytes();
                let cx = PickCx::new(farm.now.get(), mix(request)).keyed(&key[..4]);
                held.push(farm.handle.acquire(&cx).unwrap());
                let trials = held.iter().filter(|lease| lease.backend().name() == "b0");
                assert!(trials.count() <= 1, "{kind} of {size}");
            }
            assert!(held.iter().any(|lease| lease.backend().name() == "b0"), "{kind} of {size}");
        }
    }
}

#[test]
fn the_last_backend_is_used_although_it_fails() {
    let mut farm = Farm::first(1);
    for _ in 0..10 {
        assert_eq!(farm.requests([Outcome::Connect; 4]), ["b0"; 4]);
        farm.wait(3_000);
    }
    assert_eq!(farm.standing("b0"), Standing::Panic);
    assert_eq!(farm.acquire().standing(), Standing::Panic, "not what it was before");
    farm.requests([Outcome::Status(200)]);
    farm.wait(80_000);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
    farm.wait(100);
    assert_eq!((farm.standing("b0"), farm.health("b0")), (Standing::In, Health::Up));
}

#[test]
fn panic_is_told_when_it_begins_and_when_it_is_over() {
    let mut farm = Farm::first(2);
    let told = Arc::<Mutex<Vec<String>>>::default();
    let tell = Arc::clone(&told);
    farm.cluster.on_panic(Arc::new(move |panic| {
        let text = panic.map_or_else(|| "over".to_owned(), |panic| panic.to_string());
        tell.lock().unwrap().push(text);
    }));
    farm.requests([Outcome::Connect; 3]);
    farm.wait(100);
    assert!(told.lock().unwrap().is_empty(), "there is another");
    farm.requests([Outcome::Connect; 3]);
    farm.wait(100);
    assert_eq!(*told.lock().unwrap(), ["0 of 2 usable, threshold 0 %"]);
    farm.requests([Outcome::Connect; 3]);
    farm.wait(20_000);
    assert_eq!(told.lock().unwrap().len(), 1);
    farm.requests([Outcome::Status(200); 2]);
    farm.wait(80_000);
    assert_eq!(told.lock().unwrap()[1..], ["over"]);
}

#[test]
fn the_last_backend_is_open_to_all_when_its_ejection_is_over() {
    let mut farm = Farm::first(1);
    farm.requests([Outcome::Connect; 3]);
    farm.wait(9_990);
    // A build of a moment ago: the next snapshot has to wait.
    farm.say(Change::Policy(Policy { panic_threshold: 1, ..Policy::default() }));
    farm.drive();
    farm.now.set(farm.now.get() + Duration::from_millis(10));
    for _ in 0..3 {
        let _leases = [farm.acquire(), farm.acquire()];
        farm.drive();
        let _more = [farm.acquire(), farm.acquire()];
        farm.wait(30);
    }
    assert_eq!(farm.health("b0"), Health::HalfOpen);
}

#[test]
fn what_a_backend_says_of_failures_comes_before_the_policy() {
    let passive = Passive::Windowed { max_fails: 5, fail_timeout: Duration::from_secs(300) };
    let backends = [
        Backend::new("10.0.0.1:80").named("b0").with_passive(passive),
        Backend::new("10.0.0.2:80").named("b1").with_passive(Passive::Off),
    ];
    let membership = Membership::new(backends).unwrap();
    let mut farm = Farm::new(StrategyKind::First, membership, Policy::default());
    let fail_and_work = [Outcome::Reset, Outcome::Status(200)];
    farm.requests(fail_and_work.into_iter().cycle().take(8));
    farm.drive();
    assert_eq!(farm.said(), [""; 0]);
    farm.requests([Outcome::Reset]);
    assert_eq!(farm.drive(), Some(Tick::from_millis(301_000)));
    assert_eq!(farm.said(), ["b0 ejected: 5 requests failed within 300 s"]);
    assert_eq!(farm.requests([Outcome::Connect; 50]), ["b1"; 50]);
    farm.wait(100);
    assert_eq!(farm.said(), [""; 0]);
}

#[test]
fn another_policy_holds_at_once_and_ejections_run_their_course() {
    let mut farm = Farm::first(2);
    farm.requests([Outcome::Connect; 3]);
    farm.wait(100);
    let passive = Passive::Off;
    farm.say(Change::Policy(Policy { passive, ..Policy::default() }));
    farm.requests([Outcome::Connect; 20]);
    farm.wait(100);
    assert_eq!((farm.health("b0"), farm.health("b1")), (Health::Ejected, Health::Unknown));
    let passive = Passive::Consecutive { failures: 1, eject: Duration::from_secs(1) };
    farm.say(Change::Policy(Policy { passive, ..Policy::default() }));
    farm.requests([Outcome::Connect]);
    farm.wait(100);
    assert_eq!(farm.health("b1"), Health::Ejected);
    farm.wait(1_000);
    assert_eq!((farm.health("b0"), farm.health("b1")), (Health::Ejected, Health::HalfOpen));
}

#[test]
fn checks_take_a_backend_out_and_bring_it_back() {
    let mut farm = Farm::first(2);
    farm.check("b0", Ok(()));
    for _ in 0..4 {
        farm.check("b0", Err("status 500"));
        farm.requests([Outcome::Status(200)]);
    }
    farm.wait(100);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b1"]);
    for _ in 0..2 {
        farm.check("b0", Ok(()));
    }
    farm.wait(100);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
    assert_eq!(
        farm.said(),
        [
            "b0 up: a check passed",
            "b0 down: 3 checks in a row failed: status 500",
            "b0 up: 2 checks in a row passed",
        ]
    );
}

#[test]
fn checks_bring_an_ejected_backend_back_by_way_of_a_trial_and_a_new_row_begins() {
    let mut farm = Farm::first(2);
    farm.requests([Outcome::Connect; 3]);
    farm.drive();
    (0..2).for_each(|_| farm.check("b0", Ok(())));
    farm.wait(100);
    assert_eq!(farm.standing("b0"), Standing::HalfOpen);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
    farm.wait(100);
    assert_eq!(farm.requests([Outcome::Connect; 2]), ["b0"; 2]);
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Up);
    farm.requests([Outcome::Connect]);
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Ejected);
}

#[test]
fn a_backend_that_passes_its_checks_and_fails_its_requests_does_not_flap() {
    let lost = |with_checks: bool| {
        let mut farm = Farm::new(StrategyKind::RoundRobin, equal(3), Policy::default());
        let mut lost = 0;
        for request in 0..30_000 {
            let lease = farm.acquire();
            let fails = lease.backend().name() == "b0";
            lost += u32::from(fails);
            let outcome = if fails { Outcome::Reset } else { Outcome::Status(200) };
            lease.complete(outcome, farm.now.get());
            farm.wait(10);
            if with_checks && request % 200 == 0 {
                farm.check("b0", Ok(()));
            }
        }
        lost
    };
    // Three at once, a trial after 10, 20 and 40 seconds, and one every 80 after that.
    // Checks save the first ten seconds.
    let (without, with) = (lost(false), lost(true));
    assert!(without <= 9 && with <= 10, "{without} without checks, {with} with");
}

#[test]
fn a_request_that_takes_for_ever_keeps_no_backend_out() {
    let mut farm = Farm::half_open(2);
    let upload = farm.acquire();
    assert_eq!(upload.backend().name(), "b0");
    farm.wait(9_000);
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b1"]);
    farm.wait(1_000);
    let other = farm.acquire();
    assert_eq!(other.backend().name(), "b0");
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b1"], "one at a time still");
    other.complete(Outcome::Status(200), farm.now.get());
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Up);
    upload.complete(Outcome::Reset, farm.now.get());
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Up);
}

#[test]
fn a_trial_whose_failure_nobody_took_down_leaves_the_place_to_the_next() {
    let mut farm = Farm::new(StrategyKind::First, equal(3), Policy::default());
    let change = Change::Health { incarnation: farm.incarnation("b0"), health: Health::HalfOpen };
    farm.say(change);
    farm.wait(100);
    let trial = farm.acquire();
    assert_eq!(trial.backend().name(), "b0");
    // Nobody drives, and there is room for 256 reports. The first two are none yet.
    assert_eq!(farm.requests([Outcome::Connect; 258]), ["b1"; 258]);
    trial.complete(Outcome::Connect, farm.now.get());
    assert_eq!(farm.requests([Outcome::Connect; 2]), ["b0", "b0"]);
    farm.drive();
    assert_eq!(farm.health("b0"), Health::HalfOpen);
    assert_eq!(farm.requests([Outcome::Connect; 2])[0], "b0");
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Ejected, "and that one is heard");
}

#[test]
fn panic_opens_the_gate_of_a_backend_that_is_half_open() {
    let mut farm = Farm::half_open(2);
    let trial = farm.acquire();
    assert_eq!(farm.requests([Outcome::Connect; 3]), ["b1"; 3]);
    farm.wait(100);
    assert_eq!(farm.standing("b0"), Standing::Panic);
    let leases = [farm.acquire(), farm.acquire()];
    let all = leases.iter().chain([&trial]);
    assert!(all.into_iter().all(|lease| lease.backend().name() == "b0"));
}

#[test]
fn what_a_backend_says_of_failures_may_change_during_its_life() {
    let saying = |failures| {
        let eject = Duration::from_secs(10);
        let passive = Passive::Consecutive { failures, eject };
        Membership::new([Backend::new("b0").with_passive(passive), Backend::new("b1")]).unwrap()
    };
    let mut farm = Farm::new(StrategyKind::First, saying(5), Policy::default());
    let before = farm.incarnation("b0");
    farm.say(Change::Membership(saying(2)));
    farm.wait(100);
    assert_eq!(farm.incarnation("b0"), before);
    farm.requests([Outcome::Connect; 2]);
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Ejected);
}

#[test]
fn a_request_that_succeeds_shows_that_the_way_is_there() {
    let mut farm = Farm::first(2);
    let lost = |farm: &Farm| {
        let observation = Observation::NoAnswer("timeout after 1 s".into());
        farm.cluster.observe(farm.incarnation("b0"), observation, farm.now.get()).unwrap();
        farm.drive();
    };
    for _ in 0..5 {
        lost(&farm);
        lost(&farm);
        farm.requests([Outcome::Status(200); 2]);
        farm.wait(1_000);
    }
    assert_eq!(farm.said(), [""; 0]);
    (0..3).for_each(|_| lost(&farm));
    assert_eq!(farm.said(), ["b0 down: 3 checks in a row failed: timeout after 1 s"]);
}

#[test]
fn who_is_gone_is_not_observed() {
    let farm = Farm::first(2);
    let gone = farm.incarnation("b1");
    farm.say(Change::Membership(equal(1)));
    farm.wait(100);
    let observation = Observation::Check(Ok(Duration::ZERO));
    let error = farm.cluster.observe(gone, observation, farm.now.get()).unwrap_err();
    assert_eq!(error, ChangeError::NoSuchIncarnation(gone));
}

#[test]
fn a_new_life_of_a_backend_starts_with_a_clean_slate() {
    let at = |address: &str| {
        Membership::new([Backend::new(address).named("b0"), Backend::new("b1")]).unwrap()
    };
    let mut farm = Farm::new(StrategyKind::First, at("10.0.0.1:80"), Policy::default());
    farm.requests([Outcome::Connect; 3]);
    farm.wait(100);
    farm.say(Change::Membership(at("10.0.0.2:80")));
    farm.wait(100);
    assert_eq!(farm.health("b0"), Health::Unknown);
    assert_eq!(farm.drive(), None, "nobody waits for the old one's time");
    assert_eq!(farm.requests([Outcome::Status(200)]), ["b0"]);
}

#[test]
fn listeners_may_ask_the_cluster() {
    let mut farm = Farm::first(2);
    let cluster = farm.cluster.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    farm.cluster.on_transition(Arc::new(move |transition| {
        let health = cluster.conditions()[0].health;
        let standing = cluster.snapshot().view().standing(lb_core::cluster::Slot::new(0));
        list.lock().unwrap().push((transition.from, transition.to, health, standing));
    }));
    farm.requests([Outcome::Connect; 3]);
    farm.drive();
    let expected = (Health::Unknown, Health::Ejected, Health::Ejected, Standing::Ejected);
    assert_eq!(*seen.lock().unwrap(), [expected]);
}

#[test]
fn verdicts_from_outside_are_transitions_without_a_cause_of_their_own() {
    let farm = Farm::first(2);
    let incarnation = farm.incarnation("b0");
    farm.say(Change::Health { incarnation, health: Health::Down });
    farm.say(Change::Health { incarnation, health: Health::Down });
    farm.wait(100);
    assert_eq!(farm.said(), ["b0 down: somebody said so"]);
    let generations = farm.cluster.generations();
    assert_eq!(generations.len(), 2);
    assert_eq!(generations[1].causes, [Cause::new(CauseKind::Person, "test")]);
}

#[test]
fn a_verdict_that_comes_while_a_build_begins_is_in_the_snapshot_that_says_so() {
    let farm = Farm::first(2);
    let incarnation = farm.incarnation("b0");
    let asked = Cell::new(0);
    farm.cluster.drive(&|| {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            farm.say(Change::Health { incarnation, health: Health::Down });
        }
        farm.now.get()
    });
    assert_eq!(farm.cluster.snapshot().stamp().generation, 2);
    assert_eq!(farm.standing("b0"), Standing::Down);
}

#[test]
fn where_most_of_a_tier_fails_its_checks_at_once_one_more_must_fail() {
    let farm = Farm::first(10);
    let fail = |names: std::ops::Range<usize>| {
        for name in names {
            farm.check(&format!("b{name}"), Err("connect: unreachable"));
        }
        farm.wait(2_000);
        farm.said().len()
    };
    assert_eq!((fail(0..10), fail(0..10)), (0, 0));
    assert_eq!(fail(0..10), 3, "thirty percent");
    assert_eq!(fail(3..10), 7, "and the others with the next round");
}

#[test]
fn a_blink_takes_down_no_more_than_thirty_percent() {
    let farm = Farm::first(10);
    for result in [Err("timeout"), Err("timeout"), Err("timeout"), Ok(())] {
        (0..10).for_each(|name| farm.check(&format!("b{name}"), result));
        farm.wait(2_000);
    }
    let down = farm.cluster.conditions().iter().filter(|it| it.health == Health::Down).count();
    assert_eq!(down, 3);
}

#[test]
fn backends_that_fall_one_after_the_other_need_no_confirmation() {
    let farm = Farm::first(4);
    for name in ["b0", "b1", "b2", "b3"] {
        (0..3).for_each(|_| farm.check(name, Err("status 503")));
        farm.wait(2_000);
        assert_eq!(farm.health(name), Health::Down);
    }
}

#[test]
fn only_enabled_backends_of_the_tier_and_the_round_count_for_the_confirmation() {
    let round = Duration::from_secs(5);
    let policy =
        Policy { checks: Thresholds { round, ..Thresholds::default() }, ..Policy::default() };
    let backends = (0..8).map(|n| Backend::new(format!("b{n}")).in_tier(u8::from(n >= 4)));
    let farm = Farm::new(StrategyKind::First, Membership::new(backends).unwrap(), policy);
    farm.say(Change::Admin { backend: "b0".into(), state: AdminState::Disabled });
    let fall = |name: &str| {
        (0..3).for_each(|_| farm.check(name, Err("status 503")));
        farm.health(name)
    };
    assert_eq!(fall("b4"), Health::Down);
    assert_eq!(fall("b0"), Health::Down, "another tier");
    assert_eq!(fall("b1"), Health::Down, "the one before is disabled");
    farm.wait(4_999);
    assert_eq!(fall("b2"), Health::Unknown, "two of three");
    farm.wait(1);
    assert_eq!(fall("b3"), Health::Down);
    farm.check("b2", Err("status 503"));
    assert_eq!(farm.health("b2"), Health::Down);
}

/// One backend of several that fails at once, on eight connections that never rest.
/// Returns its share of the requests of each of so many seconds.
fn shares_of_one_that_fails(
    kind: StrategyKind,
    size: usize,
    outcome: impl Fn(Tick) -> Option<Outcome>,
    seconds: usize,
) -> Vec<f64> {
    let policy = Policy { passive: Passive::Off, ..Policy::default() };
    let mut farm = Farm::new(kind, equal(size), policy);
    let mut under_way: Vec<(Tick, Lease, Outcome)> = Vec::new();
    let (mut total, mut failed) = (vec![0_u32; seconds], vec![0_u32; seconds]);
    let start = farm.now.get();
    for request in 0.. {
        let now = farm.now.get();
        let second = usize::try_from(now.since(start).as_secs()).unwrap();
        if second == seconds {
            break;
        }
        let lease = farm.handle.acquire(&PickCx::new(now, mix(request))).unwrap();
        total[second] += 1;
        let b0 = lease.backend().name() == "b0";
        failed[second] += u32::from(b0);
        let (took, outcome) = match outcome(now).filter(|_| b0) {
            Some(outcome) => (1, outcome),
            None => (10, Outcome::Status(200)),
        };
        under_way.push((now + Duration::from_millis(took), lease, outcome));
        if under_way.len() == 8 {
            let next = (0..8).min_by_key(|position| under_way[*position].0).unwrap();
            let (end, lease, outcome) = under_way.swap_remove(next);
            let elapsed = end.since(farm.now.get()).as_millis();
            farm.wait(u64::try_from(elapsed).unwrap());
            lease.complete(outcome, end);
        }
    }
    let share = |(failed, total): (&u32, &u32)| f64::from(*failed) / f64::from(*total);
    failed.iter().zip(&total).map(share).collect()
}

#[test]
fn a_backend_that_fails_at_once_gets_no_more_than_its_share() {
    for kind in [StrategyKind::LeastConn, StrategyKind::P2c] {
        for size in [3, 12] {
            for outcome in [Outcome::Connect, Outcome::Status(500)] {
                let shares = shares_of_one_that_fails(kind, size, |_| Some(outcome), 10);
                let share = shares.iter().sum::<f64>() / 10.0;
                println!("{kind} of {size}, {outcome:?}: {:.2} %", share * 100.0);
                assert!(share > 0.0, "nobody would see it recover");
                assert!(share <= 1.0 / size as f64, "{kind} of {size}, {outcome:?}: {share}");
            }
        }
    }
}

#[test]
fn a_backend_that_fails_no_more_has_its_share_again_within_seconds() {
    for kind in [StrategyKind::LeastConn, StrategyKind::P2c] {
        for size in [3, 12] {
            let fails = |now| (now < Tick::from_millis(6_000)).then_some(Outcome::Status(503));
            let shares = shares_of_one_that_fails(kind, size, fails, 16);
            let share = shares[11..].iter().sum::<f64>() / 5.0;
            let fair = 1.0 / size as f64;
            assert!((share - fair).abs() < fair / 5.0, "{kind} of {size}: {share}");
        }
    }
}

#[test]
fn pressure_is_what_is_in_flight_and_what_failed_lately() {
    let mut farm = Farm::first(1);
    let pressure = |farm: &Farm, millis| {
        let snapshot = farm.cluster.snapshot();
        let now = farm.now.get() + Duration::from_millis(millis);
        snapshot.view().pressure(snapshot.find("b0").unwrap(), now)
    };
    let _lease = farm.acquire();
    assert_eq!(pressure(&farm, 0), 256);
    farm.requests([Outcome::Status(404), Outcome::Status(501), Outcome::ClientGone]);
    assert_eq!(pressure(&farm, 0), 256);
    farm.requests([Outcome::Connect, Outcome::Timeout, Outcome::Reset, Outcome::Status(500)]);
    assert_eq!(pressure(&farm, 0), 5 * 256);
    assert_eq!(pressure(&farm, 1_024), 3 * 256);
    assert_eq!(pressure(&farm, 5_000), 256);
}

#[derive(Clone, Debug)]
enum Event {
    Acquire(u64),
    FirstByte(usize),
    BackendDone(usize, Outcome),
    Complete(usize, Outcome),
    Check(usize, bool),
    Wait(u64),
    Policy {
        passive: Passive,
        slowly: bool,
    },
    /// By number: whether it is there, weight, tier, ceiling.
    Members(Vec<(bool, u32, u8, Option<u32>)>),
    Admin(usize, AdminState),
    Weight(usize, Option<u32>),
    Strategy(StrategyKind),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = || {
        prop::sample::select(vec![
            Outcome::Status(200),
            Outcome::Status(500),
            Outcome::Connect,
            Outcome::Reset,
            Outcome::Timeout,
            Outcome::ClientGone,
            Outcome::Abandoned,
        ])
    };
    let eject = Duration::from_secs(1);
    let passive = prop::sample::select(vec![
        Passive::Off,
        Passive::Consecutive { failures: 1, eject },
        Passive::Consecutive { failures: 3, eject },
        Passive::Windowed { max_fails: 2, fail_timeout: eject },
    ]);
    let member =
        (prop::bool::weighted(0.8), 1..5_u32, 0..3_u8, prop::option::weighted(0.4, 1..3_u32));
    let admin = prop::sample::select(vec![
        AdminState::Enabled,
        AdminState::Enabled,
        AdminState::Draining { until: None },
        AdminState::Draining { until: Some(Tick::from_millis(20_000)) },
        AdminState::Disabled,
    ]);
    prop_oneof![
        8 => any::<u64>().prop_map(Event::Acquire),
        1 => any::<usize>().prop_map(Event::FirstByte),
        2 => (any::<usize>(), outcome()).prop_map(|(which, how)| Event::BackendDone(which, how)),
        6 => (any::<usize>(), outcome()).prop_map(|(which, how)| Event::Complete(which, how)),
        3 => (0..4_usize, any::<bool>()).prop_map(|(which, passed)| Event::Check(which, passed)),
        4 => (0..3_000_u64).prop_map(Event::Wait),
        1 => (passive, any::<bool>())
            .prop_map(|(passive, slowly)| Event::Policy { passive, slowly }),
        1 => prop::collection::vec(member, 12).prop_map(Event::Members),
        2 => (0..12_usize, admin).prop_map(|(which, state)| Event::Admin(which, state)),
        1 => (0..12_usize, prop::option::of(1..9_u32))
            .prop_map(|(which, weight)| Event::Weight(which, weight)),
        1 => prop::sample::select(StrategyKind::ALL).prop_map(Event::Strategy),
    ]
}

/// Those of `size` backends that are there, as described; the same lives as without a
/// description.
fn described(size: usize, members: &[(bool, u32, u8, Option<u32>)]) -> Membership {
    let all = equal(size);
    let there = all.iter().zip(members).filter(|(_, (is_there, ..))| *is_there).map(
        |(backend, (_, weight, tier, limit))| {
            let backend = Backend::clone(backend).in_tier(*tier);
            let backend = backend.weighted(Weight::new(*weight).unwrap());
            match limit.and_then(NonZeroU32::new) {
                Some(limit) => backend.with_max_in_flight(limit),
                None => backend,
            }
        },
    );
    Membership::new(there.collect::<Vec<_>>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(0x4ea2),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_counts_and_tokens_come_back_and_so_does_everybody(
        kind in prop::sample::select(StrategyKind::ALL),
        size in prop::sample::select(vec![1_usize, 3, 12]),
        events in prop::collection::vec(event(), 1..150),
    ) {
        let mut farm = Farm::new(kind, equal(size), Policy::default());
        let mut leases: Vec<Lease> = Vec::new();
        let mut kind = kind;
        let attempt = |farm: &Farm, change| {
            // Refused where the backend is not there; both are fine.
            let _ = farm.cluster.apply(change, Cause::new(CauseKind::Person, "test"));
        };
        for event in events {
            let now = farm.now.get();
            match event {
                Event::Acquire(entropy) => {
                    let key = entropy.to_be_bytes();
                    let cx = PickCx::new(now, entropy).keyed(&key[..4]);
                    if let Ok(lease) = farm.handle.acquire(&cx) {
                        let view = farm.handle.snapshot().view();
                        let slot = farm.handle.snapshot().slot_of(lease.incarnation()).unwrap();
                        let limit = view.backend(slot).max_in_flight();
                        prop_assert!(limit.is_none_or(|it| view.in_flight(slot) <= it.get()));
                        leases.push(lease);
                    }
                }
                Event::FirstByte(which) => {
                    let which = which.checked_rem(leases.len());
                    which.into_iter().for_each(|which| leases[which].first_byte(now));
                }
                Event::BackendDone(which, how) => {
                    let which = which.checked_rem(leases.len());
                    which.into_iter().for_each(|which| leases[which].backend_done(how, now));
                }
                Event::Complete(which, how) => {
                    let which = which.checked_rem(leases.len());
                    which.into_iter().for_each(|which| leases.swap_remove(which).complete(how, now));
                }
                Event::Check(which, passed) => {
                    let result = if passed { Ok(()) } else { Err("refused") };
                    let name = format!("b{}", which % size);
                    if farm.cluster.snapshot().find(&name).is_some() {
                        farm.check(&name, result);
                    }
                }
                Event::Wait(millis) => farm.wait(millis),
                Event::Policy { passive, slowly } => {
                    let slow_start = slowly.then(|| SlowStart::over(Duration::from_secs(3)));
                    farm.say(Change::Policy(Policy { passive, slow_start, ..Policy::default() }));
                }
                Event::Members(members) => {
                    farm.say(Change::Membership(described(size, &members)));
                }
                Event::Admin(which, state) => {
                    let backend = format!("b{}", which % size).into();
                    attempt(&farm, Change::Admin { backend, state });
                }
                Event::Weight(which, weight) => {
                    let backend = format!("b{}", which % size).into();
                    let weight = weight.and_then(Weight::new);
                    attempt(&farm, Change::Weight { backend, weight });
                }
                Event::Strategy(other) => {
                    kind = other;
                    farm.say(Change::Strategy(other.build()));
                }
            }
            let snapshot = farm.cluster.snapshot();
            let view = snapshot.view();
            for slot in view.slots() {
                let held = leases.iter().filter(|it| it.incarnation() == view.incarnation(slot));
                prop_assert_eq!(view.held(slot) as usize, held.count());
            }
        }
        leases.clear();
        // Everybody is there and enabled, everybody's time is over, checks pass where they
        // failed, requests succeed.
        farm.say(Change::Membership(equal(size)));
        for index in 0..size {
            let backend = format!("b{index}").into();
            farm.say(Change::Admin { backend, state: AdminState::Enabled });
            let backend = format!("b{index}").into();
            farm.say(Change::Weight { backend, weight: None });
        }
        farm.wait(20_000);
        for index in 0..size {
            let name = format!("b{index}");
            if farm.health(&name) == Health::Down {
                (0..2).for_each(|_| farm.check(&name, Ok(())));
            }
        }
        farm.wait(100);
        for request in 0..200 {
            let key = mix(request).to_be_bytes();
            let cx = PickCx::new(farm.now.get(), mix(request)).keyed(&key[..4]);
            let lease = farm.handle.acquire(&cx).unwrap();
            lease.complete(Outcome::Status(200), farm.now.get());
            farm.wait(60);
        }
        for index in 0..size {
            let name = format!("b{index}");
            let health = farm.health(&name);
            // `first` sends no second backend anything.
            prop_assert!(health.is_usable() || kind == StrategyKind::First, "{name} {health}");
        }
        let snapshot = farm.cluster.snapshot();
        let view = snapshot.view();
        prop_assert!(view.slots().all(|slot| view.in_flight(slot) == 0));
    }
}
