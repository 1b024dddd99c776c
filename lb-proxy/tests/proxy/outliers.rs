//! Backends that answer, and worse than the others.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lb_core::{
    Cause, Change, Cluster, Health,
    cluster::{CauseKind, Passive, Policy},
    health::Outlier,
};

use crate::support::{GET, Origin, Proxied, block_on, eventually, proxy};

/// A backend that answers 500 for as long as it is told to.
fn failing(fails: &Arc<AtomicBool>) -> Origin {
    let fails = Arc::clone(fails);
    Origin::new(move |peer| {
        while peer.request().is_some() {
            let status = if fails.load(Ordering::SeqCst) { 500 } else { 200 };
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        }
    })
}

/// A proxy that looks for outliers, and what its cluster tells.
fn proxied(origins: &[&Origin], outlier: Outlier) -> (Proxied, Arc<Mutex<Vec<String>>>) {
    proxied_by(origins, Policy { outlier: Some(outlier), ..Policy::default() })
}

fn proxied_by(origins: &[&Origin], policy: Policy) -> (Proxied, Arc<Mutex<Vec<String>>>) {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let proxied = proxy(&addresses);
    let told = Arc::<Mutex<Vec<String>>>::default();
    let listener = Arc::clone(&told);
    proxied.cluster.on_transition(Arc::new(move |transition| {
        let (to, reason) = (transition.to, &transition.reason);
        listener.lock().unwrap().push(format!("{to}: {reason}"));
    }));
    let cause = Cause::new(CauseKind::File, "test");
    let version = proxied.cluster.apply(Change::Policy(policy), cause).unwrap();
    block_on(proxied.cluster.effective(version));
    (proxied, told)
}

fn short() -> Outlier {
    Outlier { eject: Duration::from_millis(100), ..Outlier::default() }
}

fn out(cluster: &Cluster) -> usize {
    let is_out = |health| matches!(health, Health::Ejected | Health::HalfOpen);
    cluster.conditions().iter().filter(|condition| is_out(condition.health)).count()
}

#[test]
fn a_backend_that_answers_500_is_ejected_after_five_and_comes_back_when_it_does_not() {
    let fails = Arc::new(AtomicBool::new(true));
    let (bad, good) = (failing(&fails), Origin::ok());
    let (proxied, told) = proxied(&[&bad, &good], short());
    let mut client = proxied.client();
    let answers: Vec<u16> = (0..10).map(|_| client.ask(GET).status()).collect();
    assert_eq!(answers.iter().filter(|status| **status == 500).count(), 5, "each turn was its own");
    eventually("it was told", || !told.lock().unwrap().is_empty());
    let words = "ejected: 5 requests in a row failed, the last: status 500";
    assert_eq!(told.lock().unwrap()[0], words);
    // While it fails, only trials get to it: that many at most.
    eventually("a trial has failed", || {
        client.ask(GET);
        let words = "ejected: the one request that tried it failed: status 500";
        told.lock().unwrap().iter().any(|told| told == words)
    });
    fails.store(false, Ordering::SeqCst);
    eventually("it is back", || {
        client.ask(GET);
        told.lock().unwrap().iter().any(|told| told == "up: a request succeeded")
    });
    assert!((0..10).all(|_| client.ask(GET).status() == 200));
}

#[test]
fn no_more_than_half_are_ejected_although_all_fail() {
    let fails = Arc::new(AtomicBool::new(true));
    let origins: Vec<Origin> = (0..4).map(|_| failing(&fails)).collect();
    let origins: Vec<&Origin> = origins.iter().collect();
    let (proxied, told) = proxied(&origins, Outlier::default());
    let mut client = proxied.client();
    eventually("two are out", || {
        client.ask(GET);
        out(&proxied.cluster) == 2
    });
    for _ in 0..100 {
        assert_eq!(client.ask(GET).status(), 500, "an answer of the backend's");
        assert_eq!(out(&proxied.cluster), 2);
    }
    assert_eq!(told.lock().unwrap().len(), 2);
}

#[test]
fn the_one_of_five_that_fails_a_third_of_its_requests_is_ejected_by_comparison() {
    let count = Arc::new(Mutex::new(0_u32));
    let bad = Origin::new(move |peer| {
        while peer.request().is_some() {
            let mut count = count.lock().unwrap();
            *count += 1;
            let status = if count.is_multiple_of(3) { 503 } else { 200 };
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let good: Vec<Origin> = (0..4).map(|_| Origin::ok()).collect();
    let mut origins: Vec<&Origin> = good.iter().collect();
    origins.push(&bad);
    // A third of at least fifty is far from chance, and between 66 % and 68 % are good.
    let outlier =
        Outlier { interval: Duration::from_millis(300), request_volume: 50, ..Outlier::default() };
    let (proxied, told) = proxied(&origins, outlier);
    let mut client = proxied.client();
    eventually("somebody is ejected", || {
        (0..50).for_each(|_| drop(client.ask(GET)));
        !told.lock().unwrap().is_empty()
    });
    let words = told.lock().unwrap()[0].clone();
    assert!(words.starts_with("ejected: success rate 6"), "{words}");
    assert!(words.ends_with("5 backends)"), "{words}");
    let bad = bad.address.to_string();
    let ejected = proxied.cluster.conditions();
    let ejected: Vec<_> = ejected.iter().filter(|it| it.health == Health::Ejected).collect();
    assert_eq!(ejected.iter().map(|it| &*it.backend).collect::<Vec<_>>(), [&*bad]);
}

#[test]
fn an_ejected_backend_does_not_come_back_by_an_answer_that_is_none() {
    let nonsense = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let (bad, good) = (Origin::answering(nonsense), Origin::ok());
    let passive = Passive::Consecutive { failures: 1, eject: Duration::from_millis(20) };
    let (proxied, told) = proxied_by(&[&bad, &good], Policy { passive, ..Policy::default() });
    eventually("it was tried again", || {
        proxied.get();
        told.lock().unwrap().iter().filter(|told| told.starts_with("ejected")).count() > 2
    });
    let told = told.lock().unwrap();
    assert!(told.iter().all(|told| !told.starts_with("up")), "{told:?}");
}
