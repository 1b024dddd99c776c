//! A bare pick on a cluster where every backend has one to three requests, per
//! strategy, size and number of threads.
//!
//! `least-conn` therefore finds nobody idle here and does its whole fallback; its
//! usual way, claiming an idle backend, only means something together with the
//! return of the claim, and is measured by `lease`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_benches::{SIZES, Subject, on_threads};
use lb_core::strategy::StrategyKind;

fn pick(criterion: &mut Criterion) {
    for strategy in StrategyKind::ALL {
        let mut group = criterion.benchmark_group(format!("pick/{strategy}"));
        for size in SIZES {
            let subject = Subject::tapped(*strategy, size);
            let _leases = subject.under_load();
            for threads in [1, 2] {
                let id = BenchmarkId::new(format!("{threads} threads"), size);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|iterations| {
                        on_threads(threads, iterations, |thread| subject.picks(thread))
                    });
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = pick
}
criterion_main!(benches);
