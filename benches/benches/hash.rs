//! What it costs to hash a key and look up whose it is, on an idle cluster of a hundred
//! backends, per strategy that goes by a key and length of the key.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_benches::{Keys, Subject, on_threads};
use lb_core::strategy::{HashType, KeyForm, StrategyKind, StrategyOptions};

/// An IPv4 address, an IPv6 address or a session, a path.
const LENGTHS: [usize; 3] = [4, 16, 64];

fn hash(criterion: &mut Criterion) {
    let usual = StrategyOptions::default();
    let ring = StrategyOptions { hash_type: HashType::Consistent, ..usual };
    let address = StrategyOptions { key_form: KeyForm::Address, ..ring };
    let by_key = StrategyKind::ALL.iter().filter(|kind| kind.needs_key());
    let mut contenders: Vec<(String, StrategyKind, StrategyOptions)> =
        by_key.map(|kind| (kind.to_string(), *kind, usual)).collect();
    contenders.push(("haproxy-hash consistent".to_owned(), StrategyKind::HaproxyHash, ring));
    contenders.push(("haproxy-hash source".to_owned(), StrategyKind::HaproxyHash, address));
    for (name, kind, options) in contenders {
        let mut group = criterion.benchmark_group(format!("hash/{name}"));
        let subject = Subject::tapping(kind.build_with(&options), 100);
        for length in LENGTHS {
            let id = BenchmarkId::new("bytes", length);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| {
                    on_threads(1, iterations, |_| subject.picks_by(Keys::of_length(length)))
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = hash
}
criterion_main!(benches);
