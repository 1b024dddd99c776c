//! Who may say where a request came from, and what it is called.

use std::collections::BTreeSet;

use lb_proxy::{Condition, Route, RouteTable, Service, TrustedProxies};

use crate::support::{GET, Message, Origin, Proxied, proxy, proxy_with};

const CLAIMS: &str = "GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 198.51.100.1\r\n\
    X-Forwarded-For: 192.0.2.1, 127.0.0.9\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: public\r\nX-Forwarded-Prefix: /outer\r\nX_Forwarded_For: 1.1.1.1\r\n\
    X-Real-IP: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Request-Id: mine\r\n\r\n";

fn trust(service: &mut Service) {
    let local = ["127.0.0.0/8".parse().unwrap()];
    service.listeners[0].trusted_proxies = TrustedProxies::new(local);
}

fn trusting(origin: &Origin) -> Proxied {
    proxy_with(&[origin.address], trust)
}

#[test]
fn a_trusted_proxy_is_believed_and_its_way_continued() {
    let origin = Origin::ok();
    trusting(&origin).ask(CLAIMS);
    let seen = origin.last();
    let way = "198.51.100.1, 192.0.2.1, 127.0.0.9, 127.0.0.1";
    assert_eq!(seen.header("x-forwarded-for"), Some(way));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("public"));
    assert_eq!(seen.header("x-forwarded-prefix"), Some("/outer"));
    for gone in ["x_forwarded_for", "x-real-ip", "forwarded"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
}

#[test]
fn a_stranger_is_not_believed() {
    let origin = Origin::ok();
    proxy(&[origin.address]).ask(CLAIMS);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("inner"));
    assert_ne!(seen.header("x-request-id"), Some("mine"));
    for gone in ["x-forwarded-prefix", "x_forwarded_for", "x-real-ip", "forwarded"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
}

#[test]
fn the_newer_header_goes_on_as_the_older_ones() {
    let origin = Origin::ok();
    let forwarded = "GET / HTTP/1.1\r\nHost: inner\r\n\
        Forwarded: for=\"[2001:db8::1]:80\";proto=https;host=public, for=127.0.0.9\r\n\r\n";
    trusting(&origin).ask(forwarded);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("2001:db8::1, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("public"));
    assert_eq!(seen.header("forwarded"), None);
}

#[test]
fn a_route_for_some_clients_asks_the_trusted_proxy() {
    let origin = Origin::ok();
    let only = |service: &mut Service| {
        let mut route = Route::everything(0);
        route.when = Condition::Client(vec!["192.0.2.0/24".parse().unwrap()]);
        service.routes = RouteTable::new(vec![route]).into();
    };
    let proxied = proxy_with(&[origin.address], |service| {
        trust(service);
        only(service);
    });
    assert_eq!(proxied.ask(CLAIMS).status(), 200);
    assert_eq!(proxied.ask(GET).status(), 404);
    let of_strangers = proxy_with(&[origin.address], only);
    assert_eq!(of_strangers.ask(CLAIMS).status(), 404);
}

#[test]
fn a_redirect_leads_to_the_host_and_scheme_the_client_used() {
    let origin = Origin::new(|peer| {
        let address = peer.stream.local_addr().unwrap();
        while peer.request().is_some() {
            let location = format!("Location: http://{address}/login");
            peer.send(format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{location}\r\n\r\n"));
        }
    });
    let location = |proxied: Proxied| proxied.ask(CLAIMS).header("location").map(str::to_owned);
    assert_eq!(location(trusting(&origin)).as_deref(), Some("https://public/login"));
    assert_eq!(location(proxy(&[origin.address])).as_deref(), Some("http://inner/login"));
}

#[test]
fn a_request_is_called_the_same_on_both_sides() {
    let origin = Origin::ok();
    let (_proxied, mut client) = proxy(&[origin.address]).into_client();
    let ids: Vec<_> = (0..100)
        .map(|_| {
            let answer = client.ask(GET);
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert_eq!(origin.last().header("x-request-id"), Some(&*id));
            assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
            id
        })
        .collect();
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), 100);
}

fn id(answer: &Message) -> Option<&str> {
    answer.header("x-request-id")
}

#[test]
fn a_trusted_proxy_has_named_the_request() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: of-the-backend\r\n\r\n",
    );
    let proxied = trusting(&origin);
    assert_eq!(id(&proxied.ask(CLAIMS)), Some("mine"));
    assert_eq!(origin.last().header("x-request-id"), Some("mine"));
    let odd = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: <script>\r\n\r\n";
    assert_ne!(id(&proxied.ask(odd)), Some("<script>"));
}

#[test]
fn an_answer_of_our_own_has_the_name_in_it() {
    let proxied = proxy(&[Origin::refusing()]);
    for accept in ["text/html", "application/json"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
        let answer = proxied.ask(&request);
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains(id(&answer).unwrap()), "{answer:?}");
    }
    // Before a route was looked for, too.
    let answer = proxied.ask("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains(id(&answer).unwrap()), "{answer:?}");
}

#[test]
fn names_can_be_left_to_others() {
    let origin = Origin::ok();
    let proxied = proxy_with(&[origin.address], |service| service.listeners[0].request_id = false);
    assert_eq!(id(&proxied.get()), None);
    assert_eq!(origin.last().header("x-request-id"), None);
    proxied.ask(CLAIMS);
    assert_eq!(origin.last().header("x-request-id"), Some("mine"));
}
