//! Backends that fail, and clients that leave.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use lb_core::{Backend, Cluster, Health, Membership};
use lb_proxy::ClusterSettings;
use socket2::{Domain, Socket, Type};

use crate::support::{GET, Origin, eventually, proxy, proxy_with};

#[test]
fn a_backend_that_refuses_costs_no_request() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[Origin::refusing(), origin.address], |service| {
        service.clusters[0].retry.budget = 100;
    });
    let mut client = proxied.client();
    for _ in 0..50 {
        assert_eq!(
            client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").text(),
            "ok"
        );
    }
    assert_eq!(origin.requests().len(), 50);
}

#[test]
fn when_all_refuse_the_answer_is_502() {
    let proxied = proxy(&[Origin::refusing(), Origin::refusing(), Origin::refusing()]);
    let answer = proxied.get();
    assert_eq!(answer.status(), 502);
    assert!(answer.text().contains("backend-refused"), "{answer:?}");
    assert_eq!(proxied.load(), (0, 0));
}

#[test]
fn a_name_that_stands_for_nothing_has_its_own_word() {
    let names = ["does-not-exist.invalid:80", "nor-does-this.invalid:80"];
    let cluster = Cluster::builder("test")
        .membership(Membership::new(names.map(Backend::new)).unwrap())
        .build();
    let proxied = proxy_with(&[], |service| {
        service.clusters[0] = ClusterSettings::new(cluster);
        service.clusters[0].timeouts.connect = Duration::from_secs(20);
    });
    for _ in 0..20 {
        let answer = proxied.get();
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains("backend-unresolved"), "{answer:?}");
    }
}

#[test]
fn an_ejection_says_why_there_was_no_connection() {
    let refusing = Origin::refusing().to_string();
    let addresses = [
        (&*refusing, "connect: refused"),
        ("does-not-exist.invalid:80", "connect: name not resolved"),
    ];
    for (address, expected) in addresses {
        let cluster = Cluster::builder("test")
            .membership(Membership::new([Backend::new(address)]).unwrap())
            .build();
        let known = cluster.clone();
        let proxied = proxy_with(&[], |service| {
            service.clusters[0] = ClusterSettings::new(cluster);
            service.clusters[0].timeouts.connect = Duration::from_secs(20);
        });
        for _ in 0..3 {
            assert_eq!(proxied.get().status(), 502);
        }
        let condition = || known.conditions().remove(0);
        eventually("it is ejected", || condition().health == Health::Ejected);
        let reason = condition().reason.to_string();
        assert!(reason.ends_with(&format!(": {expected}")), "{reason}");
    }
}

#[test]
fn without_backends_the_answer_is_503() {
    let answer = proxy(&[]).get();
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("no-backend"), "{answer:?}");
}

/// A listening socket that takes no more connections: they hang.
fn full() -> (Socket, Vec<Socket>, std::net::SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fillers = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        socket
    });
    (listener, fillers.collect(), address.as_socket().unwrap())
}

#[test]
fn a_backend_that_does_not_accept_in_time_is_passed_over() {
    let (_listener, _fillers, hangs) = full();
    let origin = Origin::ok();
    let connect = |service: &mut lb_proxy::Service| {
        service.clusters[0].timeouts.connect = Duration::from_millis(100);
    };
    let proxied = proxy_with(&[hangs, origin.address], connect);
    for _ in 0..2 {
        assert_eq!(proxied.get().text(), "ok");
    }
    let answer = proxy_with(&[hangs], connect).get();
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("backend-connect-timeout"), "{answer:?}");
}

#[test]
fn a_backend_that_hangs_up_before_answering_is_502_and_asked_once() {
    let origin = Origin::new(|peer| {
        peer.request();
    });
    let answer = proxy(&[origin.address]).get();
    assert_eq!(answer.status(), 502);
    assert!(answer.text().contains("backend-reset"), "{answer:?}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_is_not_an_answer_is_502() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
         0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let answer = proxy(&[Origin::answering(nonsense).address]).get();
        assert_eq!(answer.status(), 502, "{nonsense:?}");
        assert!(answer.text().contains("backend-malformed"), "{nonsense:?} {answer:?}");
    }
}

#[test]
fn half_a_head_is_502_and_not_repeated() {
    let origin = Origin::new(|peer| {
        peer.request();
        if peer.number == 0 {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            peer.request();
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-");
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    assert_eq!(client.ask(GET).status(), 200);
    assert_eq!(client.ask(GET).status(), 502);
    assert_eq!(origin.connections(), 1, "a byte of an answer is an answer");
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_break_off() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nabcde",
    ] {
        let origin = Origin::new(move |peer| {
            peer.request();
            peer.send(answer);
        });
        let proxied = proxy(&[origin.address]);
        let seen = proxied.get();
        assert_eq!(seen.status(), 200);
        assert!(seen.truncated, "{answer:?}: {seen:?}");
        assert_eq!(seen.text(), "abcde", "what came is passed on");
        eventually("the lease ends", || proxied.load() == (0, 0));
    }
}

#[test]
fn an_old_client_sees_a_reset_where_an_end_would_look_complete() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
    });
    let proxied = proxy(&[origin.address]);
    let mut client = proxied.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_backend_that_resets_in_the_middle_is_a_truncated_answer() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\nuntil the end, which");
        // Not before the first part was read, or the reset would swallow it.
        std::thread::park_timeout(Duration::from_millis(50));
        peer.reset();
    });
    let seen = proxy(&[origin.address]).get();
    assert_eq!(seen.status(), 200);
    assert!(seen.truncated, "{seen:?}");
}

#[test]
fn a_client_that_leaves_while_waiting_releases_the_backend() {
    let (arrived, has_arrived) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let ended = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&ended);
    let origin = Origin::new(move |peer| {
        peer.request();
        arrived.lock().unwrap().send(()).unwrap();
        peer.wait_for_end();
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(GET);
    has_arrived.recv().unwrap();
    assert_eq!(proxied.load(), (1, 1));
    client.end();
    eventually("the lease ends", || proxied.load() == (0, 0));
    eventually("the connection ends", || ended.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_releases_the_backend() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc");
        peer.wait_for_end();
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(GET);
    client.head();
    client.read(3);
    assert_eq!(proxied.load(), (1, 1));
    client.end();
    eventually("the lease ends", || proxied.load() == (0, 0));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_not_the_backends_fault() {
    let (arrived, has_arrived) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let origin = Origin::new(move |peer| {
        peer.head();
        arrived.lock().unwrap().send(()).unwrap();
        peer.wait_for_end();
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    has_arrived.recv().unwrap();
    client.end();
    eventually("the lease ends", || proxied.load() == (0, 0));
    let snapshot = proxied.cluster.snapshot();
    let view = snapshot.view();
    assert!(view.slots().all(|slot| view.failures(slot).is_none()));
}
