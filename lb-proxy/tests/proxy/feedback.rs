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

#[test]
fn bytes_of_a_request_that_its_client_leaves_are_counted_once() {
    let whole: u64 = 8 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {whole}\r\n\r\n");
    let origin = Origin::new(move |peer| {
        while peer.request().is_some() {
            peer.send(&head);
            peer.send_meanwhile(vec![b'a'; 8 << 20]);
            peer.wait_for_end();
        }
    });
    let cluster = cluster(StrategyKind::ByTraffic, &origin);
    let known = cluster.clone();
    let proxied = proxy_with(&[], |service| service.clusters[0].cluster = known);
    let traffic = || cluster.snapshot().view().traffic(Slot::new(0));
    let mut client = proxied.client();
    client.send(GET);
    client.head();
    let read = client.read(100_000).len() as u64;
    assert_eq!(traffic(), 0, "it goes on");
    drop(client);
    eventually("it is over", || traffic() > 0);
    assert!((read..whole).contains(&traffic()), "{} of {whole}", traffic());
    let counted = traffic();
    eventually("nobody is there", || proxied.load() == (0, 0));
    assert_eq!(traffic(), counted);
}

#[test]
fn each_backend_of_a_retried_request_counts_its_own_bytes() {
    let answer = |status: &str| {
        Origin::answering(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 10000\r\n\r\n{}",
            "a".repeat(10_000)
        ))
    };
    let (bad, good) = (answer("503 Service Unavailable"), answer("200 OK"));
    let cluster = Cluster::builder("test")
        .boxed_strategy(StrategyKind::ByTraffic.build())
        .membership(membership(&[bad.address, good.address]))
        .build();
    let known = cluster.clone();
    let proxied = proxy_with(&[], |service| {
        service.clusters[0].cluster = known;
        service.clusters[0].retry.on.statuses = vec![503].into();
        service.clusters[0].retry.budget = 100;
    });
    let traffic = |slot: usize| cluster.snapshot().view().traffic(Slot::new(slot));
    let mut client = proxied.client();
    while bad.requests().is_empty() {
        assert_eq!(client.ask(GET).status(), 200, "another one had a better answer");
    }
    let requests = good.requests().len() as u64;
    eventually("they are counted", || traffic(1) > 10_000 * requests);
    assert!(traffic(1) < 11_000 * requests, "{} of {requests}", traffic(1));
    // What came of the first answer, and what is usual, as it failed.
    assert!((1..=22_000).contains(&traffic(0)), "{}", traffic(0));
}
