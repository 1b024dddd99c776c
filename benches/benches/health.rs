//! What health costs: a failure on its way to a verdict, looking for outliers among
//! many backends, and the counts for that in each lease.

use std::{cell::Cell, hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_benches::{Entropy, Weights, membership, on_threads};
use lb_core::{
    Cluster, ClusterHandle, Outcome, PickCx, Tick,
    cluster::{Passive, Policy},
    health::Outlier,
    strategy::StrategyKind,
};

/// How many backends outliers are looked for among.
const MANY: usize = 1_000;

fn cluster(size: usize, policy: Policy) -> Cluster {
    Cluster::builder("bench")
        .boxed_strategy(StrategyKind::Random.build())
        .membership(membership(size, Weights::Equal))
        .policy(policy)
        .build()
}

/// All that there is to find, so that everything is counted and compared.
fn every_method() -> Outlier {
    Outlier { failure_percentage: Some(85), latency: Some(5_000), ..Outlier::default() }
}

/// A report, and the machine that it is fed to; no verdict comes of it.
fn failure(criterion: &mut Criterion) {
    let passive = Passive::Windowed { max_fails: 1_000_000, fail_timeout: Duration::from_nanos(1) };
    for (name, outlier) in [("without outliers", None), ("with outliers", Some(every_method()))] {
        let cluster = cluster(4, Policy { passive, outlier, ..Policy::default() });
        let now = Cell::new(Tick::from_millis(1_000));
        cluster.drive(&|| now.get());
        let mut handle = cluster.handle();
        criterion.bench_function(&format!("health/failure {name}"), |bencher| {
            let fail = || {
                now.set(now.get() + Duration::from_micros(1));
                fail_once(&mut handle, now.get());
            };
            bencher.iter_batched(fail, |()| cluster.drive(&|| now.get()), BatchSize::PerIteration);
        });
    }
}

fn fail_once(handle: &mut ClusterHandle, now: Tick) {
    if let Ok(lease) = handle.acquire(&PickCx::new(now, 0)) {
        lease.complete(Outcome::Connect, now);
    }
}

/// The end of an interval, in which each backend had enough requests and nobody stood
/// out.
fn outliers(criterion: &mut Criterion) {
    let outlier = Outlier { request_volume: 1, ..every_method() };
    let cluster = cluster(MANY, Policy { outlier: Some(outlier), ..Policy::default() });
    let now = Cell::new(Tick::from_millis(1_000));
    cluster.drive(&|| now.get());
    let mut handle = cluster.handle();
    let names: Vec<String> = {
        let snapshot = cluster.snapshot();
        let view = snapshot.view();
        view.slots().map(|slot| view.backend(slot).name().to_owned()).collect()
    };
    criterion.bench_function(&format!("health/outliers among {MANY}"), |bencher| {
        let interval = || {
            for name in &names {
                let cx = PickCx::new(now.get(), 0).preferring(name);
                if let Ok(mut lease) = handle.acquire(&cx) {
                    lease.answers(200, now.get() + Duration::from_millis(20));
                    lease.complete(Outcome::Status(200), now.get());
                }
            }
            now.set(now.get() + outlier.interval);
        };
        bencher.iter_batched(interval, |()| cluster.drive(&|| now.get()), BatchSize::PerIteration);
    });
}

/// A lease as a proxy has it, first byte included.
fn lease(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("health/lease");
    for (name, outlier) in [
        ("without outliers", None),
        ("errors in a row", Some(Outlier { success_rate: None, ..Outlier::default() })),
        ("success rate", Some(Outlier::default())),
        ("all methods", Some(every_method())),
    ] {
        let cluster = cluster(100, Policy { outlier, ..Policy::default() });
        cluster.drive(&|| Tick::from_millis(1_000));
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new(name, format!("{threads} threads")), |bencher| {
                bencher.iter_custom(|iterations| {
                    on_threads(threads, iterations, |thread| leases(&cluster, thread))
                });
            });
        }
    }
}

fn leases(cluster: &Cluster, thread: usize) -> impl FnMut(u64) -> u64 + Send + use<> {
    let mut handle = cluster.handle();
    let entropy = Entropy::new(thread as u64);
    move |iterations| {
        let mut without = 0;
        for pick in 0..iterations {
            let cx = PickCx::new(Entropy::NOW, entropy.of(pick));
            match handle.acquire(black_box(&cx)) {
                Ok(mut lease) => {
                    lease.answers(200, Entropy::NOW);
                    lease.complete(Outcome::Status(200), Entropy::NOW);
                }
                Err(_) => without += 1,
            }
        }
        without
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = failure, outliers, lease
}
criterion_main!(benches);
