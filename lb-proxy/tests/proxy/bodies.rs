//! Bodies, in both directions.

use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use crate::support::{GET, Origin, PATIENCE, eventually, noise, proxy, proxy_with};

const LARGE: usize = 32 << 20;

#[test]
fn a_large_answer_arrives_whole() {
    let body = Arc::new(noise(LARGE));
    let sent = Arc::clone(&body);
    let origin = Origin::new(move |peer| {
        while peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()));
            peer.send(&*sent);
        }
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    for _ in 0..2 {
        assert!(client.ask(GET).body == *body);
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(proxied.load(), (0, 0));
}

#[test]
fn a_large_request_arrives_whole() {
    let body = noise(LARGE);
    let origin = Origin::ok();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"));
    client.send(&body);
    assert_eq!(client.answer("PUT").text(), "ok");
    assert!(origin.last().body == body);
    assert_eq!(client.ask(GET).text(), "ok", "both connections go on");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn chunks_and_trailers_are_passed_on_both_ways() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\
                   Transfer-Encoding: chunked\r\nTrailer: X-Len\r\n\r\n\
                   2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Len: 5\r\n\r\n";
    for _ in 0..2 {
        let answer = client.ask(request);
        assert_eq!(answer.text(), "abcdefg");
        assert_eq!(answer.trailers, [("x-sum".into(), "7".into())]);
        let seen = origin.last();
        assert_eq!(seen.text(), "hello");
        assert_eq!(seen.trailers, [("x-len".into(), "5".into())]);
        assert_eq!(seen.header("te"), Some("trailers"));
    }
    assert_eq!(origin.connections(), 1);
    // Who did not ask for trailers gets none.
    let answer = client.ask(GET);
    assert_eq!((answer.text(), answer.trailers.len()), ("abcdefg", 0));
}

#[test]
fn what_may_not_be_in_a_head_is_not_in_trailers_either() {
    let trailers = "X-Sum: 7\r\nX-Forwarded-For: 1\r\nConnection: close\r\nVia: x\r\n\
                    Set-Cookie: a=b\r\nCookie: a=b\r\nHost: b\r\nContent-Length: 9\r\n\r\n";
    let chunks = format!("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{trailers}");
    let names = "Trailer: X-Sum, X-Forwarded-For, Connection, Via, Set-Cookie, Cookie, Host\r\n";
    let origin = Origin::answering(format!("HTTP/1.1 200 OK\r\n{names}{chunks}"));
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n{names}{chunks}");
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    for _ in 0..2 {
        assert_eq!(client.ask(&request).trailers, [("x-sum".into(), "7".into())]);
        assert_eq!(origin.last().trailers, [("x-sum".into(), "7".into())]);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_get_may_have_a_body_of_either_form() {
    let origin = Origin::ok();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    client.ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(origin.last().text(), "abc");
    client
        .ask("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n");
    assert_eq!(origin.last().text(), "xy");
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let origin = Origin::ok();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    client.send("hello");
    assert_eq!(client.answer("POST").text(), "ok");
    assert_eq!(origin.last().text(), "hello");
    assert_eq!(origin.last().header("expect"), None);
}

#[test]
fn a_client_that_waits_is_not_told_to_continue_when_there_is_nobody() {
    let (_proxied, mut client) = proxy(&[]).into_client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = client.answer("POST");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn a_client_that_does_not_read_stops_the_backend() {
    let sent = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&sent);
    let total = 256 << 20;
    let origin = Origin::new(move |peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"));
        let part = vec![b'x'; 1 << 16];
        for _ in 0..total / part.len() {
            if peer.stream.write_all(&part).is_err() {
                return;
            }
            counted.fetch_add(part.len(), Ordering::SeqCst);
        }
        peer.wait_for_end();
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(GET);
    client.head();
    let mut before = usize::MAX;
    eventually("the backend comes to a halt", || {
        let now = sent.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        std::mem::replace(&mut before, now) == now && now > 0
    });
    // The kernel's buffers on four ends, and ours.
    assert!(before < 32 << 20, "{before} bytes are on their way");
    assert_eq!(proxied.load(), (1, 1));
    for _ in 0..total >> 20 {
        client.read(1 << 20);
    }
    eventually("the lease ends", || proxied.load() == (0, 0));
}

#[test]
fn a_backend_that_does_not_read_stops_the_client() {
    let (done, is_done) = mpsc::channel();
    let is_done = Mutex::new(is_done);
    let origin = Origin::new(move |peer| {
        peer.head();
        let _ = is_done.lock().unwrap().recv_timeout(PATIENCE);
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n");
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let part = vec![b'x'; 1 << 16];
    let mut taken = 0;
    while client.stream.write_all(&part).is_ok() {
        taken += part.len();
        assert!(taken < 64 << 20, "nobody reads this");
    }
    done.send(()).unwrap();
}

#[test]
fn an_answer_that_comes_before_the_body_is_passed_on() {
    let origin = Origin::new(|peer| {
        peer.head();
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!");
        peer.wait_for_end();
    });
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].timeouts.body_idle = Duration::from_millis(100);
    });
    let mut client = proxied.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    let answer = client.answer("PUT");
    assert_eq!((answer.status(), answer.text()), (413, "no!"));
    assert_eq!(answer.header("connection"), Some("close"), "the body is not complete");
    eventually("the lease ends", || proxied.load() == (0, 0));
    assert_eq!(client.rest().unwrap_or_default(), b"");
}

#[test]
fn a_backend_that_does_not_take_what_it_has_accepted_has_failed() {
    for (head, failed) in [
        ("200 OK\r\n", true),
        ("200 OK\r\nConnection: close\r\n", false),
        ("413 Content Too Large\r\n", false),
    ] {
        let (answered, was_answered) = mpsc::channel();
        let was_answered = Mutex::new(was_answered);
        let origin = Origin::new(move |peer| {
            peer.head();
            peer.send(format!("HTTP/1.1 {head}Content-Length: 0\r\n\r\n"));
            let _ = was_answered.lock().unwrap().recv_timeout(PATIENCE);
            peer.reset();
        });
        let (proxied, mut client) = proxy(&[origin.address]).into_client();
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
        client.answer("PUT");
        answered.send(()).unwrap();
        eventually("the lease ends", || proxied.load() == (0, 0));
        let snapshot = proxied.cluster.snapshot();
        let view = snapshot.view();
        let failures: Vec<_> = view.slots().filter_map(|slot| view.failures(slot)).collect();
        assert_eq!(!failures.is_empty(), failed, "{head}");
    }
}

#[test]
fn a_field_that_was_hop_by_hop_does_not_come_back_as_a_trailer() {
    let message = "Connection: x-hop\r\nTransfer-Encoding: chunked\r\nTrailer: x-hop, x-sum\r\n\r\n\
         2\r\nok\r\n0\r\nx-hop: 1\r\nx-sum: 2\r\n\r\n";
    let origin = Origin::answering(format!("HTTP/1.1 200 OK\r\n{message}"));
    let proxied = proxy(&[origin.address]);
    let mut client = proxied.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n{message}"));
    let answer = client.answer("POST");
    let kept = [("x-sum".to_owned(), "2".to_owned())];
    assert_eq!(answer.trailers, kept);
    assert_eq!(origin.last().trailers, kept);
}

#[test]
fn both_directions_move_at_a_time() {
    let length = 24 << 20;
    let body = noise(length);
    let (seen, was_seen) = mpsc::channel();
    let (seen, sent) = (Mutex::new(seen), body.clone());
    let origin = Origin::new(move |peer| {
        peer.head();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        peer.send_meanwhile(sent.clone());
        let _ = seen.lock().unwrap().send(peer.read(length));
        peer.wait_for_end();
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    // All of it before it reads a byte, and more than buffers hold.
    client.send(&body);
    assert!(client.answer("PUT").body == body);
    assert!(was_seen.recv().unwrap() == body);
    eventually("the lease ends", || proxied.load() == (0, 0));
}

#[test]
fn a_body_goes_on_after_its_answer() {
    let length = 4 << 20;
    let body = noise(length);
    for answer in ["Content-Length: 2\r\n\r\nok", "Content-Length: 0\r\n\r\n"] {
        let (answered, was_answered) = mpsc::channel();
        let (seen, was_seen) = mpsc::channel();
        let ends = Mutex::new((was_answered, seen));
        let origin = Origin::new(move |peer| {
            while peer.head().is_some() {
                peer.send(format!("HTTP/1.1 200 OK\r\n{answer}"));
                let ends = ends.lock().unwrap();
                if ends.0.recv_timeout(PATIENCE).is_ok() {
                    let _ = ends.1.send(peer.read(length));
                }
            }
        });
        let proxied = proxy(&[origin.address]);
        for _ in 0..2 {
            let mut client = proxied.client();
            client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            assert_eq!(client.answer("PUT").status(), 200);
            answered.send(()).unwrap();
            client.send(&body);
            assert!(was_seen.recv().unwrap() == body);
            client.is_closed();
            eventually("the lease ends", || proxied.load() == (0, 0));
        }
        assert_eq!(origin.connections(), 1, "what was taken whole can be used again");
    }
}

#[test]
fn a_slow_client_is_not_the_backends_load() {
    let body = noise(4 << 20);
    let length = body.len();
    let origin = Origin::new(move |peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        peer.send(&body);
        peer.wait_for_end();
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(GET);
    client.head();
    // All but what is in buffers.
    client.read(length - (64 << 10));
    eventually("the backend is done", || proxied.load().0 == 0);
    client.read(64 << 10);
    eventually("the client is done", || proxied.load() == (0, 0));
}
