//! What is counted, when, and what ends it.

use std::{panic, sync::Arc};

use lb_core::{
    AdminState, Cause, Change, Cluster, ClusterHandle, Health, Lease, Membership, Outcome, PickCx,
    Tick, Tried,
    cluster::{CauseKind, Standing, View},
    strategy::{BuildCx, Choice, Picker, Reason, Strategy, StrategyKind},
};

use crate::support::{cluster, equal, pick, settle};

fn now() -> PickCx<'static> {
    PickCx::new(Tick::ZERO, 0)
}

fn counts(cluster: &Cluster) -> Vec<(u32, u32)> {
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    view.slots().map(|slot| (view.in_flight(slot), view.held(slot))).collect()
}

fn say(cluster: &Cluster, change: Change) {
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
}

#[test]
fn busy_ends_with_the_backend_and_held_with_the_client() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut handle = cluster.handle();
    let mut lease = handle.acquire(&now()).unwrap();
    assert_eq!(counts(&cluster), [(1, 1)]);
    lease.backend_done(Outcome::Status(200), Tick::ZERO);
    lease.backend_done(Outcome::Reset, Tick::ZERO);
    assert_eq!(counts(&cluster), [(0, 1)]);
    drop(lease);
    assert_eq!(counts(&cluster), [(0, 0)]);
}

#[test]
fn a_panic_counts_the_request_out() {
    let cluster = cluster(StrategyKind::LeastConn, equal(20));
    let mut handle = cluster.handle();
    let lease = handle.acquire(&now()).unwrap();
    let result = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let _lease = lease;
        panic::resume_unwind(Box::new("in the middle of a request"));
    }));
    assert!(result.is_err());
    assert!(counts(&cluster).iter().all(|counts| *counts == (0, 0)));
}

#[test]
fn a_lease_outlives_its_backend_its_handle_and_its_cluster() {
    let cluster = cluster(StrategyKind::First, equal(2));
    let mut handle = cluster.handle();
    let lease = handle.acquire(&now()).unwrap();
    say(&cluster, Change::Membership(Membership::default()));
    settle(&cluster);
    assert!(handle.acquire(&now()).is_err());
    drop((handle, cluster));
    assert_eq!(lease.backend().name(), "b0");
    lease.complete(Outcome::Status(200), Tick::ZERO);
}

#[test]
fn a_seat_is_not_given_away_while_a_request_is_on_it() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut handle = cluster.handle();
    let lease = handle.acquire(&now()).unwrap();
    let seat = lease.seat();
    let swap = |name: &str| {
        let backend = lb_core::Backend::new("x").named(name);
        say(&cluster, Change::Membership(Membership::new([backend]).unwrap()));
        settle(&cluster);
    };
    swap("b1");
    let on_b1 = handle.acquire(&now()).unwrap();
    assert_ne!(on_b1.seat(), seat);
    drop((lease, on_b1));
    swap("b2");
    assert_eq!(handle.acquire(&now()).unwrap().seat(), seat, "free now");
}

#[test]
fn weights_and_strategy_may_change_under_requests() {
    let cluster = cluster(StrategyKind::LeastConn, equal(2));
    let mut handle = cluster.handle();
    let leases: Vec<_> = (0..4).map(|_| handle.acquire(&now()).unwrap()).collect();
    say(&cluster, Change::Weight { backend: "b0".into(), weight: lb_core::Weight::new(9) });
    say(&cluster, Change::Strategy(StrategyKind::P2c.build()));
    settle(&cluster);
    assert_eq!(counts(&cluster), [(2, 2), (2, 2)]);
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    assert_eq!(view.slots().map(|slot| view.weight(slot)).collect::<Vec<_>>(), [9, 1]);
    drop(leases);
    assert_eq!(counts(&cluster), [(0, 0), (0, 0)]);
}

#[test]
fn idle_bits_are_right_after_they_were_switched_on_under_requests() {
    let cluster = cluster(StrategyKind::Random, equal(12));
    let mut handle = cluster.handle();
    let leases: Vec<_> = (0..50)
        .map(|n| handle.acquire(&PickCx::new(Tick::ZERO, lb_core::sample::mix(n))).unwrap())
        .collect();
    say(&cluster, Change::Strategy(StrategyKind::LeastConn.build()));
    settle(&cluster);
    drop(leases);
    settle(&cluster);
    let leases: Vec<_> = (0..12).map(|_| handle.acquire(&now()).unwrap()).collect();
    assert!(leases.iter().all(|lease| lease.reason() == Reason::Idle), "{leases:?}");
    assert!(counts(&cluster).iter().all(|counts| *counts == (1, 1)));
}

#[test]
fn backends_that_are_busy_when_idle_bits_are_switched_on_are_not_taken_for_idle() {
    let cluster = cluster(StrategyKind::LeastConn, equal(8));
    let mut handle = cluster.handle();
    let _leases: Vec<_> = (0..16).map(|_| handle.acquire(&now()).unwrap()).collect();
    say(&cluster, Change::Membership(equal(10)));
    settle(&cluster);
    let mut next: Vec<_> = (0..2)
        .map(|n| handle.acquire(&PickCx::new(Tick::ZERO, lb_core::sample::mix(n))).unwrap())
        .collect();
    next.sort_by_key(|lease| lease.backend().name().to_owned());
    let next: Vec<_> = next.iter().map(|lease| lease.backend().name()).collect();
    assert_eq!(next, ["b8", "b9"]);
}

#[test]
fn a_lease_ends_through_any_handle_and_after_any_change() {
    let cluster = cluster(StrategyKind::First, equal(2));
    let (mut handle, mut other) = (cluster.handle(), cluster.handle());
    let ends = |handle: &mut ClusterHandle, lease: Lease| {
        handle.complete(lease, Outcome::Status(200), Tick::ZERO);
    };
    for _ in 0..20 {
        let leases: Vec<_> = (0..10).map(|_| handle.acquire(&now()).unwrap()).collect();
        assert_eq!(counts(&cluster), [(10, 10), (0, 0)]);
        leases.into_iter().for_each(|lease| ends(&mut handle, lease));
        assert_eq!(counts(&cluster), [(0, 0), (0, 0)]);
    }
    let lease = handle.acquire(&now()).unwrap();
    ends(&mut other, lease);
    let (before, late) = (handle.acquire(&now()).unwrap(), handle.acquire(&now()).unwrap());
    say(&cluster, Change::Membership(crate::support::weighted(&[5])));
    settle(&cluster);
    let after = handle.acquire(&now()).unwrap();
    ends(&mut handle, before);
    ends(&mut handle, after);
    let after = handle.acquire(&now()).unwrap();
    assert_eq!(after.backend().weight().get(), 5, "a hold on the old description was kept");
    drop((after, handle));
    ends(&mut other, late);
    assert_eq!(counts(&cluster), [(0, 0)]);
}

#[test]
fn a_lease_shows_the_description_it_was_picked_with() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut handle = cluster.handle();
    let before = handle.acquire(&now()).unwrap();
    say(&cluster, Change::Membership(crate::support::weighted(&[5])));
    settle(&cluster);
    let after = handle.acquire(&now()).unwrap();
    assert_eq!(before.incarnation(), after.incarnation());
    assert_eq!((before.backend().weight().get(), after.backend().weight().get()), (1, 5));
}

#[test]
fn what_comes_back_of_an_old_standing_is_not_handed_out_again() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut handle = cluster.handle();
    let [early, late] = [(); 2].map(|()| handle.acquire(&now()).unwrap());
    let incarnation = late.incarnation();
    handle.complete(early, Outcome::Status(200), Tick::ZERO);
    say(&cluster, Change::Health { incarnation, health: Health::Ejected });
    settle(&cluster);
    // One came back before the handle knew, one comes back after.
    let lease = handle.acquire(&now()).unwrap();
    assert_eq!((late.standing(), lease.standing()), (Standing::In, Standing::Panic));
    handle.complete(lease, Outcome::Status(200), Tick::ZERO);
    handle.complete(late, Outcome::Status(200), Tick::ZERO);
    let leases = [(); 3].map(|()| handle.acquire(&now()).unwrap());
    assert!(leases.iter().all(|lease| lease.standing() == Standing::Panic));
    drop(handle);
    drop(leases);
    assert_eq!(counts(&cluster), [(0, 0)]);
}

#[test]
fn a_preferred_backend_that_was_tried_is_not_taken_again() {
    let cluster = cluster(StrategyKind::First, equal(2));
    let mut handle = cluster.handle();
    let mut tried = Tried::default();
    tried.add(handle.acquire(&now().preferring("b0")).unwrap().incarnation());
    let retry = handle.acquire(&now().preferring("b0").avoiding(&tried)).unwrap();
    assert_eq!(retry.backend().name(), "b1");
}

#[test]
fn a_preferred_backend_is_taken_if_it_admits_bound_clients() {
    let cluster = cluster(StrategyKind::RoundRobin, equal(3));
    let mut handle = cluster.handle();
    let mut prefer = |name: &str| {
        let lease = handle.acquire(&now().preferring(name)).unwrap();
        (lease.backend().name().to_owned(), lease.reason())
    };
    assert_eq!(prefer("b2"), ("b2".to_owned(), Reason::Preferred));
    assert_eq!(prefer("gone"), ("b0".to_owned(), Reason::Turn));
    let admin = |state| say(&cluster, Change::Admin { backend: "b2".into(), state });
    admin(AdminState::Draining { until: None });
    assert_eq!(prefer("b2").0, "b2", "before the snapshot is built");
    settle(&cluster);
    assert_eq!(prefer("b2").0, "b2", "and after");
    admin(AdminState::Disabled);
    assert_ne!(prefer("b2").0, "b2");
}

#[test]
fn failures_in_a_row_are_counted_and_an_answer_ends_the_row() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let mut handle = cluster.handle();
    let failures = |cluster: &Cluster| {
        let snapshot = cluster.snapshot();
        snapshot.view().failures(snapshot.find("b0").unwrap())
    };
    let at = Tick::from_nanos;
    for (n, outcome) in [Outcome::Connect, Outcome::Timeout, Outcome::Reset].into_iter().enumerate()
    {
        handle.acquire(&now()).unwrap().complete(outcome, at(n as u64));
    }
    assert_eq!(failures(&cluster), Some((3, at(2))));
    handle.acquire(&now()).unwrap().complete(Outcome::ClientGone, at(9));
    drop(handle.acquire(&now()).unwrap());
    assert_eq!(failures(&cluster), Some((3, at(2))), "says nothing about the backend");
    handle.acquire(&now()).unwrap().complete(Outcome::Status(500), at(10));
    assert_eq!(failures(&cluster), None);
}

#[test]
fn handles_of_several_threads_share_the_counts() {
    let cluster = cluster(StrategyKind::First, equal(1));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mut handle = cluster.handle();
            std::thread::spawn(move || Arc::new(handle.acquire(&now()).unwrap()))
        })
        .collect();
    let leases: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(counts(&cluster), [(4, 4)]);
    drop(leases);
    assert_eq!(pick(&mut cluster.handle(), 0), 0);
}

#[test]
fn a_lease_is_printed_in_a_line() {
    let cluster = cluster(StrategyKind::First, equal(1000));
    let lease = cluster.handle().acquire(&now()).unwrap();
    let printed = format!("{lease:?}");
    assert!(printed.len() < 200 && printed.contains("\"b0\""), "{printed}");
}

/// Picks nobody, or always the same one.
#[derive(Clone, Copy, Debug)]
struct Stubborn(Option<usize>);

impl Strategy for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn build(&mut self, _: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(*self)
    }
}

impl Picker for Stubborn {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let slot = view.new_set().as_slice()[self.0?];
        view.is_candidate(slot, cx).then(|| Choice::new(slot, Reason::Custom(&"stubborn")))
    }
}

#[test]
fn a_backend_that_can_take_the_request_is_found_whatever_the_strategy_picks() {
    for choice in [None, Some(0)] {
        let cluster = crate::support::boxed(Box::new(Stubborn(choice)), equal(30));
        let mut handle = cluster.handle();
        for position in (0..30).filter(|position| *position != 17) {
            let backend = format!("b{position}").as_str().into();
            say(&cluster, Change::Admin { backend, state: AdminState::Disabled });
        }
        let lease = handle.acquire(&now()).unwrap();
        assert_eq!((lease.backend().name(), lease.reason()), ("b17", Reason::LastResort));
    }
}

#[test]
fn when_the_strategy_is_no_help_requests_are_spread_all_the_same() {
    let cluster = crate::support::boxed(Box::new(Stubborn(None)), equal(10));
    let mut handle = cluster.handle();
    let mut used: Vec<_> = (0..100)
        .map(|n| {
            let cx = PickCx::new(Tick::ZERO, lb_core::sample::mix(n));
            handle.acquire(&cx).unwrap().backend().name().to_owned()
        })
        .collect();
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 10);
}

#[test]
fn what_was_refused_does_not_push_out_what_was_tried() {
    let cluster = cluster(StrategyKind::Random, equal(9));
    let mut handle = cluster.handle();
    let mut tried = Tried::default();
    let mut left: Vec<_> = (0..9).map(|position| format!("b{position}")).collect();
    for _ in 0..8 {
        let lease = handle.acquire(&now().avoiding(&tried)).unwrap();
        tried.add(lease.incarnation());
        left.retain(|name| name != lease.backend().name());
    }
    let backend = left[0].as_str().into();
    say(&cluster, Change::Admin { backend, state: AdminState::Disabled });
    let error = handle.acquire(&now().avoiding(&tried)).unwrap_err();
    assert_eq!((error.tried, error.taken_out), (8, 1));
}
