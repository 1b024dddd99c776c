//! What strategies hear of requests.

use std::time::{Duration, Instant};

use lb_core::{Cluster, Tick, cluster::Slot, strategy::StrategyKind};

use crate::support::{GET, Origin, eventually, membership, proxy_with};

fn cluster(kind: StrategyKind, origin: &Origin) -> Cluster {
    let builder = Cluster::builder("test").boxed_strategy(kind.build());
    builder.membership(membership(&[origin.address])).build()
}

#[test]
fn all_bytes_to_and_from_a_backend_are_counted() {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}", "a".repeat(20_000));
    let origin = Origin::answering(answer);
    let cluster = cluster(StrategyKind::ByTraffic, &origin);
    let known = cluster.clone();
    let proxied = proxy_with(&[], |service| service.clusters[0].cluster = known);
    let traffic = || cluster.snapshot().view().traffic(Slot::new(0));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
    let request = format!("{head}{}", "b".repeat(5_000));
    let mut client = proxied.client();
    for requests in 1..=3 {
        client.send(&request);
        assert_eq!(client.answer(&request).text().len(), 20_000);
        // Heads are a few hundred bytes.
        let expected = requests * 25_000..requests * 26_000;
        eventually("they are counted", || expected.contains(&traffic()));
    }
}

#[test]
fn times_are_measured_where_a_strategy_goes_by_them() {
    let origin = Origin::ok();
    for kind in [StrategyKind::LeastTime, StrategyKind::PeakEwma] {
        let cluster = cluster(kind, &origin);
        let known = cluster.clone();
        let proxied = proxy_with(&[], |service| service.clusters[0].cluster = known);
        let start = Instant::now();
        assert_eq!(proxied.ask(GET).text(), "ok");
        let snapshot = cluster.snapshot();
        let (view, slot) = (snapshot.view(), Slot::new(0));
        let times = [view.latency(slot), view.peak_latency(slot, Tick::ZERO)];
        let measured: Vec<Duration> = times.into_iter().flatten().collect();
        assert!(measured.len() == 1 && measured[0] < start.elapsed(), "{measured:?}");
    }
}
