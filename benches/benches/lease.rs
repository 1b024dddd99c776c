//! A whole lease (picked, counted in, counted out) on an otherwise idle cluster,
//! per strategy, size and number of threads.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_benches::{SIZES, Subject, on_threads};
use lb_core::strategy::StrategyKind;

fn lease(criterion: &mut Criterion) {
    for strategy in StrategyKind::ALL {
        let mut group = criterion.benchmark_group(format!("lease/{strategy}"));
        for size in SIZES {
            let subject = Subject::new(*strategy, size);
            for threads in [1, 2] {
                let id = BenchmarkId::new(format!("{threads} threads"), size);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|iterations| {
                        on_threads(threads, iterations, |thread| subject.leases(thread))
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
    targets = lease
}
criterion_main!(benches);
