//! Clients that stay with their backend.

use std::{net::SocketAddr, time::Duration};

use lb_core::{
    Backend, Cluster, Membership, PickCx, Tick,
    backend::AdminState,
    cluster::{Cause, CauseKind, Change},
    strategy::{IpHash, RoundRobin},
};
use lb_proxy::{KeyRule, SameSite, StickySettings, StickyValue, TrustedProxies};

use crate::support::{Message, Origin, Peer, Proxied, block_on, eventually, proxy_with};

/// A backend that says who it is.
fn named(name: &'static str) -> Origin {
    Origin::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}"))
}

fn settings(value: StickyValue) -> StickySettings {
    let keys = vec![[7; 16]];
    StickySettings { value, keys, ..StickySettings::new("LB") }
}

fn cluster(backends: &[(&str, SocketAddr)], sticky: &StickySettings) -> Cluster {
    Cluster::builder("test")
        .strategy(RoundRobin::default())
        .membership(members(backends))
        .ring(sticky.ring("test"))
        .build()
}

fn members(backends: &[(&str, SocketAddr)]) -> Membership {
    let backend =
        |(name, address): &(&str, SocketAddr)| Backend::new(address.to_string()).named(name);
    Membership::new(backends.iter().map(backend)).unwrap()
}

fn sticky(backends: &[(&str, SocketAddr)], sticky: StickySettings) -> Proxied {
    let cluster = cluster(backends, &sticky);
    let mut proxied = proxy_with(&[], |service| {
        service.clusters[0].cluster = cluster.clone();
        service.clusters[0].sticky = Some(sticky);
        // A dead backend is not taken out here, so that each request finds it dead.
        service.clusters[0].retry.budget = 100;
    });
    proxied.cluster = cluster;
    proxied
}

fn change(proxied: &Proxied, change: Change) {
    let cause = Cause::new(CauseKind::Person, "a test");
    let version = proxied.cluster.apply(change, cause).unwrap();
    block_on(proxied.cluster.effective(version));
}

/// Asks with a cookie, as a browser would. Returns the answer and its cookie.
fn ask(proxied: &Proxied, target: &str, cookie: Option<&str>) -> (Message, Option<String>) {
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let answer = proxied.ask(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{cookie}\r\n"));
    let set = answer.header("set-cookie");
    let set = set.map(|cookie| cookie.split(';').next().unwrap().to_owned());
    (answer, set)
}

#[test]
fn a_client_stays_until_its_backend_dies_and_then_where_it_has_gone() {
    for value in [StickyValue::Derived, StickyValue::Sealed, StickyValue::Name] {
        let origins = [named("a"), named("b"), named("c")];
        let of = ["a", "b", "c"];
        let mut backends: Vec<_> =
            of.iter().zip(&origins).map(|(name, origin)| (*name, origin.address)).collect();
        let proxied = sticky(&backends, settings(value));
        let mut jar = None;
        let mut asked = Vec::new();
        let mut set = 0;
        for _ in 0..50 {
            let (answer, cookie) = ask(&proxied, "/", jar.as_deref());
            asked.push(answer.text().to_owned());
            set += usize::from(cookie.is_some());
            jar = cookie.or(jar);
        }
        asked.dedup();
        assert_eq!((asked.len(), set), (1, 1), "one backend, one cookie");
        // Its address refuses from now on.
        let bound = of.iter().position(|name| *name == asked[0]).unwrap();
        let alive = backends[bound].1;
        backends[bound].1 = Origin::refusing();
        change(&proxied, Change::Membership(members(&backends)));
        let (answer, cookie) = ask(&proxied, "/", jar.as_deref());
        assert_eq!(answer.status(), 200);
        assert_ne!(answer.text(), asked[0]);
        assert!(cookie.is_some(), "it is told where it is bound now");
        let (second, jar) = (answer.text().to_owned(), cookie);
        // It is back.
        backends[bound].1 = alive;
        change(&proxied, Change::Membership(members(&backends)));
        for _ in 0..5 {
            let (answer, cookie) = ask(&proxied, "/", jar.as_deref());
            assert_eq!((answer.text(), cookie), (&*second, None), "it stays");
        }
    }
}

#[test]
fn the_same_cookie_finds_the_same_backend_whoever_else_is_there() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let sealed = || settings(StickyValue::Sealed);
    let one = sticky(&[("a", a.address), ("b", b.address)], sealed());
    let other = sticky(&[("c", c.address), ("b", b.address), ("a", a.address)], sealed());
    for _ in 0..2 {
        let (answer, cookie) = ask(&one, "/", None);
        let (same, none) = ask(&other, "/", cookie.as_deref());
        assert_eq!((same.text(), none), (answer.text(), None));
    }
}

#[test]
fn the_attributes_and_the_privacy_of_the_answer_are_said_once() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nSet-Cookie: theirs=1\r\n\
         Content-Length: 1\r\n\r\na",
    );
    let sticky = sticky(
        &[("a", origin.address)],
        StickySettings {
            ttl: Some(Duration::from_secs(3600)),
            path: "/app".into(),
            domain: Some("example.org".into()),
            secure: true,
            same_site: Some(SameSite::Strict),
            partitioned: true,
            ..settings(StickyValue::Name)
        },
    );
    let (answer, _) = ask(&sticky, "/", None);
    let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies[0], "theirs=1");
    assert_eq!(
        cookies[1..],
        ["LB=.a; HttpOnly; SameSite=Strict; Partitioned; Secure; Path=/app; Domain=example.org; \
          Max-Age=3600"]
    );
    assert_eq!(answer.header("cache-control"), Some("max-age=60, private"));
    let (answer, _) = ask(&sticky, "/", Some("LB=.a"));
    assert_eq!(answer.header("set-cookie"), Some("theirs=1"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
}

#[test]
fn an_opaque_cookie_is_not_for_the_backend_and_a_name_is() {
    let seen = |value| {
        let origin = named("a");
        let proxied = sticky(&[("a", origin.address)], settings(value));
        let (_, cookie) = ask(&proxied, "/", None);
        let cookie = cookie.unwrap();
        let (_, again) = ask(&proxied, "/", Some(&format!("x=1; {cookie}; y=2")));
        assert_eq!(again, None);
        let seen = origin.last().header("cookie").map(str::to_owned);
        (cookie, seen)
    };
    for value in [StickyValue::Derived, StickyValue::Sealed] {
        assert_eq!(seen(value).1.as_deref(), Some("x=1; y=2"));
    }
    let (cookie, seen) = seen(StickyValue::Name);
    assert_eq!(seen, Some(format!("x=1; {cookie}; y=2")));
}

#[test]
fn a_sealed_value_that_was_made_up_is_not_believed() {
    let (a, b) = (named("a"), named("b"));
    let proxied = sticky(&[("a", a.address), ("b", b.address)], settings(StickyValue::Sealed));
    let (_, cookie) = ask(&proxied, "/", None);
    let cookie = cookie.unwrap();
    let mut forged = cookie.into_bytes();
    // Of the MAC; the version and the key stay.
    let last = forged.last_mut().unwrap();
    *last = if *last == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let mut asked: Vec<_> = (0..4)
        .map(|_| {
            let (answer, cookie) = ask(&proxied, "/", Some(&forged));
            assert!(cookie.is_some(), "it is bound anew");
            answer.text().to_owned()
        })
        .collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["a", "b"], "it is picked for like anybody");
}

#[test]
fn a_sealed_value_expires() {
    let a = named("a");
    let settings =
        StickySettings { ttl: Some(Duration::from_secs(1)), ..settings(StickyValue::Sealed) };
    let proxied = sticky(&[("a", a.address)], settings);
    let (_, cookie) = ask(&proxied, "/", None);
    assert!(ask(&proxied, "/", None).1.is_some());
    eventually("it is bound anew", || ask(&proxied, "/", cookie.as_deref()).1.is_some());
}

#[test]
fn keys_are_exchanged_without_unbinding_anybody() {
    let (a, b) = (named("a"), named("b"));
    let backends = [("a", a.address), ("b", b.address)];
    let with = |keys: &[u8]| StickySettings {
        keys: keys.iter().map(|key| [*key; 16]).collect(),
        ..settings(StickyValue::Sealed)
    };
    let (old, both, new) = (
        sticky(&backends, with(&[1])),
        sticky(&backends, with(&[2, 1])),
        sticky(&backends, with(&[3, 2])),
    );
    for _ in 0..2 {
        let (answer, cookie) = ask(&old, "/", None);
        let (same, none) = ask(&both, "/", cookie.as_deref());
        assert_eq!((same.text(), none), (answer.text(), None), "an old key is accepted");
        // Who does not have the key goes by the bytes, and does not take the client over.
        let (one, none) = ask(&new, "/", cookie.as_deref());
        assert_eq!(none, None);
        for _ in 0..3 {
            assert_eq!(ask(&new, "/", cookie.as_deref()).0.text(), one.text());
        }
    }
    let (answer, cookie) = ask(&both, "/", None);
    let (same, none) = ask(&new, "/", cookie.as_deref());
    assert_eq!((same.text(), none), (answer.text(), None), "the first key is used");
}

#[test]
fn a_sealed_value_under_a_key_that_was_dropped_is_replaced() {
    let a = named("a");
    let with = |key| {
        let settings = StickySettings { keys: vec![[key; 16]], ..settings(StickyValue::Sealed) };
        sticky(&[("a", a.address)], settings)
    };
    let (before, now) = (with(1), with(2));
    let (_, old) = ask(&before, "/", None);
    let (_, new) = ask(&now, "/", old.as_deref());
    assert!(new.is_some() && new != old);
    assert_eq!(ask(&now, "/", new.as_deref()).1, None);
}

#[test]
fn names_are_read_by_apaches_rules() {
    let (a, b) = (named("a"), named("b"));
    let proxied = sticky(&[("a", a.address), ("b", b.address)], settings(StickyValue::Name));
    for (target, cookie) in [
        ("/", Some("LB=.b")),
        ("/", Some("x=1; LB=session.b")),
        ("/page;LB=session.b", None),
        ("/page?x=1&LB=.b", None),
        ("/page;LB=.b", Some("LB=.a")),
    ] {
        for _ in 0..3 {
            let (answer, set) = ask(&proxied, target, cookie);
            assert_eq!((answer.text(), set), ("b", None), "{target} {cookie:?}");
        }
    }
    let (_, set) = ask(&proxied, "/", Some("LB=.gone"));
    assert!(set.is_some_and(|set| set.starts_with("LB=.")), "its backend is not there");
}

#[test]
fn a_draining_backend_keeps_its_bound_clients() {
    let (a, b) = (named("a"), named("b"));
    let proxied = sticky(&[("a", a.address), ("b", b.address)], settings(StickyValue::Name));
    let drain = Change::Admin { backend: "a".into(), state: AdminState::Draining { until: None } };
    change(&proxied, drain);
    for _ in 0..5 {
        let (answer, set) = ask(&proxied, "/", Some("LB=.a"));
        assert_eq!((answer.text(), set), ("a", None));
        let (answer, set) = ask(&proxied, "/", None);
        assert_eq!((answer.text(), set.as_deref()), ("b", Some("LB=.b")));
    }
}

#[test]
fn an_answer_of_our_own_binds_nobody() {
    let sticky = sticky(&[("a", Origin::refusing())], settings(StickyValue::Name));
    for cookie in [None, Some("LB=.a")] {
        let (answer, set) = ask(&sticky, "/", cookie);
        assert_eq!((answer.status(), set), (502, None));
        assert_eq!(answer.header("cache-control"), None);
    }
}

#[test]
fn a_client_that_is_sent_elsewhere_is_bound_to_who_answered() {
    let (hangs_up, b) = (Origin::new(|peer: &mut Peer| drop(peer.request())), named("b"));
    let proxied = sticky(&[("a", hangs_up.address), ("b", b.address)], settings(StickyValue::Name));
    let (answer, set) = ask(&proxied, "/", Some("LB=.a"));
    assert_eq!((answer.text(), set.as_deref()), ("b", Some("LB=.b")));
}

#[test]
fn an_answer_that_is_retried_binds_nobody() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let (busy, b) = (Origin::answering(busy), named("b"));
    let backends = [("a", busy.address), ("b", b.address)];
    let settings = settings(StickyValue::Name);
    let cluster = cluster(&backends, &settings);
    let proxied = proxy_with(&[], |service| {
        service.clusters[0].cluster = cluster.clone();
        service.clusters[0].sticky = Some(settings);
        service.clusters[0].retry.on.statuses = [503].into();
    });
    for cookie in [None, None, Some("LB=.a")] {
        let (answer, set) = ask(&proxied, "/", cookie);
        assert_eq!((answer.text(), set.as_deref()), ("b", Some("LB=.b")));
    }
    assert_eq!(busy.requests().len(), 2);
    let seen = proxied.running.counters().clusters[0].sticky_total;
    assert_eq!((seen.kept, seen.new, seen.moved), (0, 2, 1));
}

#[test]
fn a_strategy_by_key_gets_the_octets_of_whom_a_trusted_proxy_names() {
    let origins = [named("a"), named("b"), named("c")];
    let backends: Vec<_> =
        ["a", "b", "c"].into_iter().zip(origins.each_ref().map(|origin| origin.address)).collect();
    let cluster = || {
        Cluster::builder("test").strategy(IpHash::default()).membership(members(&backends)).build()
    };
    let served = cluster();
    let proxied = proxy_with(&[], |service| {
        service.clusters[0].cluster = served.clone();
        service.clusters[0].key = Some(KeyRule::ClientIp);
        let local = ["127.0.0.0/8"].map(|network| network.parse().unwrap());
        service.listeners[0].trusted_proxies = TrustedProxies::new(local);
    });
    let mut handle = cluster().handle();
    let mut seen = Vec::new();
    for number in 0..32_u8 {
        let octets = [10, number, number ^ 0x55, 7];
        let cx = PickCx::new(Tick::ZERO, 0).keyed(&octets);
        let expected = handle.acquire(&cx).unwrap().backend().name().to_owned();
        let v4 = std::net::Ipv4Addr::from(octets);
        for address in [v4.to_string(), v4.to_ipv6_mapped().to_string()] {
            let request =
                format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n");
            assert_eq!(proxied.ask(&request).text(), expected, "{address}");
        }
        seen.push(expected);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3, "it is not the same backend for all");
}
