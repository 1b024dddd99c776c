//! What reaches the backend, and what comes back.

use lb_core::{
    Backend, Cluster, Membership,
    cluster::{Cause, CauseKind, Change},
    strategy::RoundRobin,
};
use lb_proxy::{Route, RouteTable};

use crate::support::{GET, Origin, block_on, membership, proxy, proxy_of, proxy_with};

#[test]
fn a_request_reaches_the_backend_as_a_proxy_sends_it() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    let answer = proxied.ask(
        "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, X-Hop\r\n\
         X-Hop: 1\r\nX-Forwarded-For: 10.1.1.1\r\nX-End: 2\r\n\r\n",
    );
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.header("via"), Some("1.1 lb"));
    assert!(answer.header("date").is_some(), "{answer:?}");

    let seen = origin.last();
    assert_eq!(seen.start, "GET /a?b=c HTTP/1.1");
    assert_eq!(seen.header("host"), Some("example.org"));
    assert_eq!(seen.header("x-end"), Some("2"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("example.org"));
    assert!(seen.header("via").unwrap().starts_with("1.1 lb-"), "{seen:?}");
    assert_eq!(seen.header("x-hop"), None);
    assert_eq!(seen.header("connection"), None);
}

#[test]
fn an_absolute_target_becomes_a_path_and_its_host_counts() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    proxied.ask("GET http://user:pw@right:81/x?y HTTP/1.1\r\nHost: wrong\r\n\r\n");
    assert_eq!(origin.last().start, "GET /x?y HTTP/1.1");
    assert_eq!(origin.last().header("host"), Some("right:81"));
    proxied.ask("GET http://right HTTP/1.1\r\nHost: right\r\n\r\n");
    assert_eq!(origin.last().start, "GET / HTTP/1.1");
}

#[test]
fn a_backend_may_have_a_name() {
    let origin = Origin::ok();
    let address = format!("localhost:{}", origin.address.port());
    let proxied = proxy_with(&[], |service| {
        let backends = Membership::new([Backend::new(address)]).unwrap();
        let cluster = Cluster::builder("named").membership(backends);
        service.clusters[0].cluster = cluster.strategy(RoundRobin::default()).build();
    });
    let mut clients: Vec<_> = (0..20).map(|_| proxied.client()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    for client in &mut clients {
        assert_eq!(client.answer(GET).text(), "ok");
    }
}

#[test]
fn an_asterisk_goes_where_the_root_goes() {
    let origin = Origin::ok();
    let answer = proxy(&[origin.address]).ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(origin.last().start, "OPTIONS * HTTP/1.1");
}

#[test]
fn a_path_without_a_route_is_not_found() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        let api = Route::prefix("/api", 0);
        service.routes = RouteTable::new(vec![api]).into();
    });
    let mut client = proxied.client();
    let missing = "GET /other HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n";
    let answer = client.ask(missing);
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.text().contains("no-route"), "{answer:?}");
    let answer = client.ask("HEAD /other HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status(), 404);
    assert!(answer.header("content-length").is_some());
    // The same connection goes on: nothing was left unread.
    assert_eq!(client.ask("GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
}

#[test]
fn an_old_client_gets_an_old_answer() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    let mut client = proxied.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8(client.rest().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    let seen = origin.last();
    assert_eq!(seen.start, "GET / HTTP/1.1");
    assert_eq!(seen.header("host"), Some(&*origin.address.to_string()));
    assert!(seen.header("via").unwrap().starts_with("1.0 lb-"), "{seen:?}");
}

#[test]
fn an_old_client_can_keep_its_connection() {
    let origin = Origin::ok();
    let mut client = proxy(&[origin.address]).into_client();
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..3 {
        let answer = client.1.ask(request);
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(answer.text(), "ok");
    }
}

#[test]
fn an_old_client_gets_chunks_without_their_marks() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let proxied = proxy(&[origin.address]);
    let mut client = proxied.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8(client.rest().unwrap()).unwrap();
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nabcde"), "{answer}");
}

#[test]
fn an_old_backend_is_understood() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.0 200 Fine\r\n\r\nuntil the end");
    });
    let mut client = proxy(&[origin.address]).into_client();
    for _ in 0..2 {
        let answer = client.1.ask(GET);
        assert_eq!(answer.start, "HTTP/1.1 200 Fine");
        assert_eq!(answer.text(), "until the end");
        assert_eq!(answer.header("via"), Some("1.0 lb"));
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn answers_without_a_body_keep_their_headers_and_the_connection() {
    let origin = Origin::new(|peer| {
        while let Some(request) = peer.request() {
            match request.start.split(' ').nth(1) {
                Some("/none") => peer.send("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
                Some("/same") => peer.send("HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n"),
                Some("/chunked") => {
                    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                }
                Some("/empty") => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                _ => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
            }
        }
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    let head = client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.header("content-length"), Some("1234"));
    let chunked = client.ask("HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(chunked.status(), 200);
    let none = client.ask("GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((none.status(), none.header("x-a")), (204, Some("1")));
    assert_eq!(none.header("content-length"), None);
    let same = client.ask("GET /same HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((same.status(), same.header("etag")), (304, Some("\"x\"")));
    let empty = client.ask("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((empty.status(), empty.header("content-length")), (200, Some("0")));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::new(|peer| {
        while let Some(request) = peer.request() {
            let path = request.start.split(' ').nth(1).unwrap().to_owned();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    let requests: String =
        (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..50 {
        assert_eq!(client.answer(GET).text(), format!("/{n}"));
    }
}

#[test]
fn an_ambiguous_length_does_not_reach_the_client() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nabcde\r\n0\r\n\r\n",
    );
    let answer = proxy(&[origin.address]).get();
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.text(), "abcde");
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok");
    let answer = proxy(&[origin.address]).get();
    let lengths = answer.headers.iter().filter(|(name, _)| name == "content-length");
    assert_eq!(lengths.count(), 1);
    assert_eq!(answer.text(), "ok");
}

#[test]
fn an_offer_to_upgrade_is_not_passed_on() {
    let origin = Origin::ok();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    let offer = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\n\
                 Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    for _ in 0..2 {
        assert_eq!(client.ask(offer).text(), "ok");
        assert_eq!(origin.last().header("upgrade"), None);
        assert_eq!(origin.last().header("http2-settings"), None);
    }
}

#[test]
fn shares_are_exact_over_workers_and_clients() {
    for workers in [1, 2] {
        let origins = [Origin::ok(), Origin::ok()];
        let proxied = proxy_of(workers, &[(origins[0].address, 3), (origins[1].address, 1)]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                // A new connection each time, so that the kernel spreads them.
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(proxied.get().status(), 200)));
            }
        });
        let shares = origins.each_ref().map(|origin| origin.requests().len());
        assert_eq!(shares, [300, 100], "{workers} workers");
    }
}

#[test]
fn a_request_that_comes_round_is_refused() {
    let proxied = proxy(&[]);
    let itself = Change::Membership(membership(&[proxied.address]));
    let version = proxied.cluster.apply(itself, Cause::new(CauseKind::Person, "a test")).unwrap();
    block_on(proxied.cluster.effective(version));
    let answer = proxied.get();
    assert_eq!(answer.status(), 508);
    assert!(answer.text().contains("<p>loop"), "{answer:?}");
    // Another proxy in front of this one, even in this process, is no loop.
    let origin = Origin::ok();
    let behind = proxy(&[origin.address]);
    assert_eq!(proxy(&[behind.address]).get().text(), "ok");
    let via = origin.last();
    assert_eq!(via.headers.iter().filter(|(name, _)| name == "via").count(), 2);
}
