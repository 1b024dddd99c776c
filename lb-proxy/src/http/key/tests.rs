use std::net::IpAddr;

use http::{Method, Request};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

use super::*;
use crate::RequestFacts;

fn key_for(
    rule: &KeyRule,
    target: &str,
    headers: &[(&str, &str)],
    client: &str,
) -> Option<Vec<u8>> {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let client: IpAddr = client.parse().unwrap();
    let asked = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let facts = RequestFacts::new(&Method::GET, "a", asked, &head.headers, client).unwrap();
    let key = RequestKey::new(rule, &head.uri, &facts)?;
    Some(key.as_bytes().to_vec())
}

fn key(rule: &KeyRule, target: &str, headers: &[(&str, &str)]) -> Option<String> {
    let key = key_for(rule, target, headers, "192.0.2.7")?;
    Some(String::from_utf8(key).unwrap())
}

fn header(name: &'static str) -> KeyRule {
    KeyRule::Header(HeaderName::from_static(name))
}

#[test]
fn an_address_is_its_octets_however_it_arrived() {
    let octets = |address: &str| key_for(&KeyRule::ClientIp, "/", &[], address).unwrap();
    assert_eq!(octets("192.0.2.7"), [192, 0, 2, 7]);
    assert_eq!(octets("::ffff:192.0.2.7"), [192, 0, 2, 7]);
    assert_eq!(octets("2001:db8::1").len(), 16);
    assert_eq!(octets("2001:db8::1")[..4], [0x20, 0x01, 0x0d, 0xb8]);
}

#[test]
fn an_address_as_text_is_as_long_as_addresses_are() {
    let text = |address: &str| key_for(&KeyRule::ClientIpText, "/", &[], address).unwrap();
    for address in ["192.0.2.7", "2001:db8::1", "2001:db8:1111:2222:3333:4444:5555:6666"] {
        assert_eq!(text(address), address.as_bytes());
    }
    assert_eq!(text("::ffff:192.0.2.7"), b"192.0.2.7");
}

#[test]
fn paths_are_as_they_were_sent() {
    for (target, uri, path) in [
        ("/a%20b/./../%63?x=1", "/a%20b/./../%63?x=1", "/a%20b/./../%63"),
        ("/", "/", "/"),
        ("/a?", "/a?", "/a"),
        ("http://www.example.org/a?b", "/a?b", "/a"),
        ("http://www.example.org", "/", "/"),
        ("*", "*", "*"),
    ] {
        assert_eq!(key(&KeyRule::Uri, target, &[]).as_deref(), Some(uri), "{target}");
        assert_eq!(key(&KeyRule::Path, target, &[]).as_deref(), Some(path), "{target}");
    }
}

#[test]
fn the_first_line_of_a_header_is_the_key() {
    let headers = [("x-user", "ann"), ("X-User", "bob"), ("x-empty", ""), ("cookie", "a=b")];
    assert_eq!(key(&header("x-user"), "/", &headers).as_deref(), Some("ann"));
    assert_eq!(key(&header("x-empty"), "/", &headers), None);
    assert_eq!(key(&header("x-nobody"), "/", &headers), None);
    let hidden = [("x-user", "ann"), ("connection", "close, x-user")];
    assert_eq!(key(&header("x-user"), "/", &hidden), None, "no backend gets it");
}

#[test]
fn the_first_cookie_of_a_name_is_the_key() {
    let headers =
        [("cookie", "aa=1; a=; q=\"two words\""), ("cookie", "A=3; b = 4 ;a=5"), ("cookie", "b=6")];
    let cookie = |name: &str| key(&KeyRule::Cookie(name.into()), "/", &headers);
    assert_eq!(cookie("b").as_deref(), Some("4"));
    assert_eq!(cookie("q").as_deref(), Some("two words"));
    assert_eq!(cookie("A").as_deref(), Some("3"), "names of cookies have a case");
    assert_eq!(cookie("a"), None, "the first one is empty");
    assert_eq!(cookie("c"), None);
}

#[test]
fn parameters_are_found_as_nginx_finds_them() {
    let query = |target: &str| key(&KeyRule::Query("id".into()), target, &[]);
    assert_eq!(query("/?id=1&id=2").as_deref(), Some("1"));
    assert_eq!(query("/id=0?xid=1&id&Id=a%20b+c=&x").as_deref(), Some("a%20b+c="));
    assert_eq!(query("http://id=0/?&&id=7").as_deref(), Some("7"));
    for target in ["/", "/?", "/?id", "/?id=", "/?id=&id=2", "/?i%64=1", "/?idx=1"] {
        assert_eq!(query(target), None, "{target}");
    }
}

#[test]
fn parts_do_not_run_into_each_other() {
    let rule = KeyRule::Composed([header("x-a"), header("x-b")].into());
    let of = |headers: &[(&str, &str)]| key_for(&rule, "/", headers, "::1");
    let first = of(&[("x-a", "a"), ("x-b", "bc")]);
    assert_eq!(first.as_deref(), Some(&b"\0\0\0\x01a\0\0\0\x02bc"[..]));
    assert_ne!(first, of(&[("x-a", "ab"), ("x-b", "c")]));
    let (one, other) = (of(&[("x-a", "a")]), of(&[("x-b", "a")]));
    assert!(one.is_some() && one != other);
    assert_eq!(of(&[("x-a", "")]), None, "nothing is there");
}

#[test]
fn long_keys_of_several_parts_are_whole() {
    let rule = KeyRule::Composed([KeyRule::ClientIp, header("x-a"), KeyRule::Path].into());
    for length in 0..100 {
        let long = "a".repeat(length);
        let found = key_for(&rule, "/b", &[("x-a", &long)], "192.0.2.7").unwrap();
        let length = u32::try_from(length).unwrap().to_be_bytes();
        let parts: [&[u8]; 6] =
            [b"\0\0\0\x04\xc0\0\x02\x07", &length, long.as_bytes(), b"\0\0\0\x02", b"/b", b""];
        assert_eq!(found, parts.concat());
    }
}

#[test]
fn a_rule_is_written_as_in_a_file() {
    let rule = KeyRule::Composed(
        [header("x-user"), KeyRule::Cookie("A".into()), KeyRule::Query("id".into())].into(),
    );
    assert_eq!(rule.to_string(), "header:x-user,cookie:A,query:id");
    assert_eq!(rule.parts().len(), 3);
    assert_eq!(KeyRule::Uri.parts(), [KeyRule::Uri]);
}

#[test]
fn a_key_is_not_much_to_move() {
    assert!(size_of::<Option<RequestKey>>() <= 56, "{}", size_of::<Option<RequestKey>>());
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(11),
        ..ProptestConfig::default()
    })]

    #[test]
    fn different_parts_are_different_keys(
        one in vec("[ab]{0,30}", 3),
        other in vec("[ab]{0,30}", 3),
    ) {
        let names = ["x-a", "x-b", "x-c"];
        let rule = KeyRule::Composed(names.map(header).into());
        let of = |values: &[String]| {
            let headers: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
            key_for(&rule, "/", &headers, "::1")
        };
        prop_assert_eq!(of(&one) == of(&other), one == other);
    }
}
