//! From a change to its effect.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, Health, Membership, PickCx, Tick, Weight,
    cluster::{CauseKind, ChangeError, Version},
    strategy::StrategyKind,
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
    assert_eq!(cluster.snapshot().stamp().to_string(), "2.1");
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
    for count in 1..=1_000 {
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
    assert_eq!(generations[2].causes[998].text(), "set 1000");
    assert_eq!(generations[2].diff.joined.len(), 999);
    assert_eq!(names(&cluster).len(), 1_000);
}

#[test]
fn whoever_drives_is_woken_by_a_change() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    cluster.on_change(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    say(&cluster, disable("b0"));
    assert_eq!(woken.load(Ordering::SeqCst), 1);
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
fn what_is_in_force_already_is_effective_at_once() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut cx = Context::from_waker(Waker::noop());
    let version = cluster.snapshot().version();
    assert_eq!(pin!(cluster.effective(version)).poll(&mut cx), Poll::Ready(()));
}
