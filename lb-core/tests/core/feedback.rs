//! What requests tell about backends, and what nobody wants to know.

use std::time::Duration;

use lb_core::{
    Cause, Change, Cluster, ClusterHandle, Lease, LoadReport, Outcome, PickCx, Tick,
    cluster::{CauseKind, Slot, View},
    strategy::{BuildCx, First, Needs, Picker, Strategy},
};

use crate::support::{boxed, equal};

/// `first`, with needs of other strategies.
#[derive(Debug)]
struct Wanting(Needs);

impl Strategy for Wanting {
    fn name(&self) -> &'static str {
        "wanting"
    }

    fn needs(&self) -> Needs {
        self.0
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        First.build(view, cx)
    }
}

fn wanting(needs: Needs) -> Cluster {
    boxed(Box::new(Wanting(needs)), equal(3))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A request at `at` to one backend.
fn lease(handle: &mut ClusterHandle, backend: usize, at: u64) -> Lease {
    let name = format!("b{backend}");
    handle.acquire(&PickCx::new(Tick::from_millis(at), 0).preferring(&name)).unwrap()
}

/// A request to one backend whose answer begins after 3 and ends after 10 ms.
fn serve(handle: &mut ClusterHandle, backend: usize, at: u64, status: u16) {
    let mut lease = lease(handle, backend, at);
    lease.answers(status, Tick::from_millis(at + 3));
    lease.answers(status, Tick::from_millis(at + 9));
    lease.transferred(1_000);
    lease.reports(LoadReport::new(7), Tick::from_millis(at + 3));
    lease.complete(Outcome::Status(status), Tick::from_millis(at + 10));
}

#[test]
fn what_is_needed_is_kept_and_nothing_else() {
    let all = [
        Needs::latency(),
        Needs::response_time(),
        Needs::traffic(),
        Needs::reports(),
        Needs::peak_latency(Duration::from_secs(10)),
        Needs::default(),
        Needs::latency().and(Needs::traffic()).and(Needs::reports()),
    ];
    for needs in all {
        let cluster = wanting(needs);
        serve(&mut cluster.handle(), 0, 5, 200);
        let snapshot = cluster.snapshot();
        let (view, slot, now) = (snapshot.view(), Slot::new(0), Tick::from_millis(20));
        assert_eq!(view.latency(slot), needs.latency.then_some(millis(3)));
        assert_eq!(view.mean_latency(), needs.latency.then_some(millis(3)));
        assert_eq!(view.response_time(slot), needs.response_time.then_some(millis(10)));
        assert_eq!(view.traffic(slot), if needs.traffic { 1_000 } else { 0 });
        let reported = view.reported(slot, now).map(|report| (report.load, report.age));
        assert_eq!(reported, needs.reports.then_some((7, millis(12))));
        let peak = (needs == Needs::peak_latency(Duration::from_secs(10))).then_some(millis(3));
        assert_eq!(view.peak_latency(slot, Tick::from_millis(8)), peak);
    }
}

#[test]
fn a_lease_says_what_is_wanted_of_it() {
    let cluster = wanting(Needs::reports());
    let mut handle = cluster.handle();
    assert_eq!(lease(&mut handle, 0, 0).measures(), Needs::reports());
    let change = Change::Strategy(Box::new(Wanting(Needs::traffic())));
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
    let old = lease(&mut handle, 0, 0);
    cluster.drive(&|| Tick::from_millis(1_000));
    assert_eq!(lease(&mut handle, 0, 0).measures(), Needs::traffic());
    assert_eq!(old.measures(), Needs::reports(), "as it was picked");
}

#[test]
fn a_failure_is_no_faster_than_what_is_usual() {
    let cluster = wanting(Needs::latency().and(Needs::response_time()).and(Needs::traffic()));
    let mut handle = cluster.handle();
    serve(&mut handle, 0, 0, 200);
    // At once: refused, and an answer that says it failed.
    lease(&mut handle, 1, 100).complete(Outcome::Refused, Tick::from_millis(100));
    let mut answered = lease(&mut handle, 2, 100);
    answered.answers(503, Tick::from_millis(100));
    answered.complete(Outcome::Status(503), Tick::from_millis(100));
    // What can't be done at all may be said fast; and slow failures are slow.
    serve(&mut handle, 0, 200, 501);
    lease(&mut handle, 0, 300).complete(Outcome::Timeout, Tick::from_millis(390));
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    for slot in [1, 2].map(Slot::new) {
        assert_eq!(view.latency(slot), Some(millis(3)));
        assert_eq!(view.response_time(slot), Some(millis(10)));
        assert_eq!(view.traffic(slot), 1_000, "as if it had moved what is usual");
    }
    assert_eq!(view.response_time(Slot::new(0)), Some(millis(20)), "10 and an eighth of 80 more");
}

#[test]
fn a_client_that_left_early_says_nothing_of_the_backend() {
    let cluster = wanting(Needs::latency().and(Needs::response_time()).and(Needs::traffic()));
    let mut handle = cluster.handle();
    lease(&mut handle, 0, 0).complete(Outcome::ClientGone, Tick::from_millis(1));
    drop(lease(&mut handle, 0, 0));
    serve(&mut handle, 1, 0, 200);
    lease(&mut handle, 0, 0).complete(Outcome::ClientGone, Tick::from_millis(3));
    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    assert_eq!((view.latency(Slot::new(0)), view.response_time(Slot::new(0))), (None, None));
}

#[test]
fn a_backend_that_hangs_until_clients_leave_is_known_to_be_slow() {
    let cluster = wanting(Needs::latency().and(Needs::peak_latency(Duration::from_secs(10))));
    let mut handle = cluster.handle();
    serve(&mut handle, 1, 0, 200);
    lease(&mut handle, 0, 0).complete(Outcome::ClientGone, Tick::from_millis(4_000));
    // Whoever left after the answer began saw it begin.
    let mut answered = lease(&mut handle, 1, 10);
    answered.first_byte(Tick::from_millis(13));
    answered.complete(Outcome::ClientGone, Tick::from_millis(4_000));
    let snapshot = cluster.snapshot();
    let (view, now) = (snapshot.view(), Tick::from_millis(4_000));
    assert_eq!(view.latency(Slot::new(0)), Some(millis(4_000)));
    assert_eq!(view.peak_latency(Slot::new(0), now), Some(millis(4_000)));
    assert_eq!(view.latency(Slot::new(1)), Some(millis(3)));
}

#[test]
fn the_mean_is_taken_once_a_second_by_whoever_drives() {
    let cluster = wanting(Needs::latency());
    let mut handle = cluster.handle();
    assert_eq!(cluster.drive(&|| Tick::ZERO), Some(Tick::from_millis(1_000)));
    for (backend, took) in [(0, 20), (1, 60)] {
        let mut lease = lease(&mut handle, backend, 0);
        lease.first_byte(Tick::from_millis(took));
    }
    let mean = || cluster.snapshot().view().mean_latency();
    assert_eq!(mean(), Some(millis(20)), "the first stands in");
    cluster.drive(&|| Tick::from_millis(999));
    assert_eq!(mean(), Some(millis(20)));
    assert_eq!(cluster.drive(&|| Tick::from_millis(1_000)), Some(Tick::from_millis(2_000)));
    // The harmonic mean: 2 ÷ (1/20 + 1/60).
    assert!(mean().unwrap().abs_diff(millis(30)) < Duration::from_micros(1));
    let idle = wanting(Needs::reports());
    assert_eq!(idle.drive(&|| Tick::ZERO), None, "nothing to take means of");
}
