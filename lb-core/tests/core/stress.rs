//! Requests on several threads while everything changes under them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use lb_core::{
    AdminState, Cause, Change, Cluster, Outcome, PickCx, Tick, Tried,
    cluster::CauseKind,
    sample::{index, mix},
    strategy::StrategyKind,
};

use crate::support::{acquire, cluster, equal, settle};

const SEED: u64 = 20;

fn requests(cluster: &Cluster, worker: u64, stop: &AtomicBool) -> u64 {
    let mut handle = cluster.handle();
    let mut held = Vec::new();
    let mut served = 0;
    for request in 0.. {
        let entropy = mix(SEED ^ worker << 48 ^ request);
        match acquire(&mut handle, entropy, &Tried::default()) {
            Ok(mut lease) if entropy.is_multiple_of(3) => {
                lease.backend_done(Outcome::Status(200), Tick::ZERO);
                held.push(lease);
            }
            Ok(lease) => held.push(lease),
            Err(error) => panic!("b0 is always there: {error}"),
        }
        served += 1;
        if held.len() > 20 {
            let lease = held.swap_remove(index(entropy, held.len()));
            lease.complete(Outcome::Status(200), Tick::ZERO);
        }
        if request.is_multiple_of(1024) && stop.load(Ordering::Relaxed) {
            break;
        }
    }
    served
}

fn change(step: u64) -> Change {
    let entropy = mix(SEED ^ step);
    let backend = format!("b{}", 1 + index(entropy, 4)).as_str().into();
    match step % 5 {
        0 => Change::Membership(equal(5 + index(entropy, 90))),
        1 => Change::Admin { backend, state: AdminState::Disabled },
        2 => Change::Admin { backend, state: AdminState::Draining { until: None } },
        3 => Change::Admin { backend, state: AdminState::Enabled },
        _ => Change::Strategy(StrategyKind::ALL[index(entropy, StrategyKind::ALL.len())].build()),
    }
}

#[test]
fn nothing_is_miscounted_while_everything_changes() {
    println!("seed {SEED}");
    let cluster = cluster(StrategyKind::LeastConn, equal(40));
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3)
        .map(|worker| {
            let (cluster, stop) = (cluster.clone(), Arc::clone(&stop));
            thread::spawn(move || requests(&cluster, worker, &stop))
        })
        .collect();
    for step in 0..400 {
        cluster.apply(change(step), Cause::new(CauseKind::Person, "stress")).unwrap();
        settle(&cluster);
        thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    let served: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert!(served >= 3 * 1024, "{served}");

    let snapshot = cluster.snapshot();
    let view = snapshot.view();
    for slot in view.slots() {
        assert_eq!((view.in_flight(slot), view.held(slot)), (0, 0));
    }
    // And nobody is thought busy: twelve backends take twelve requests, one each.
    for backend in ["b1", "b2", "b3", "b4"] {
        let state = AdminState::Enabled;
        let change = Change::Admin { backend: backend.into(), state };
        cluster.apply(change, Cause::new(CauseKind::Person, "calm")).unwrap();
    }
    for change in [Change::Strategy(StrategyKind::LeastConn.build()), Change::Membership(equal(12))]
    {
        cluster.apply(change, Cause::new(CauseKind::Person, "calm")).unwrap();
    }
    settle(&cluster);
    let mut handle = cluster.handle();
    let leases: Vec<_> =
        (0..12).map(|n| handle.acquire(&PickCx::new(Tick::ZERO, mix(n))).unwrap()).collect();
    let view = handle.snapshot().view();
    assert_eq!(leases.len(), 12);
    assert!(view.slots().all(|slot| view.in_flight(slot) == 1));
}
