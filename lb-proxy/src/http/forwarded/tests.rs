use std::rc::Rc;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::http::via::Via;

fn trusted() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()))
}

fn map(rows: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in rows {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn client_of(rows: &[(&'static str, &str)]) -> String {
    let believed = believed(&map(rows), [10, 0, 0, 1].into(), &trusted()).unwrap();
    believed.client.to_string()
}

#[test]
fn a_stranger_is_not_believed() {
    let headers = map(&[("x-forwarded-for", "192.0.2.1")]);
    assert!(believed(&headers, [192, 0, 2, 9].into(), &trusted()).is_none());
    assert!(believed(&headers, [10, 0, 0, 1].into(), &TrustedProxies::default()).is_none());
    assert!(believed(&headers, "::ffff:10.0.0.1".parse().unwrap(), &trusted()).is_some());
}

#[test]
fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
    for (line, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80,fd00::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ,, ", "192.0.2.1"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(client_of(&[("x-forwarded-for", line)]), client, "{line}");
    }
    let lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2, 10.0.0.2")];
    assert_eq!(client_of(&lines), "192.0.2.2");
    assert_eq!(client_of(&[]), "10.0.0.1");
}

#[test]
fn junk_ends_the_search() {
    for (line, client) in [
        ("192.0.2.1, junk, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("192.0.2.1, 1.2.3.4:99999", "10.0.0.1"),
        ("192.0.2.1, fe80::1%eth0, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, ä, 10.0.0.2", "10.0.0.2"),
        ("junk, 192.0.2.1", "192.0.2.1"),
    ] {
        assert_eq!(client_of(&[("x-forwarded-for", line)]), client, "{line}");
    }
}

#[test]
fn forwarded_counts_where_it_is_alone() {
    for (line, client) in [
        ("for=192.0.2.1;proto=https", "192.0.2.1"),
        ("For=\"[2001:db8::1]:4711\"; By=10.0.0.1", "2001:db8::1"),
        ("for=198.51.100.1, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        ("for=192.0.2.1, for=unknown", "10.0.0.1"),
        ("for=192.0.2.1, for=_hidden, for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.1;host=\"a,b;c\"", "192.0.2.1"),
        ("proto=https", "10.0.0.1"),
    ] {
        assert_eq!(client_of(&[("forwarded", line)]), client, "{line}");
    }
    let both = [("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.2")];
    assert_eq!(client_of(&both), "192.0.2.2");
}

#[test]
fn an_open_quotation_of_a_client_does_not_hide_it() {
    for line in [
        "for=\"x, for=192.0.2.1",
        "for=\"x\\, for=\"192.0.2.1\"",
        "host=\", for=\"192.0.2.1:1\", for=10.0.0.2",
    ] {
        assert_eq!(client_of(&[("forwarded", line)]), "192.0.2.1", "{line}");
    }
}

fn said_on(rows: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = map(rows);
    let neighbour = IpAddr::from([10, 0, 0, 1]);
    let believed = believed(&headers, neighbour, &trusted()).unwrap();
    say_on(&mut headers, &Origin::new(neighbour, Rc::new(Via::new(0))), believed);
    headers
}

#[test]
fn the_way_is_continued() {
    let headers = said_on(&[
        ("x-forwarded-for", "junk, 192.0.2.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public"),
        ("host", "inner"),
    ]);
    assert_eq!(headers["x-forwarded-for"], "junk, 192.0.2.1, 10.0.0.2, 10.0.0.1");
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "public");
}

#[test]
fn what_a_neighbour_does_not_say_we_say() {
    let headers = said_on(&[("host", "inner")]);
    assert_eq!(headers["x-forwarded-for"], "10.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "inner");
}

#[test]
fn forwarded_goes_on_in_the_older_form() {
    let line = "for=\"[2001:db8::1]\";proto=https;host=public, for=10.0.0.2;proto=http";
    let headers = said_on(&[("forwarded", line), ("host", "inner")]);
    assert_eq!(headers["x-forwarded-for"], "2001:db8::1, 10.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "public");
}

#[test]
fn only_a_scheme_and_a_host_go_on_as_such() {
    let said = |line: &str| {
        let headers = said_on(&[("forwarded", line), ("host", "inner")]);
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        (text("x-forwarded-proto"), text("x-forwarded-host"))
    };
    let ours = ("http".to_owned(), "inner".to_owned());
    assert_eq!(said("for=192.0.2.1;proto=\"javascript:\";host=\"a b\""), ours);
    assert_eq!(said("for=192.0.2.1;proto=\"https,x\";host=\"a/b\""), ours);
    assert_eq!(said("for=192.0.2.1;proto=;host="), ours);
    let theirs = ("HTTPS".to_owned(), "a:80".to_owned());
    assert_eq!(said("for=192.0.2.1;proto=HTTPS;host=\"a:80\""), theirs);
}

#[test]
fn a_backend_gets_one_scheme_that_is_one() {
    for (lines, goes_on) in [
        (&["https"][..], "https"),
        (&["HTTPS"], "https"),
        (&["http, https "], "https"),
        (&["javascript", "https"], "https"),
        (&["ht\"tp"], "http"),
        (&["https", "javascript:"], "http"),
        (&["https,"], "http"),
        (&[""], "http"),
    ] {
        let rows: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", *line)).collect();
        let headers = said_on(&rows);
        let all: Vec<_> = headers.get_all("x-forwarded-proto").iter().collect();
        assert_eq!(all, [goes_on], "{lines:?}");
    }
}

#[test]
fn an_empty_line_is_no_part_of_the_way() {
    let headers = said_on(&[("x-forwarded-for", ""), ("x-forwarded-for", " 192.0.2.1 ")]);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 10.0.0.1");
    assert_eq!(said_on(&[("x-forwarded-for", "")])["x-forwarded-for"], "10.0.0.1");
}

#[test]
fn prefixes_add_up() {
    let prefix = |before: &[(&'static str, &str)]| {
        let mut headers = map(before);
        say_prefix(&mut headers, "/api");
        headers["x-forwarded-prefix"].to_str().unwrap().to_owned()
    };
    assert_eq!(prefix(&[]), "/api");
    assert_eq!(prefix(&[("x-forwarded-prefix", "/outer/")]), "/outer/api");
    assert_eq!(prefix(&[("x-forwarded-prefix", "//evil")]), "/api");
    assert_eq!(prefix(&[("x-forwarded-prefix", "evil")]), "/api");
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b),
        ..ProptestConfig::default()
    })]

    /// Whatever a client sends, what the proxy behind it adds is what counts.
    #[test]
    fn a_client_cannot_choose_its_address(claim in "[ -~]{0,40}") {
        let way = format!("{claim}, 192.0.2.1");
        prop_assert_eq!(client_of(&[("x-forwarded-for", &way)]), "192.0.2.1");
        for added in ["for=192.0.2.1", "for=\"192.0.2.1:80\";proto=http"] {
            let line = format!("{claim}, {added}");
            prop_assert_eq!(client_of(&[("forwarded", &line)]), "192.0.2.1");
        }
    }
}
