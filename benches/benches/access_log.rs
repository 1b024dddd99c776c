//! What a line of the access log costs the worker that writes it, per format.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lb_proxy::{LogFormat, bench::Lines};

fn access_log(criterion: &mut Criterion) {
    let template = "$ts $client $method $path $status $duration $end";
    let formats = [
        ("common", LogFormat::Common),
        ("combined", LogFormat::Combined),
        ("lb", LogFormat::Lb),
        ("json", LogFormat::Json),
        ("template", LogFormat::Template(template.parse().expect("a template"))),
    ];
    let mut group = criterion.benchmark_group("access-log");
    for (name, format) in formats {
        let mut lines = Lines::new(&format);
        group.throughput(Throughput::Bytes(lines.write() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| lines.write()));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = access_log
}
criterion_main!(benches);
