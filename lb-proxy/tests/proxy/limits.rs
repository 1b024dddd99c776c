//! What is refused, and how.

use crate::support::{GET, Origin, proxy, proxy_with};

#[test]
fn a_long_target_is_414() {
    let origin = Origin::ok();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length));
    assert_eq!(client.ask(&target(16 * 1024 - 1)).status(), 200);
    assert_eq!(client.ask(&target(16 * 1024)).status(), 414);
    assert_eq!(client.ask(GET).status(), 200);
}

#[test]
fn a_large_head_is_431() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    let head =
        |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length));
    assert_eq!(proxied.ask(&head(60 * 1024)).status(), 200);
    let answer = proxied.ask(&head(70 * 1024));
    assert_eq!(answer.status(), 431);
    assert_eq!(answer.header("connection"), Some("close"));
    // Even while the client is still sending, it gets to see the answer.
    assert_eq!(proxied.ask(&head(4 << 20)).status(), 431);
}

#[test]
fn many_headers_are_431() {
    let origin = Origin::ok();
    let head =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count));
    let proxied = proxy(&[origin.address]);
    assert_eq!(proxied.ask(&head(99)).status(), 200);
    assert_eq!(proxied.ask(&head(100)).status(), 431);
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].limits.headers = 5;
    });
    assert_eq!(proxied.ask(&head(4)).status(), 200);
    assert_eq!(proxied.ask(&head(5)).status(), 431);
}

#[test]
fn what_is_not_a_request_is_400() {
    let origin = Origin::ok();
    let proxied = proxy(&[origin.address]);
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a,b/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a@b@c/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(proxied.ask(nonsense).status(), 400, "{nonsense:?}");
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_client_that_speaks_http_2_is_told_that_we_do_not() {
    let answer = proxy(&[]).ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!((answer.status(), answer.header("connection")), (505, Some("close")));
    assert!(answer.text().contains("version-not-supported"), "{answer:?}");
}

#[test]
fn what_we_do_not_do_is_501() {
    let proxied = proxy(&[]);
    let tunnel = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    let answer = proxied.ask(tunnel);
    assert_eq!((answer.status(), answer.header("connection")), (501, Some("close")));
    let coding = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(proxied.ask(coding).status(), 501);
    let twice = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(proxied.ask(twice).status(), 501);
}

#[test]
fn a_length_beside_a_coding_does_not_reach_the_backend() {
    let origin = Origin::ok();
    let answer = proxy(&[origin.address]).ask(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\n",
    );
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("connection"), Some("close"), "nothing may follow");
    assert_eq!(origin.last().header("content-length"), None);
    assert_eq!(origin.last().text(), "abc");
}

#[test]
fn a_large_body_is_413() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].limits.body = Some(10);
    });
    let post = |body: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    assert_eq!(proxied.ask(&post("0123456789")).status(), 200);
    let answer = proxied.ask(&post("0123456789x"));
    assert_eq!((answer.status(), answer.header("connection")), (413, Some("close")));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n";
    let answer = proxied.ask(chunked);
    assert_eq!((answer.status(), answer.header("connection")), (413, Some("close")));
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| {
        service.listeners[0].limits.connections = 2;
    });
    let mut one = proxied.client();
    let mut two = proxied.client();
    assert_eq!(one.ask(GET).status(), 200);
    assert_eq!(two.ask(GET).status(), 200);
    proxied.client().is_closed();
    one.end();
    one.is_closed();
    crate::support::eventually("there is a place again", || {
        let mut client = proxied.client();
        let _ = std::io::Write::write_all(&mut client.stream, GET.as_bytes());
        client.rest_is_some()
    });
}

#[test]
fn a_flood_of_connection_options_is_431_or_502() {
    let flood = "x,".repeat(100);
    let origin = Origin::answering(format!(
        "HTTP/1.1 200 OK\r\nConnection: {flood}\r\nContent-Length: 0\r\n\r\n"
    ));
    let proxied = proxy(&[origin.address]);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {flood}\r\n\r\n");
    assert_eq!(proxied.ask(&request).status(), 431);
    assert_eq!(origin.requests().len(), 0);
    let answer = proxied.get();
    assert_eq!(answer.status(), 502);
    assert!(answer.text().contains("backend-malformed"), "{answer:?}");
}
