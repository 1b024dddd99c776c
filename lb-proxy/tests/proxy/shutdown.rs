//! Ending in an orderly way, and at once.

use std::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use crate::support::{
    Client, GET, Origin, PATIENCE, block_on, eventually, noise, proxy, proxy_of, proxy_with,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A backend that answers when it is told to, and says when it was asked.
fn patient() -> (Origin, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (asked, was_asked) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let ends = Mutex::new((asked, may_go));
    let origin = Origin::new(move |peer| {
        while peer.request().is_some() {
            let ends = ends.lock().unwrap();
            ends.0.send(()).unwrap();
            let _ = ends.1.recv();
            peer.send(OK);
        }
    });
    (origin, was_asked, go)
}

#[test]
fn a_request_in_flight_is_finished_and_idle_connections_are_closed() {
    let (origin, was_asked, go) = patient();
    let proxied = proxy(&[origin.address]);
    let mut busy = proxied.client();
    let mut idle = proxied.client();
    idle.send(GET);
    was_asked.recv().unwrap();
    go.send(()).unwrap();
    assert_eq!(idle.answer(GET).text(), "ok");
    busy.send(GET);
    was_asked.recv().unwrap();
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(proxied.running.drain()));
        idle.is_closed();
        eventually("nobody listens any more", || TcpStream::connect(proxied.address).is_err());
        assert!(!drain.is_finished(), "there is a request in flight");
        go.send(()).unwrap();
        let answer = busy.answer(GET);
        assert_eq!((answer.text(), answer.header("connection")), ("ok", Some("close")));
        busy.is_closed();
        drain.join().unwrap();
    });
}

#[test]
fn a_request_whose_head_has_begun_is_still_answered() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    let mut client = proxied.client();
    assert_eq!(client.ask(GET).text(), "ok");
    client.send("GET / HTTP/1.1\r\nHo");
    let mut idle = proxied.client();
    assert_eq!(idle.ask(GET).text(), "ok", "the worker has seen the beginning");
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(proxied.running.drain()));
        idle.is_closed();
        client.send("st: a\r\n\r\n");
        let answer = client.answer(GET);
        assert_eq!((answer.text(), answer.header("connection")), ("ok", Some("close")));
        drain.join().unwrap();
    });
}

#[test]
fn a_request_on_its_way_to_a_draining_proxy_is_answered() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    let mut clients: Vec<Client> = (0..20).map(|_| proxied.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(GET).text(), "ok");
    }
    std::thread::scope(|scope| {
        let began = Instant::now();
        let drain = scope.spawn(|| block_on(proxied.running.drain()));
        eventually("nobody listens any more", || TcpStream::connect(proxied.address).is_err());
        let (some, others) = clients.split_at_mut(10);
        for client in some {
            let answer = client.ask(GET);
            assert_eq!((answer.text(), answer.header("connection")), ("ok", Some("close")));
            client.is_closed();
        }
        for client in others {
            client.is_closed();
        }
        drain.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    });
}

#[test]
fn a_body_that_goes_on_after_its_answer_is_finished() {
    let (seen, was_seen) = mpsc::channel();
    let seen = Mutex::new(seen);
    let origin = Origin::new(move |peer| {
        peer.head();
        peer.send(OK);
        let _ = seen.lock().unwrap().send(peer.read(30));
    });
    let proxied = proxy(&[origin.address]);
    let mut idle = proxied.client();
    let mut client = proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n0123456789");
    let answer = client.answer("POST");
    assert_eq!((answer.text(), answer.header("connection")), ("ok", Some("close")));
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(proxied.running.drain()));
        idle.is_closed();
        client.send("01234567890123456789");
        assert_eq!(was_seen.recv_timeout(PATIENCE).unwrap(), b"012345678901234567890123456789");
        client.is_closed();
        drain.join().unwrap();
    });
}

#[test]
fn an_answer_survives_requests_that_wait_behind_it() {
    let body = std::sync::Arc::new(noise(24 << 20));
    let sent = body.clone();
    let (asked, was_asked) = mpsc::channel();
    let asked = Mutex::new(asked);
    let origin = Origin::new(move |peer| {
        while peer.request().is_some() {
            let _ = asked.lock().unwrap().send(());
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()));
            peer.send(&*sent);
        }
    });
    let (proxied, mut client) = proxy(&[origin.address]).into_client();
    client.send(GET);
    was_asked.recv().unwrap();
    client.send(GET.repeat(4000));
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(proxied.running.drain()));
        eventually("it drains", || TcpStream::connect(proxied.address).is_err());
        let answer = client.answer(GET);
        assert!(answer.body == *body, "{} bytes", answer.body.len());
        client.is_closed();
        client.end();
        drain.join().unwrap();
    });
}

#[test]
fn all_workers_drain() {
    let origin = Origin::ok();
    let proxied = proxy_of(3, &[(origin.address, 1)]);
    let mut clients: Vec<Client> = (0..30).map(|_| proxied.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(GET).text(), "ok");
    }
    block_on(proxied.running.drain());
    for client in &mut clients {
        client.is_closed();
    }
    assert!(TcpStream::connect(proxied.address).is_err());
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    let (origin, was_asked, _go) = patient();
    let limit = Duration::from_millis(300);
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].timeouts.shutdown = limit;
    });
    let mut client = proxied.client();
    client.send(GET);
    was_asked.recv().unwrap();
    let began = Instant::now();
    block_on(proxied.running.drain());
    assert!(began.elapsed() >= limit);
    assert_eq!(client.rest().unwrap_or_default(), b"");
    assert_eq!(proxied.load(), (0, 0));
}

#[test]
fn stopping_waits_for_nobody() {
    let (origin, was_asked, _go) = patient();
    let proxied = proxy(&[origin.address]);
    let mut client = proxied.client();
    client.send(GET);
    was_asked.recv().unwrap();
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| block_on(proxied.running.drain()));
        eventually("it drains", || TcpStream::connect(proxied.address).is_err());
        proxied.running.stop_now();
        drain.join().unwrap();
    });
    assert_eq!(client.rest().unwrap_or_default(), b"");
}

#[test]
fn clients_that_wait_to_be_accepted_are_served_before_the_end() {
    for _ in 0..20 {
        let origin = Origin::ok();
        let proxied = proxy(&[origin.address]);
        let mut clients: Vec<Client> = (0..50).map(|_| proxied.client()).collect();
        for client in &mut clients {
            client.send(GET);
        }
        block_on(proxied.running.drain());
        for client in &mut clients {
            assert_eq!(client.answer(GET).text(), "ok");
        }
    }
}

#[test]
fn a_proxy_that_is_dropped_leaves_its_address_free() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    let address = proxied.address;
    assert_eq!(proxied.get().text(), "ok");
    drop(proxied);
    let again = proxy_with(&[origin.address], |service| service.listeners[0].bind = address);
    assert_eq!(again.get().text(), "ok");
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let first = proxy(&[]);
    let mut service = lb_proxy::Service {
        listeners: vec![lb_proxy::ListenerSettings::new(first.address)],
        routes: Default::default(),
        clusters: Vec::new(),
        access_log: None,
    };
    let error = lb_proxy::Proxy::start(service.clone(), std::num::NonZeroUsize::MIN).unwrap_err();
    let text = error.to_string();
    let holder = format!("process {}", std::process::id());
    assert!(text.contains(&first.address.to_string()) && text.contains(&holder), "{text}");
    service.listeners.clear();
    service.routes = lb_proxy::RouteTable::new(vec![lb_proxy::Route::everything(0)]).into();
    let error = lb_proxy::Proxy::start(service, std::num::NonZeroUsize::MIN).unwrap_err();
    assert!(matches!(error, lb_proxy::StartError::Route { .. }), "{error}");
}
