//! From a changed membership to the published snapshot, per strategy, size and
//! spread of the weights. In each iteration the last backend is another one.

use std::cell::Cell;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_benches::{SIZES, Weights, address, membership};
use lb_core::{
    Backend, Cause, Change, Cluster, Membership, Tick, cluster::CauseKind, strategy::StrategyKind,
};

fn build(criterion: &mut Criterion) {
    for strategy in StrategyKind::ALL {
        let mut group = criterion.benchmark_group(format!("build/{strategy}"));
        for weights in [Weights::Equal, Weights::Distinct] {
            for size in SIZES {
                let id = BenchmarkId::new(format!("{weights:?} weights"), size);
                let rebuilding = Rebuilding::new(*strategy, size, weights);
                group.bench_function(id, |bencher| {
                    let prepare = || rebuilding.prepare();
                    bencher.iter_batched(
                        prepare,
                        |next| rebuilding.run(next),
                        BatchSize::PerIteration,
                    );
                });
            }
        }
    }
}

/// A cluster and the two memberships it changes between.
struct Rebuilding {
    cluster: Cluster,
    memberships: [Membership; 2],
    turn: Cell<usize>,
    now: Cell<Tick>,
}

impl Rebuilding {
    fn new(strategy: StrategyKind, size: usize, weights: Weights) -> Self {
        let one = membership(size, weights);
        let mut backends: Vec<Backend> = one.iter().map(|backend| (**backend).clone()).collect();
        let last = backends.pop().expect("there is a last one");
        backends.push(Backend::new(address(size)).weighted(last.weight()));
        let other = Membership::new(backends).expect("the addresses are distinct");
        let cluster = Cluster::builder("bench")
            .boxed_strategy(strategy.build())
            .membership(one.clone())
            .build();
        let memberships = [other, one];
        Self { cluster, memberships, turn: Cell::new(0), now: Cell::new(Tick::ZERO) }
    }

    fn prepare(&self) -> (Membership, Cause) {
        let turn = self.turn.replace(1 - self.turn.get());
        // A minute later the next build is allowed.
        self.now.set(self.now.get() + std::time::Duration::from_secs(60));
        (self.memberships[turn].clone(), Cause::new(CauseKind::Source, "bench"))
    }

    fn run(&self, (membership, cause): (Membership, Cause)) {
        let before = self.cluster.snapshot().version();
        self.cluster.apply(Change::Membership(membership), cause).expect("any set will do");
        self.cluster.drive(&|| self.now.get());
        assert!(self.cluster.snapshot().version() > before, "nothing was built");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = build
}
criterion_main!(benches);
