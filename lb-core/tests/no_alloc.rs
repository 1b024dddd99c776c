//! A pick allocates nothing: counted, not believed.
//!
//! A binary of its own, because it replaces the global allocator.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    num::NonZeroU32,
    time::Duration,
};

use lb_core::{
    AdminState, Backend, Binding, Cause, Change, Cluster, Health, LoadReport, Membership, Outcome,
    PickCx, Tick, Tried, UnixTime, Weight,
    cluster::{CauseKind, Overflow, Policy, Slot, Zone},
    health::Outlier,
    sample::{index, mix},
    sticky::{self, Format, Ring, Sticky},
    strategy::{Measure, ProbePool, Probed, Reason, StrategyKind, StrategyOptions, Tickets},
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "a global allocator can't be written without; it only counts")]
// SAFETY: every call is passed on to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

fn cluster(kind: StrategyKind, size: usize, ceiling: Option<NonZeroU32>) -> Cluster {
    let backends = (0..size).map(|index| {
        let backend = Backend::new(format!("10.0.{}.{}:80", index / 256, index % 256));
        let weight = Weight::new(1 + u32::try_from(index).unwrap() % 7).unwrap();
        let backend = backend.weighted(weight);
        match ceiling {
            Some(ceiling) => backend.with_max_in_flight(ceiling),
            None => backend,
        }
    });
    let membership = Membership::new(backends).unwrap();
    Cluster::builder("test").boxed_strategy(kind.build()).membership(membership).build()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(1))), 1);
}

#[test]
fn acquire_and_complete_allocate_nothing() {
    const PICKS: u64 = 10_000;
    for kind in StrategyKind::ALL {
        for size in [1, 4, 9, 100, 1000] {
            let cluster = cluster(*kind, size, None);
            let preferred = "10.0.0.0:80";
            let mut handle = cluster.handle();
            let mut held = Vec::with_capacity(64);
            let count = allocations(|| {
                for request in 0..PICKS {
                    let key = mix(request).to_be_bytes();
                    let cx = PickCx::new(Tick::ZERO, mix(request)).keyed(&key);
                    let bound = request.is_multiple_of(4);
                    let cx = if bound { cx.preferring(preferred) } else { cx };
                    let mut lease = handle.acquire(&cx).unwrap();
                    lease.first_byte(Tick::from_nanos(request));
                    lease.backend_done(Outcome::Status(200), Tick::ZERO);
                    if held.len() == held.capacity() {
                        held.clear();
                    }
                    held.push(lease);
                }
            });
            println!("{kind} of {size}: {count} allocations in {PICKS} picks");
            assert_eq!(count, 0, "{kind} of {size}");
        }
    }
}

#[test]
fn feedback_and_what_is_kept_per_worker_allocate_nothing() {
    let options = StrategyOptions {
        draws: Some(8),
        memory: true,
        tickets: Tickets::Blocks,
        measure: Measure::LastByte,
        ..StrategyOptions::default()
    };
    for kind in StrategyKind::ALL {
        for size in [1, 4, 100] {
            let backends = (0..size).map(|n| Backend::new(format!("b{n}")));
            let cluster = Cluster::builder("test")
                .boxed_strategy(kind.build_with(&options))
                .membership(Membership::new(backends).unwrap())
                .build();
            let mut handle = cluster.handle();
            let count = allocations(|| {
                for request in 0..2_000_u64 {
                    let at = |millis| Tick::from_millis(request * 10 + millis);
                    let worker = usize::try_from(request % 3).unwrap();
                    let key = mix(request).to_be_bytes();
                    let cx = PickCx::new(at(0), mix(request)).keyed(&key).on_worker(worker);
                    let mut lease = handle.acquire(&cx).unwrap();
                    lease.answers(if request % 5 == 0 { 503 } else { 200 }, at(3));
                    lease.reports(LoadReport::new(request), at(3));
                    lease.transferred(request);
                    lease.complete(Outcome::Status(200), at(9));
                }
            });
            assert_eq!(count, 0, "{kind} of {size}");
        }
    }
}

#[test]
fn retries_refusals_and_errors_allocate_nothing() {
    for kind in StrategyKind::ALL {
        for size in [2, 20] {
            let cluster = cluster(*kind, size, NonZeroU32::new(1));
            let mut handle = cluster.handle();
            let mut held = Vec::with_capacity(size);
            let count = allocations(|| {
                for request in 0..size as u64 {
                    let key = mix(request).to_be_bytes();
                    let cx = PickCx::new(Tick::ZERO, mix(request)).keyed(&key);
                    held.push(handle.acquire(&cx).unwrap());
                }
                assert!(handle.acquire(&PickCx::new(Tick::ZERO, 1)).is_err(), "all are full");
                held.clear();
                let mut tried = Tried::default();
                let lease = handle.acquire(&PickCx::new(Tick::ZERO, 2)).unwrap();
                tried.add(lease.incarnation());
                drop(lease);
                drop(handle.acquire(&PickCx::new(Tick::ZERO, 2).avoiding(&tried)).unwrap());
            });
            assert_eq!(count, 0, "{kind} of {size}");
        }
    }
}

/// Reports have their room from the start, so even a request that takes its backend
/// out allocates nothing. What comes of it is built by whoever drives.
#[test]
fn failures_their_reports_and_trials_allocate_nothing() {
    for kind in StrategyKind::ALL {
        for size in [2, 20] {
            let cluster = cluster(*kind, size, None);
            let snapshot = cluster.snapshot();
            let incarnation = snapshot.view().incarnation(Slot::new(0));
            let change = Change::Health { incarnation, health: Health::HalfOpen };
            cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
            cluster.drive(&|| Tick::from_millis(1_000));
            let mut handle = cluster.handle();
            let outcomes = [
                Outcome::Status(500),
                Outcome::Connect,
                Outcome::Timeout,
                Outcome::Reset,
                Outcome::ClientGone,
            ];
            let count = allocations(|| {
                for request in 0..1_000 {
                    let cx = PickCx::new(Tick::from_millis(1_000), mix(request));
                    let mut lease = handle.acquire(&cx).unwrap();
                    let other = handle.acquire(&cx).unwrap();
                    if request % 7 == 0 {
                        lease.first_byte(Tick::from_millis(1_001));
                    }
                    let outcome = outcomes[usize::try_from(request).unwrap() % 5];
                    lease.complete(outcome, Tick::from_millis(1_002));
                    drop(other);
                }
            });
            assert_eq!(count, 0, "{kind} of {size}");
            cluster.drive(&|| Tick::from_millis(2_000));
            let conditions = cluster.conditions();
            assert!(conditions.iter().any(|it| it.health == Health::Ejected), "they were told");
        }
    }
}

/// Counting for outliers, a row of errors and the trial after it included.
#[test]
fn looking_for_outliers_allocates_nothing_in_requests() {
    for kind in StrategyKind::ALL {
        let cluster = cluster(*kind, 20, None);
        let outlier = Some(Outlier { latency: Some(5_000), ..Outlier::default() });
        let policy = Change::Policy(Policy { outlier, ..Policy::default() });
        cluster.apply(policy, Cause::new(CauseKind::Person, "test")).unwrap();
        let incarnation = cluster.snapshot().view().incarnation(Slot::new(0));
        let change = Change::Health { incarnation, health: Health::HalfOpen };
        cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
        cluster.drive(&|| Tick::from_millis(1_000));
        let mut handle = cluster.handle();
        let now = Tick::from_millis(1_001);
        let count = allocations(|| {
            for request in 0..1_000 {
                let key = mix(request).to_be_bytes();
                let cx = PickCx::new(now, mix(request)).keyed(&key);
                let mut lease = handle.acquire(&cx).unwrap();
                let status = if request % 100 < 80 { 500 } else { 200 };
                lease.answers(status, now);
                lease.complete(Outcome::Status(status), now);
            }
        });
        assert_eq!(count, 0, "{kind}");
        cluster.drive(&|| Tick::from_millis(2_000));
        let conditions = cluster.conditions();
        assert!(conditions.iter().any(|it| it.health == Health::Ejected), "{kind}: they were told");
    }
}

#[test]
fn trying_a_better_tier_and_going_to_a_worse_one_allocate_nothing() {
    for kind in StrategyKind::ALL {
        let backends = (0..6).map(|n| Backend::new(format!("b{n}")).in_tier(n / 2));
        let cluster = Cluster::builder("test")
            .boxed_strategy(kind.build())
            .membership(Membership::new(backends).unwrap())
            .build();
        let snapshot = cluster.snapshot();
        let mut tried = Tried::default();
        for (name, health) in [("b0", Health::HalfOpen), ("b1", Health::Down)] {
            let incarnation = snapshot.view().incarnation(snapshot.find(name).unwrap());
            let change = Change::Health { incarnation, health };
            cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
        }
        for name in ["b0", "b2", "b3"] {
            tried.add(snapshot.view().incarnation(snapshot.find(name).unwrap()));
        }
        cluster.drive(&|| Tick::from_millis(1_000));
        let mut handle = cluster.handle();
        let count = allocations(|| {
            for request in 0..1_000 {
                let cx = PickCx::new(Tick::ZERO, mix(request)).keyed(b"key!");
                let trial = handle.acquire(&cx).unwrap();
                assert_eq!(trial.reason(), Reason::Trial);
                let worse = handle.acquire(&cx.avoiding(&tried)).unwrap();
                assert_eq!(worse.reason(), Reason::Standby);
            }
        });
        assert_eq!(count, 0, "{kind}");
    }
}

#[test]
fn picking_from_several_groups_allocates_nothing() {
    let zone = |n: u8| if n.is_multiple_of(2) { "here" } else { "there" };
    for kind in StrategyKind::ALL {
        let backends =
            (0..40_u8).map(|n| Backend::new(format!("b{n}")).in_tier(n / 20).in_zone(zone(n)));
        let cluster = Cluster::builder("test")
            .boxed_strategy(kind.build())
            .membership(Membership::new(backends).unwrap())
            .policy(Policy {
                overflow: Some(Overflow { factor: 1.0 }),
                zone: Some(Zone { own: "here".into() }),
                ..Policy::default()
            })
            .build();
        let snapshot = cluster.snapshot();
        let mut tried = Tried::default();
        for name in ["b0", "b1", "b2", "b20", "b21"] {
            let incarnation = snapshot.view().incarnation(snapshot.find(name).unwrap());
            let change = Change::Health { incarnation, health: Health::Down };
            cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
        }
        for name in ["b4", "b5", "b22", "b23"] {
            tried.add(snapshot.view().incarnation(snapshot.find(name).unwrap()));
        }
        cluster.drive(&|| Tick::from_millis(1_000));
        assert_eq!(cluster.snapshot().groups().count(), 4);
        let mut handle = cluster.handle();
        handle.refresh();
        let count = allocations(|| {
            for request in 0..2_000 {
                let key = mix(request).to_be_bytes();
                let cx = PickCx::new(Tick::ZERO, mix(request)).keyed(&key[..4]);
                drop(handle.acquire(&cx).unwrap());
                drop(handle.acquire(&cx.avoiding(&tried)).unwrap());
            }
        });
        assert_eq!(count, 0, "{kind}");
    }
}

#[test]
fn hashing_past_those_who_cant_allocates_nothing() {
    for kind in StrategyKind::ALL.iter().filter(|kind| kind.needs_key()) {
        let cluster = cluster(*kind, 50, None);
        for index in 1..50 {
            let backend = format!("10.0.0.{index}:80").as_str().into();
            let change = Change::Admin { backend, state: AdminState::Disabled };
            cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
        }
        cluster.drive(&|| Tick::from_millis(1_000));
        let mut handle = cluster.handle();
        let count = allocations(|| {
            for request in 0..1_000_u32 {
                let key = request.to_be_bytes();
                let cx = PickCx::new(Tick::ZERO, mix(request.into())).keyed(&key);
                assert_eq!(handle.acquire(&cx).unwrap().backend().name(), "10.0.0.0:80");
            }
        });
        assert_eq!(count, 0, "{kind}");
    }
}

#[test]
fn following_a_cookie_allocates_nothing() {
    let cluster = cluster(StrategyKind::LeastConn, 100, None);
    let ring = Ring::new([[1; 16], [2; 16]]).unwrap();
    cluster.apply(Change::Ring(Some(ring.clone())), Cause::new(CauseKind::Person, "test")).unwrap();
    cluster.drive(&|| Tick::from_millis(1_000));
    let mut handle = cluster.handle();
    let (now, mut budget) = (UnixTime::from_secs(1), handle.retry_budget(20));
    for format in [Format::Derived, Format::Sealed { ttl: None }, Format::Name] {
        let sticky = Sticky::new(format, ring.clone());
        let stranger = Sticky::new(format, Ring::derived_from("stranger"));
        let value = sticky.value("10.0.0.7:80", now);
        let field = format!("a=1; ROUTE={value}.x, b=2");
        let count = allocations(|| {
            for request in 0..1_000 {
                let entropy = mix(request);
                let binding = sticky.read(value.as_bytes(), now).unwrap();
                let cx = PickCx::new(Tick::ZERO, entropy).bound_to(binding);
                let lease = handle.acquire(&cx).unwrap();
                assert_eq!(lease.backend().name(), "10.0.0.7:80");
                assert_eq!(lease.reason(), Reason::Preferred);
                let foreign = stranger.read(value.as_bytes(), now);
                let cx = PickCx::new(Tick::ZERO, entropy);
                drop(handle.acquire(&cx.bound_to(foreign.unwrap_or(Binding::Key(b"x")))).unwrap());
                assert!(sticky::apache::route("/;x=1", [field.as_bytes()], "ROUTE|y").is_some());
                budget.first_attempt(Tick::from_millis(request));
                budget.try_retry(Tick::from_millis(request));
            }
        });
        assert_eq!(count, 0, "{format:?}");
    }
}

#[test]
fn probes_and_reports_allocate_nothing() {
    for size in [2, 16, 100] {
        for kind in [StrategyKind::Prequal, StrategyKind::ReportedLoad] {
            let cluster = cluster(kind, size, None);
            let mut handle = cluster.handle();
            let mut pool = ProbePool::new(3.0);
            let mut probed = 0;
            let count = allocations(|| {
                for request in 0..10_000 {
                    let now = Tick::from_millis(request);
                    for probe in 0..3 {
                        let entropy = mix(request * 3 + probe);
                        let slot = Slot::new(index(entropy, size));
                        let (snapshot, load) = (handle.snapshot(), LoadReport::new(entropy >> 44));
                        let latency = Duration::from_micros(entropy & 1023);
                        let found = Probed::new(snapshot.view(), slot, load, latency, now);
                        pool.add(found, size, entropy);
                        if entropy.is_multiple_of(50) {
                            pool.failed(found.incarnation);
                        }
                    }
                    let cx = PickCx::new(now, mix(request)).probed(&pool);
                    let mut lease = handle.acquire(&cx).unwrap();
                    probed += u64::from(lease.reason() == Reason::Probed);
                    pool.used(lease.incarnation(), now);
                    lease.reports(LoadReport::new(request), now);
                    lease.complete(Outcome::Status(200), now);
                }
            });
            assert_eq!(count, 0, "{kind} of {size}");
            assert_eq!(probed > 9_000, kind == StrategyKind::Prequal, "{kind} of {size}: {probed}");
        }
    }
}
