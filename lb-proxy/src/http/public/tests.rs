use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

const STRIPPED: Names<'_> = Names {
    backend: "10.0.0.1:3000",
    sent_host: "www.example.org:8080",
    host: "www.example.org:8080",
    scheme: "http",
    prefix: "/api",
    whole_prefix: "/api",
};
const PLAIN: Names<'_> = Names { prefix: "", whole_prefix: "", ..STRIPPED };

#[track_caller]
fn check(rule: fn(&str, &Names<'_>) -> Option<String>, names: &Names<'_>, rows: &[(&str, &str)]) {
    for (said, expected) in rows {
        let public = rule(said, names);
        assert_eq!(public.as_deref().unwrap_or(said), *expected, "{said}");
        assert_eq!(rule(expected, names), None, "twice: {expected}");
    }
}

#[test]
fn a_url_at_the_backend_gets_the_host_of_the_client() {
    check(
        reference::public,
        &PLAIN,
        &[
            ("http://10.0.0.1:3000/login?a=b#c", "http://www.example.org:8080/login?a=b#c"),
            ("HTTP://10.0.0.1:3000", "http://www.example.org:8080"),
            ("http://10.0.0.1:3000?a", "http://www.example.org:8080?a"),
            ("//10.0.0.1:3000/x", "//www.example.org:8080/x"),
            ("http://10.0.0.1:3001/x", "http://10.0.0.1:3001/x"),
            ("http://10.0.0.1/x", "http://10.0.0.1/x"),
            ("http://user@10.0.0.1:3000/x", "http://user@10.0.0.1:3000/x"),
            ("https://www.example.org/x", "https://www.example.org/x"),
            ("http://www.example.org:8080/x", "http://www.example.org:8080/x"),
            ("/x", "/x"),
            ("x", "x"),
            ("", ""),
        ],
    );
}

#[test]
fn a_removed_prefix_comes_back() {
    check(
        reference::public,
        &STRIPPED,
        &[
            ("/login", "/api/login"),
            ("/", "/api/"),
            ("/?a=/b", "/api/?a=/b"),
            ("/apiary", "/api/apiary"),
            ("/api/x", "/api/x"),
            ("/api?x", "/api?x"),
            ("http://10.0.0.1:3000/login", "http://www.example.org:8080/api/login"),
            ("http://10.0.0.1:3000", "http://www.example.org:8080/api/"),
            ("http://www.example.org:8080/login", "http://www.example.org:8080/api/login"),
            ("//www.example.org:8080/login", "//www.example.org:8080/api/login"),
            ("http://elsewhere.example/login", "http://elsewhere.example/login"),
            ("mailto:x@y//z", "mailto:x@y//z"),
            ("login", "login"),
            ("../login", "../login"),
            ("?a=http://10.0.0.1:3000/", "?a=http://10.0.0.1:3000/"),
            ("#a", "#a"),
        ],
    );
}

#[test]
fn default_ports_and_case_do_not_count() {
    let names = Names { backend: "Web:80", host: "a.example", sent_host: "a.example", ..PLAIN };
    check(
        reference::public,
        &names,
        &[
            ("http://web/x", "http://a.example/x"),
            ("http://WEB:80/x", "http://a.example/x"),
            ("http://web:/x", "http://a.example/x"),
            ("https://web/x", "https://web/x"),
        ],
    );
    let names = Names { backend: "[::1]:80", ..names };
    check(reference::public, &names, &[("http://[::1]/x", "http://a.example/x")]);
}

#[test]
fn the_scheme_is_the_one_the_client_used() {
    let names = Names { host: "public.example", scheme: "https", ..STRIPPED };
    check(
        reference::public,
        &names,
        &[
            ("http://10.0.0.1:3000/x", "https://public.example/api/x"),
            ("http://www.example.org:8080/x", "https://public.example/api/x"),
            ("https://public.example/x", "https://public.example/api/x"),
        ],
    );
    // The way to TLS stays open.
    check(
        reference::public,
        &Names { host: "a.example", sent_host: "a.example", ..STRIPPED },
        &[("https://a.example/x", "https://a.example/api/x")],
    );
}

#[test]
fn without_a_host_only_the_path_is_known() {
    let names = Names { host: "", sent_host: "", ..PLAIN };
    check(
        reference::public,
        &names,
        &[("http://10.0.0.1:3000/x", "/x"), ("http://10.0.0.1:3000", "/")],
    );
    assert_eq!(reference::public("http://10.0.0.1:3000//evil", &names).unwrap(), "/evil");
}

#[test]
fn what_was_removed_before_us_counts_as_there() {
    let names = Names { whole_prefix: "/outer/api", ..STRIPPED };
    check(
        reference::public,
        &names,
        &[("/outer/api/x", "/outer/api/x"), ("/outer/x", "/api/outer/x"), ("/x", "/api/x")],
    );
}

#[test]
fn a_refresh_is_a_url_too() {
    check(
        reference::refresh,
        &STRIPPED,
        &[
            ("5", "5"),
            ("0; url=/login", "0; url=/api/login"),
            ("0;URL='/login'", "0;URL='/api/login'"),
            ("3, url = \"http://10.0.0.1:3000/\"", "3, url =\"http://www.example.org:8080/api/\""),
            ("0; url='/login", "0; url='/login"),
            ("0; other=/login", "0; other=/login"),
        ],
    );
}

#[test]
fn a_cookie_is_for_the_public_path() {
    check(
        cookie::public,
        &STRIPPED,
        &[
            ("s=1; Path=/; HttpOnly", "s=1; Path=/api; HttpOnly"),
            ("s=1;path=/x;Secure", "s=1;path=/api/x;Secure"),
            ("s=1; Path = /x ", "s=1; Path =/api/x"),
            ("s=1; Path=/api/x", "s=1; Path=/api/x"),
            ("s=\"Path=/x\"; Max-Age=1", "s=\"Path=/x\"; Max-Age=1"),
            ("s=1; Path=/a; Path=/b", "s=1; Path=/api/a; Path=/api/b"),
            ("s=1", "s=1"),
            ("s=1; Path=x", "s=1; Path=x"),
            ("s=1; Path", "s=1; Path"),
            ("__Host-s=1; Path=/; Secure", "__Host-s=1; Path=/; Secure"),
            ("Path=/", "Path=/"),
            ("junk; Path=/", "junk; Path=/"),
            ("", ""),
        ],
    );
    let below = Names { prefix: "/api/", whole_prefix: "/api/", ..STRIPPED };
    check(cookie::public, &below, &[("s=1; Path=/", "s=1; Path=/api/")]);
    check(cookie::public, &PLAIN, &[("s=1; Path=/", "s=1; Path=/")]);
}

#[test]
fn the_domain_of_the_backend_is_nobodys() {
    let names = Names { backend: "app.internal:80", ..PLAIN };
    check(
        cookie::public,
        &names,
        &[
            ("s=1; Domain=APP.internal; Secure", "s=1; Secure"),
            ("s=1; domain=.app.internal", "s=1"),
            ("s=1; Domain=internal", "s=1; Domain=internal"),
            ("s=1; Domain=example.org", "s=1; Domain=example.org"),
            ("s=1; Domain=", "s=1; Domain="),
        ],
    );
    let same = Names { host: "app.internal", ..names };
    check(cookie::public, &same, &[("s=1; Domain=app.internal", "s=1; Domain=app.internal")]);
}

#[test]
fn every_line_is_put_right_whatever_its_bytes() {
    let mut headers = HeaderMap::new();
    let mut request = HeaderMap::new();
    request.insert(header::HOST, HeaderValue::from_static("a.example"));
    for line in [&b"a=1; Path=/"[..], b"b=\xff; Path=/\xa0", b"c=3", b"d=\xc3\xa4; Path=/x"] {
        headers.append(header::SET_COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    headers.insert(header::LOCATION, HeaderValue::from_bytes(b"http://b:1/x?\xe4").unwrap());
    PublicForm::of(&request, Some("/api"), false).apply(&mut headers, "http://b:1");
    let lines: Vec<_> =
        headers.get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let expected: [&[u8]; 4] =
        [b"a=1; Path=/api", b"b=\xff; Path=/api/\xa0", b"c=3", b"d=\xc3\xa4; Path=/api/x"];
    assert_eq!(lines, expected);
    assert_eq!(headers[header::LOCATION].as_bytes(), b"http://a.example/api/x?\xe4");
}

#[test]
fn a_stranger_does_not_choose_the_host() {
    let mut request = HeaderMap::new();
    request.insert(header::HOST, HeaderValue::from_static("a.example"));
    request.insert(X_FORWARDED_HOST, HeaderValue::from_static("evil.example"));
    request.append(X_FORWARDED_HOST, HeaderValue::from_static("evil.example, b.example"));
    request.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http, https"));
    for (is_trusted, expected) in [(false, "http://a.example/"), (true, "https://b.example/")] {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::from_static("http://b:1/"));
        PublicForm::of(&request, None, is_trusted).apply(&mut headers, "b:1");
        assert_eq!(headers[header::LOCATION], expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b),
        ..ProptestConfig::default()
    })]

    #[test]
    fn twice_is_once_and_a_header_stays_a_header(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..8)
    ) {
        let said = words.concat();
        let outer = Names { whole_prefix: "/o/api", ..STRIPPED };
        let https = Names { scheme: "https", host: "p", ..STRIPPED };
        let below = Names { prefix: "/api/", whole_prefix: "/api/", ..STRIPPED };
        let nobody = Names { host: "", sent_host: "", ..STRIPPED };
        for names in [STRIPPED, PLAIN, outer, https, below, nobody] {
            for rule in [reference::public, reference::refresh, cookie::public] {
                if let Some(once) = rule(&said, &names) {
                    prop_assert_eq!(rule(&once, &names), None);
                    prop_assert!(HeaderValue::from_bytes(once.as_bytes()).is_ok());
                }
            }
        }
    }
}

const WORDS: &[&str] = &[
    "/",
    "//",
    "http:",
    "https:",
    "10.0.0.1",
    ":3000",
    "www.example.org:8080",
    "p",
    "api",
    "/api",
    "/o",
    "?",
    "#",
    ";",
    ",",
    "=",
    " ",
    "url=",
    "Path=",
    "Domain=",
    "s=1",
    "'",
    "\"",
    "x",
    "..",
    "é",
    "[::1]",
    "@",
];
