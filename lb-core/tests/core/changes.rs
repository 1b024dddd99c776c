//! From a change to its effect.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, Health, Membership, PickCx, Tick, Weight,
    cluster::{CauseKind, ChangeError, Standing, Version, View},
    strategy::{BuildCx, Picker, RoundRobin, Strategy, StrategyKind},
};

use crate::support::{cluster, equal, pick, settle, weighted};

fn say(cluster: &Cluster, change: Change) -> Version {
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap()
}

fn disable(backend: &str) -> Change {
    Change::Admin { backend: backend.into(), state: AdminState::Disabled }
}

fn names(cluster: &Cluster) -> Vec<String> {
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    view.slots().map(|slot| view.backend(slot).name().to_owned()).collect()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_disabled_backend_gets_nothing_from_the_next_request_on() {
    for kind in StrategyKind::ALL {
        for size in [2, 12] {
            let cluster = cluster(*kind, equal(size));
            let mut handle = cluster.handle();
            say(&cluster, disable("b0"));
            // Nobody drives: the snapshot still contains it.
            for request in 0..100 {
                let entropy = lb_core::sample::mix(request);
                assert_ne!(pick(&mut handle, entropy), 0, "{kind} of {size}");
            }
        }
    }
}

#[test]
fn when_all_are_closed_the_error_says_so() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let mut handle = cluster.handle();
    say(&cluster, disable("b0"));
    say(&cluster, disable("b1"));
    let error = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap_err();
    assert_eq!(error.to_string(), "none of 2 backends can be used: 2 taken out");
    settle(&cluster);
    let error = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap_err();
    assert_eq!(error.to_string(), "none of 2 backends can be used: 2 taken out");
    assert!(!error.is_overload());
}

#[test]
fn an_empty_cluster_is_legal_and_fills_later() {
    let cluster = cluster(StrategyKind::LeastConn, Membership::default());
    let mut handle = cluster.handle();
    let error = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap_err();
    assert_eq!(error.to_string(), "the cluster has no backends");
    say(&cluster, Change::Membership(equal(1)));
    settle(&cluster);
    assert_eq!(pick(&mut handle, 0), 0);
}

#[test]
fn a_drain_with_a_limit_ends_in_a_revision() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let mut handle = cluster.handle();
    let until = Some(Tick::from_millis(1_000));
    say(&cluster, Change::Admin { backend: "b1".into(), state: AdminState::Draining { until } });
    let deadline = cluster.drive(&|| Tick::from_millis(500));
    assert_eq!(deadline, until);
    let bound = |handle: &mut lb_core::ClusterHandle| {
        let cx = PickCx::new(Tick::ZERO, 0).preferring("b1");
        handle.acquire(&cx).unwrap().backend().name().to_owned()
    };
    assert_eq!(bound(&mut handle), "b1");
    assert_eq!(cluster.snapshot().stamp().to_string(), "2");
    assert_eq!(cluster.drive(&|| Tick::from_millis(1_000)), None);
    assert_eq!(bound(&mut handle), "b0");
    let snapshot = cluster.snapshot();
    assert_eq!(snapshot.stamp().to_string(), "2.1");
    let standing = snapshot.view().standing(snapshot.find("b1").unwrap());
    assert_eq!(standing, Standing::Drained);
    assert_eq!(cluster.generations().len(), 2, "nobody caused it");
}

#[test]
fn a_backend_whose_drain_ran_out_is_closed_to_bound_clients_of_older_snapshots_too() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let until = Some(Tick::from_millis(1_000));
    say(&cluster, Change::Admin { backend: "b1".into(), state: AdminState::Draining { until } });
    cluster.drive(&|| Tick::from_millis(500));
    let mut handle = cluster.handle();
    let old = cluster.snapshot();
    let bound = PickCx::new(Tick::ZERO, 0).preferring("b1");
    drop(handle.acquire(&bound).unwrap());
    cluster.drive(&|| Tick::from_millis(1_000));
    assert_eq!(old.view().standing(old.find("b1").unwrap()), Standing::Draining);
    assert_eq!(handle.acquire(&bound).unwrap().backend().name(), "b0");
}

#[test]
fn a_drain_of_a_backend_that_is_gone_makes_nobody_wait_for_its_end() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let until = Some(Tick::from_millis(1_000));
    say(&cluster, Change::Admin { backend: "b1".into(), state: AdminState::Draining { until } });
    say(&cluster, Change::Membership(equal(1)));
    assert_eq!(cluster.drive(&|| Tick::from_millis(500)), None);
}

#[test]
fn what_is_true_already_is_no_change() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let before = cluster.snapshot().version();
    say(&cluster, Change::Membership(equal(2)));
    say(&cluster, Change::Admin { backend: "b1".into(), state: AdminState::Enabled });
    say(&cluster, Change::Weight { backend: "b1".into(), weight: None });
    let incarnation = {
        let snapshot = cluster.snapshot();
        snapshot.view().incarnation(snapshot.find("b1").unwrap())
    };
    let version = say(&cluster, Change::Health { incarnation, health: Health::Unknown });
    assert_eq!(version, before);
    assert_eq!(cluster.drive(&|| Tick::from_millis(1_000)), None);
    assert_eq!(cluster.generations().len(), 1);
}

#[test]
fn the_journal_keeps_the_last_256_generations() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(1));
    for count in 2..302 {
        say(&cluster, Change::Membership(equal(count % 7 + 2)));
        settle(&cluster);
    }
    let generations = cluster.generations();
    assert_eq!(generations.len(), 256);
    assert_eq!(generations[255].number, cluster.snapshot().stamp().generation);
    assert_eq!(generations[0].number + 255, generations[255].number);
}

#[test]
fn admin_states_and_weights_survive_a_backend_that_comes_back() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(3));
    say(&cluster, disable("b2"));
    say(&cluster, Change::Weight { backend: "b1".into(), weight: Weight::new(2) });
    say(&cluster, Change::Membership(equal(1)));
    settle(&cluster);
    say(&cluster, Change::Membership(equal(3)));
    settle(&cluster);
    let mut handle = cluster.handle();
    let mut played: Vec<_> = (0..3).map(|_| pick(&mut handle, 0)).collect();
    played.sort_unstable();
    assert_eq!(played, [0, 1, 1]);
    say(&cluster, Change::Weight { backend: "b1".into(), weight: None });
    say(&cluster, Change::Admin { backend: "b2".into(), state: AdminState::Enabled });
    settle(&cluster);
    let mut played: Vec<_> = (0..3).map(|_| pick(&mut handle, 0)).collect();
    played.sort_unstable();
    assert_eq!(played, [0, 1, 2]);
}

#[test]
fn a_new_address_under_an_old_name_is_a_new_incarnation() {
    let at = |address: &str| Membership::new([Backend::new(address).named("b0")]).unwrap();
    let cluster = cluster(StrategyKind::First, at("10.0.0.1:80"));
    let mut handle = cluster.handle();
    let old = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
    say(&cluster, Change::Health { incarnation: old.incarnation(), health: Health::Down });
    settle(&cluster);
    assert_eq!(handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap_err().down, 1);
    say(&cluster, Change::Membership(at("10.0.0.2:80")));
    settle(&cluster);
    let new = handle.acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
    assert_ne!(new.incarnation(), old.incarnation());
    assert_eq!(new.backend().address(), "10.0.0.2:80");
    let snapshot = cluster.snapshot();
    assert_eq!(snapshot.view().in_flight(snapshot.find("b0").unwrap()), 1, "only the new request");
    let late = Change::Health { incarnation: old.incarnation(), health: Health::Up };
    let error = cluster.apply(late, Cause::new(CauseKind::Health, "late")).unwrap_err();
    assert_eq!(error, ChangeError::NoSuchIncarnation(old.incarnation()));
}

#[test]
fn a_change_of_weight_in_the_file_keeps_the_incarnation() {
    let cluster = cluster(StrategyKind::First, weighted(&[1, 1]));
    let before = cluster.snapshot();
    say(&cluster, Change::Membership(weighted(&[7, 1])));
    settle(&cluster);
    let after = cluster.snapshot();
    let slot = after.find("b0").unwrap();
    assert_eq!(before.view().incarnation(slot), after.view().incarnation(slot));
    assert_eq!(after.view().weight(slot), 7);
}

#[test]
fn a_change_to_a_backend_that_is_not_there_is_refused_and_changes_nothing() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let error = cluster.apply(disable("b7"), Cause::new(CauseKind::Person, "typo")).unwrap_err();
    assert_eq!(error.to_string(), "there is no backend `b7`");
    settle(&cluster);
    assert_eq!(cluster.snapshot().stamp().generation, 1);
}

#[test]
fn a_storm_of_changes_is_few_generations_each_with_its_causes() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(1));
    let clock = std::cell::Cell::new(Tick::from_millis(1_000));
    for count in 2..=1_001 {
        let cause = Cause::new(CauseKind::Source, format!("set {count}"));
        cluster.apply(Change::Membership(equal(count)), cause).unwrap();
        cluster.drive(&|| clock.get());
    }
    let generations = cluster.generations();
    assert_eq!(generations.len(), 2, "the start, and the first of the storm");
    let due = cluster.drive(&|| clock.get()).unwrap();
    assert_eq!(due, clock.get() + Duration::from_millis(50));
    clock.set(due);
    cluster.drive(&|| clock.get());
    let generations = cluster.generations();
    assert_eq!(generations.len(), 3);
    assert_eq!(generations[2].causes.len(), 999);
    assert_eq!(generations[2].causes[998].text(), "set 1001");
    assert_eq!(generations[2].diff.joined.len(), 999);
    assert_eq!(names(&cluster).len(), 1_001);
}

#[test]
fn whoever_drives_is_woken_by_a_change() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    cluster.on_change(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    assert_eq!(woken.load(Ordering::SeqCst), 1, "for what was said before");
    say(&cluster, disable("b0"));
    assert_eq!(woken.load(Ordering::SeqCst), 2);
}

#[test]
fn a_change_is_effective_when_every_worker_has_acknowledged_it() {
    let cluster = cluster(StrategyKind::First, equal(2));
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let mut idle = cluster.handle_waking(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let mut busy = cluster.handle();
    let gone = cluster.handle();

    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let version = say(&cluster, disable("b0"));
    let mut effective = pin!(cluster.effective(version));
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending, "not built");

    settle(&cluster);
    assert_eq!(woken.load(Ordering::SeqCst), 1, "the idle worker was woken");
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending, "nobody has it");
    pick(&mut busy, 0);
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending);
    assert!(idle.refresh());
    assert!(!idle.refresh());
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending, "one has not");
    let before = count.get();
    drop(gone);
    assert!(count.get() > before, "a worker that ends wakes who waits for it");
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Ready(()));
}

#[test]
fn without_workers_a_publication_wakes_who_waits_and_a_later_one_changes_nothing() {
    let cluster = cluster(StrategyKind::First, equal(2));
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let version = say(&cluster, disable("b0"));
    let mut effective = pin!(cluster.effective(version));
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending);
    settle(&cluster);
    assert_eq!(count.get(), 1);
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Ready(()));
}

#[test]
fn who_waits_for_a_change_does_not_wait_for_those_after_it() {
    let cluster = cluster(StrategyKind::First, equal(3));
    let mut handle = cluster.handle();
    let mut cx = Context::from_waker(Waker::noop());
    let version = say(&cluster, disable("b0"));
    let mut effective = pin!(cluster.effective(version));
    settle(&cluster);
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending);
    handle.refresh();
    say(&cluster, disable("b1"));
    settle(&cluster);
    assert_eq!(effective.as_mut().poll(&mut cx), Poll::Ready(()), "the worker has the first");
}

#[test]
fn who_waits_no_longer_is_forgotten() {
    let cluster = cluster(StrategyKind::First, equal(2));
    let _handle = cluster.handle();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let version = say(&cluster, disable("b0"));
    let mut effective = Box::pin(cluster.effective(version));
    for _ in 0..10 {
        assert_eq!(effective.as_mut().poll(&mut cx), Poll::Pending);
    }
    // Ours, the waker's, and the one that waits.
    assert_eq!(Arc::strong_count(&count), 3);
    drop(effective);
    assert_eq!(Arc::strong_count(&count), 2);
}

#[test]
fn what_is_in_force_already_is_effective_at_once() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut cx = Context::from_waker(Waker::noop());
    let version = cluster.snapshot().version();
    assert_eq!(pin!(cluster.effective(version)).poll(&mut cx), Poll::Ready(()));
}

/// Does something in the middle of a build.
struct During<F>(F, RoundRobin);

impl<F> std::fmt::Debug for During<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("During")
    }
}

impl<F: FnMut() + Send> Strategy for During<F> {
    fn name(&self) -> &'static str {
        "during"
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        (self.0)();
        self.1.build(view, cx)
    }
}

#[test]
fn a_change_need_not_wait_for_a_build_and_is_not_undone_by_it() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let mut handle = cluster.handle();
    let (begun, said) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let meeting = [Arc::clone(&begun), Arc::clone(&said)];
    let slow = During(
        move || {
            meeting[0].wait();
            meeting[1].wait();
        },
        RoundRobin::default(),
    );
    say(&cluster, Change::Strategy(Box::new(slow)));
    let builder = {
        let cluster = cluster.clone();
        thread::spawn(move || settle(&cluster))
    };
    begun.wait();
    // The build, which knows nothing of this, is going on.
    say(&cluster, disable("b0"));
    assert_eq!(pick(&mut handle, 0), 1);
    said.wait();
    builder.join().unwrap();
    assert!(handle.refresh());
    assert_eq!([pick(&mut handle, 0), pick(&mut handle, 0)], [1, 1], "still closed");
}

#[test]
fn a_strategy_that_panics_is_given_up_and_no_other_change_is_lost() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let clumsy = During(
        || std::panic::resume_unwind(Box::new("a strategy of somebody else's")),
        RoundRobin::default(),
    );
    say(&cluster, Change::Strategy(Box::new(clumsy)));
    let version = say(&cluster, Change::Membership(equal(3)));
    let driven = cluster.clone();
    let now = Tick::from_millis(1_000);
    assert!(thread::spawn(move || driven.drive(&|| now)).join().is_err());
    assert_eq!(names(&cluster).len(), 2);
    assert_eq!(cluster.drive(&|| now), Some(now + Duration::from_millis(50)), "and paced");
    cluster.drive(&|| now + Duration::from_millis(50));
    assert_eq!(names(&cluster).len(), 3);
    assert!(cluster.snapshot().version() >= version);
    let generations = cluster.generations();
    assert_eq!(generations.len(), 2);
    assert_eq!((generations[1].causes.len(), generations[1].diff.joined.len()), (2, 1));
}

#[test]
fn whoever_drives_is_never_sent_into_the_past() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let until = Some(Tick::from_millis(1_010));
    say(&cluster, Change::Admin { backend: "b1".into(), state: AdminState::Draining { until } });
    assert_eq!(cluster.drive(&|| Tick::from_millis(1_000)), until);
    // The drain runs out within the pause after the build.
    let next = cluster.drive(&|| Tick::from_millis(1_015));
    assert_eq!(next, Some(Tick::from_millis(1_050)));
    assert_eq!(cluster.drive(&|| Tick::from_millis(1_050)), None);
}

#[test]
fn several_changes_are_recorded_together_or_not_at_all() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(1));
    let weight = |backend: &str| Change::Weight { backend: backend.into(), weight: Weight::new(2) };
    let cause = || Cause::new(CauseKind::File, "reload");
    let changes = [Change::Membership(equal(2)), weight("b1"), weight("b2")];
    let refused = Err(ChangeError::NoSuchBackend("b2".into()));
    assert_eq!(cluster.check(&changes), refused);
    assert_eq!(cluster.check(&changes[..2]), Ok(()), "and that has recorded nothing");
    assert_eq!(cluster.apply_all(changes, cause()).map(drop), refused);
    settle(&cluster);
    assert_eq!(names(&cluster), ["b0"]);
    cluster.apply_all([Change::Membership(equal(2)), weight("b1")], cause()).unwrap();
    settle(&cluster);
    let snapshot = cluster.snapshot();
    assert_eq!(snapshot.view().weight(snapshot.find("b1").unwrap()), 2);
    assert_eq!(cluster.generations().len(), 2);
}

#[test]
fn what_was_laid_down_for_a_backend_that_is_gone_can_be_lifted() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    say(&cluster, disable("b1"));
    say(&cluster, Change::Membership(equal(1)));
    settle(&cluster);
    say(&cluster, Change::Admin { backend: "b1".into(), state: AdminState::Enabled });
    say(&cluster, Change::Membership(equal(2)));
    settle(&cluster);
    assert_eq!(cluster.snapshot().view().new_set().len(), 2);
}

/// Unparks a thread, and remembers it.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[test]
fn no_acknowledgement_is_missed_while_workers_race() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(2));
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (cluster, stop) = (cluster.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                let me = thread::current();
                let mut handle = cluster.handle_waking(Arc::new(move || me.unpark()));
                while !stop.load(Ordering::Relaxed) {
                    handle.refresh();
                    thread::park_timeout(Duration::from_secs(5));
                }
            })
        })
        .collect();
    let unpark = Unpark { thread: thread::current(), woken: AtomicBool::new(false) };
    let unpark = Arc::new(unpark);
    let waker = Waker::from(Arc::clone(&unpark));
    let mut cx = Context::from_waker(&waker);
    for round in 0..2_000 {
        let weight = Weight::new(1 + round % 9);
        let version = say(&cluster, Change::Weight { backend: "b0".into(), weight });
        settle(&cluster);
        let mut effective = pin!(cluster.effective(version));
        while effective.as_mut().poll(&mut cx).is_pending() {
            // A wake-up may find us awake and make the first `park` return at once.
            let woken = (0..3).any(|_| {
                let woken = unpark.woken.swap(false, Ordering::SeqCst);
                if !woken {
                    thread::park_timeout(Duration::from_secs(5));
                }
                woken
            });
            assert!(woken, "nobody woke us in round {round}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.thread().unpark();
        worker.join().unwrap();
    }
}

#[test]
fn a_backend_described_as_draining_keeps_its_clients_and_nobody_can_open_it_by_hand() {
    let draining = Backend::new("a").in_state(AdminState::Draining { until: None });
    let members = Membership::new([draining, Backend::new("b")]).unwrap();
    let cluster = Cluster::builder("test").membership(members).build();
    let enable = Change::Admin { backend: "a".into(), state: AdminState::Enabled };
    say(&cluster, enable);
    cluster.drive(&|| Tick::from_millis(1_000));
    let mut handle = cluster.handle();
    for request in 0..20 {
        let cx = PickCx::new(Tick::from_millis(1_000), lb_core::sample::mix(request));
        assert_eq!(handle.acquire(&cx).unwrap().backend().name(), "b");
        assert_eq!(handle.acquire(&cx.preferring("a")).unwrap().backend().name(), "a");
    }
    say(&cluster, disable("a"));
    let cx = PickCx::new(Tick::from_millis(1_000), 0).preferring("a");
    assert_eq!(handle.acquire(&cx).unwrap().backend().name(), "b", "a person may say more");
}
