//! Connections that are used again, and what happens when they cannot be.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use lb_core::{Cause, Change, cluster::CauseKind};

use crate::support::{GET, OK, Origin, Peer, block_on, eventually, membership, proxy, proxy_with};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn one_connection_serves_many_requests_of_many_clients() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    for _ in 0..5 {
        let mut client = proxied.client();
        for _ in 0..5 {
            assert_eq!(client.ask(GET).text(), "ok");
        }
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(proxied.load(), (0, 0));
}

#[test]
fn a_backend_that_asks_to_close_is_not_used_again() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        peer.wait_for_end();
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    for _ in 0..3 {
        let answer = client.ask(GET);
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.header("connection"), None, "that was between backend and proxy");
    }
    assert_eq!(origin.connections(), 3);
}

/// Closes each connection when its second request has arrived, unanswered.
fn closes_on_reuse() -> Origin {
    Origin::new(|peer| {
        peer.request();
        peer.send(OK);
        peer.request();
    })
}

#[test]
fn a_get_on_a_stale_connection_is_replayed() {
    let origin = closes_on_reuse();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    for _ in 0..50 {
        assert_eq!(client.ask(GET).text(), "ok");
    }
    assert_eq!(origin.connections(), 50);
}

#[test]
fn a_post_that_was_sent_on_a_stale_connection_gets_an_honest_502() {
    let origin = closes_on_reuse();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    assert_eq!(client.ask(POST).text(), "ok");
    let answer = client.ask(POST);
    assert_eq!(answer.status(), 502);
    assert!(answer.text().contains("backend-reset"), "{answer:?}");
    assert_eq!(origin.requests().len(), 2, "it was not carried out again");
    assert_eq!(client.ask(POST).text(), "ok", "and the client's connection goes on");
}

#[test]
fn what_a_backend_has_received_goes_to_no_other_unless_resets_are_listed() {
    let leaving = Origin::new(|peer| {
        peer.request();
        peer.send(OK);
        peer.request();
        peer.stop_listening();
    });
    let proxied = proxy_with(&[leaving.address], |service| {
        service.clusters[0].retry.on.reset = false;
    });
    assert_eq!(proxied.get().text(), "ok");
    let other = Origin::ok();
    let both = Change::Membership(membership(&[leaving.address, other.address]));
    let cause = Cause::new(CauseKind::Person, "a test");
    let version = proxied.cluster.apply(both, cause).unwrap();
    block_on(proxied.cluster.effective(version));
    let mut asked = 0;
    eventually("the one that leaves is asked", || {
        asked += 1;
        proxied.ask("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").status() == 502
    });
    assert_eq!(leaving.requests().len(), 2);
    assert_eq!(other.requests().len(), asked - 1, "each went to one backend");
    assert_eq!(proxied.get().text(), "ok", "what nobody has received goes to the other");
}

#[test]
fn a_connection_that_ends_late_is_not_stale() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send(OK);
        peer.request();
        // Longer than it takes to find out that a connection was closed.
        std::thread::sleep(Duration::from_millis(1200));
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    assert_eq!(client.ask(GET).status(), 200);
    assert_eq!(client.ask(GET).status(), 502);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_was_closed_before_is_not_used() {
    let (closed, was_closed) = mpsc::channel();
    let closed = Mutex::new(closed);
    let origin = Origin::new(move |peer: &mut Peer| {
        peer.request();
        peer.send(OK);
        let _ = peer.stream.shutdown(std::net::Shutdown::Both);
        let _ = closed.lock().unwrap().send(());
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    for _ in 0..50 {
        // Not a GET: none of these may be repeated once a byte was sent.
        assert_eq!(client.ask(POST).text(), "ok");
        was_closed.recv().unwrap();
    }
    assert_eq!(origin.connections(), 50);
}

#[test]
fn a_backend_that_closes_idle_connections_at_random_loses_no_get() {
    let origin = Origin::new(|peer| {
        // A different number of requests per connection, always the same ones.
        for _ in 0..=(peer.number * 7) % 5 {
            if peer.request().is_none() {
                return;
            }
            peer.send(OK);
        }
    });
    let proxied = proxy(&[origin.address]);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = proxied.client();
                for _ in 0..500 {
                    if client.ask(GET).text() != "ok" {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(origin.connections() > 500);
}

#[test]
fn unexpected_bytes_on_an_idle_connection_are_never_an_answer() {
    let (said, was_said) = mpsc::channel();
    let said = Mutex::new(said);
    let origin = Origin::new(move |peer| {
        peer.request();
        peer.send(OK);
        peer.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        let _ = said.lock().unwrap().send(());
        peer.wait_for_end();
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    for _ in 0..10 {
        assert_eq!(client.ask(GET).status(), 200);
        was_said.recv().unwrap();
    }
}

#[test]
fn connections_to_a_backend_that_left_are_let_go() {
    let ended = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&ended);
    let leaving = Origin::new(move |peer| {
        peer.request();
        peer.send(OK);
        peer.wait_for_end();
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let staying = Origin::ok();
    let proxied = proxy(&[leaving.address]);
    assert_eq!(proxied.get().text(), "ok");
    let change = Change::Membership(membership(&[staying.address]));
    proxied.cluster.apply(change, Cause::new(CauseKind::Person, "a test")).unwrap();
    eventually("the idle connection is closed", || ended.load(Ordering::SeqCst) == 1);
    assert_eq!(proxied.get().text(), "ok");
    assert_eq!(staying.connections(), 1);
}

#[test]
fn a_connection_whose_backend_left_while_it_was_in_use_is_not_kept() {
    // Once where no connection was kept before, and once where one was.
    for warm in [false, true] {
        let (asked, was_asked) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let ends = Mutex::new((asked, may_go));
        let ended = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&ended);
        let leaving = Origin::new(move |peer| {
            while peer.request().is_some() {
                let ends = ends.lock().unwrap();
                ends.0.send(()).unwrap();
                let _ = ends.1.recv();
                peer.send(OK);
            }
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let staying = Origin::ok();
        let (proxied, mut client) = proxy(&[leaving.address]).into_client();
        if warm {
            go.send(()).unwrap();
            assert_eq!(client.ask(GET).text(), "ok");
            was_asked.recv().unwrap();
        }
        client.send(GET);
        was_asked.recv().unwrap();
        let change = Change::Membership(membership(&[staying.address]));
        let cause = Cause::new(CauseKind::Person, "a test");
        let version = proxied.cluster.apply(change, cause).unwrap();
        block_on(proxied.cluster.effective(version));
        go.send(()).unwrap();
        assert_eq!(client.answer(GET).text(), "ok");
        eventually("the connection is closed", || ended.load(Ordering::SeqCst) == 1);
    }
}

#[test]
fn an_idle_connection_is_not_kept_for_ever() {
    let ended = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&ended);
    let origin = Origin::new(move |peer| {
        peer.request();
        peer.send(OK);
        peer.wait_for_end();
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.clusters[0].timeouts.pool_idle = std::time::Duration::from_millis(100);
    });
    assert_eq!(proxied.get().text(), "ok");
    eventually("it is closed", || ended.load(Ordering::SeqCst) == 1);
}
