use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::Regex;

use super::*;

fn routes(rows: &[(&str, &str)]) -> Vec<Route> {
    let route = |(cluster, (host, path)): (usize, &(&str, &str))| Route {
        host: match host.strip_prefix('*') {
            None => HostPattern::Exact((*host).into()),
            Some("") => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.into()),
        },
        path: match path.split_once(' ') {
            Some(("=", path)) => PathPattern::Exact(path.into()),
            Some(("=/", path)) => PathPattern::EitherSlash(path.into()),
            Some(("~", path)) => PathPattern::Regex(Regex::new(path).unwrap()),
            _ => PathPattern::Prefix((*path).into()),
        },
        ..Route::everything(cluster)
    };
    rows.iter().enumerate().map(route).collect()
}

fn table(rows: &[(&str, &str)]) -> RouteTable {
    RouteTable::new(routes(rows))
}

fn facts<'a>(host: &'a str, path: &'a str, headers: &'a HeaderMap) -> RequestFacts<'a> {
    RequestFacts::new(&Method::GET, host, path, headers, [192, 0, 2, 1].into()).unwrap()
}

/// The number of the route in the order given.
fn found(table: &RouteTable, host: &str, path: &str) -> Option<usize> {
    let headers = HeaderMap::new();
    table.lookup(&facts(host, path, &headers)).map(|route| route.cluster)
}

#[test]
fn the_longest_prefix_wins_whatever_the_order() {
    for order in [["/", "/api", "/api/v2"], ["/api/v2", "/", "/api"]] {
        let table = table(&order.map(|path| ("*", path)));
        let path = |asked| order[found(&table, "", asked).unwrap()];
        assert_eq!(path("/api/v2/x"), "/api/v2");
        assert_eq!(path("/api/v3"), "/api");
        assert_eq!(path("/index.html"), "/");
    }
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let table = table(&[("*", "/api")]);
    assert_eq!(found(&table, "", "/api"), Some(0));
    assert_eq!(found(&table, "", "/api/"), Some(0));
    assert_eq!(found(&table, "", "/api/x?y"), Some(0));
    assert_eq!(found(&table, "", "/apiary"), None);
    assert_eq!(found(&table, "", "/"), None);
}

#[test]
fn a_prefix_with_a_slash_is_only_what_is_under_it() {
    let table = table(&[("*", "/api/")]);
    assert_eq!(found(&table, "", "/api/x"), Some(0));
    assert_eq!(found(&table, "", "/api/"), Some(0));
    assert_eq!(found(&table, "", "/api"), None);
}

#[test]
fn the_root_is_everything_and_the_asterisk_too() {
    let table = table(&[("*", "/")]);
    assert_eq!(found(&table, "", "/"), Some(0));
    assert_eq!(found(&table, "", "/any/thing"), Some(0));
    assert_eq!(found(&table, "", "*"), Some(0));
    assert_eq!(found(&self::table(&[("*", "/api")]), "", "*"), None);
}

#[test]
fn exact_comes_before_prefix_before_regex_before_the_root() {
    let table = table(&[
        ("*", "/"),
        ("*", "~ ^/(api|img)/.*\\.png$"),
        ("*", "~ png$"),
        ("*", "/api"),
        ("*", "=/ /api/student"),
        ("*", "= /api/student/"),
    ]);
    assert_eq!(found(&table, "", "/api/student"), Some(4));
    assert_eq!(found(&table, "", "/api/student/"), Some(5));
    assert_eq!(found(&table, "", "/api/student/1"), Some(3));
    assert_eq!(found(&table, "", "/api/students"), Some(3));
    assert_eq!(found(&table, "", "/api/a.png"), Some(3));
    assert_eq!(found(&table, "", "/img/a.png"), Some(1));
    assert_eq!(found(&table, "", "/a.png"), Some(2));
    assert_eq!(found(&table, "", "/a"), Some(0));
}

#[test]
fn either_spelling_is_one_route() {
    for path in ["=/ /api/student", "=/ /api/student/"] {
        let table = table(&[("*", path), ("*", "/")]);
        assert_eq!(found(&table, "", "/api/student"), Some(0));
        assert_eq!(found(&table, "", "/api/student/"), Some(0));
        assert_eq!(found(&table, "", "/api/student/1"), Some(1));
        assert_eq!(found(&table, "", "/api/students"), Some(1));
    }
}

#[test]
fn the_most_specific_host_wins_and_falls_back() {
    let table = table(&[
        ("*", "/"),
        ("*.org", "/"),
        ("*.example.org", "/a"),
        ("www.example.org", "/a/b"),
        ("[::1]", "/"),
    ]);
    assert_eq!(found(&table, "WWW.example.org.:80", "/a/b"), Some(3));
    assert_eq!(found(&table, "www.example.org", "/a"), Some(2));
    assert_eq!(found(&table, "www.example.org", "/"), Some(1));
    assert_eq!(found(&table, "example.com", "/a/b"), Some(0));
    assert_eq!(found(&table, "", "/"), Some(0));
    assert_eq!(found(&table, "[0:0::1]:8080", "/"), Some(4));
}

#[test]
fn wildcards_of_one_length_keep_their_routes() {
    let table = table(&[("*.aa", "/"), ("*.bb", "/x"), ("*.aa", "/x"), ("*.bb", "/")]);
    for (host, path, expected) in
        [("a.aa", "/", 0), ("a.bb", "/x", 1), ("a.aa", "/x", 2), ("a.bb", "/", 3)]
    {
        assert_eq!(found(&table, host, path), Some(expected), "{host}{path}");
    }
}

#[test]
fn the_path_that_is_compared_is_the_one_a_backend_would_resolve() {
    let table = table(&[("*", "/"), ("*", "/admin"), ("*", "/%61pi/%c3%a4")]);
    for path in ["/public/../admin", "/%61dmin", "//admin", "/./admin/x", "/a/%2e%2e/admin"] {
        assert_eq!(found(&table, "", path), Some(1), "{path}");
    }
    assert_eq!(found(&table, "", "/api/ä"), Some(2));
}

#[test]
fn an_encoded_slash_that_decides_is_refused() {
    let table = table(&[("*", "/"), ("*", "/admin"), ("*", "/npm")]);
    let headers = HeaderMap::new();
    let decided = |path| table.decide(&facts("", path, &headers)).map(|route| route.cluster);
    assert_eq!(decided("/npm/@a%2Fb"), Ok(2));
    assert_eq!(decided("/x%2fadmin"), Ok(0));
    for path in ["/admin%2Fx", "/%2Fadmin", "/admin%5Cx"] {
        assert_eq!(decided(path), Err(Unrouted::Path(PathError::Ambiguous)), "{path}");
    }
}

#[test]
fn a_parameter_that_decides_is_refused() {
    let table = table(&[("*", "/"), ("*", "/admin"), ("*", "/app")]);
    let headers = HeaderMap::new();
    let decided = |path| table.decide(&facts("", path, &headers)).map(|route| route.cluster);
    assert_eq!(decided("/app/x;session=1"), Ok(2));
    assert_eq!(decided("/x;admin/;a=b"), Ok(0));
    assert_eq!(decided("/admin%3Bx"), Ok(0), "an encoded one is none");
    for path in ["/admin;x/secret", "/;/admin/x", "/;x=1/admin/x", "/;%2Fadmin", "/;x%2Fadmin"] {
        assert_eq!(decided(path), Err(Unrouted::Path(PathError::Ambiguous)), "{path}");
    }
}

#[test]
fn a_foreign_host_is_told_from_a_missing_path() {
    let headers = HeaderMap::new();
    let refused = |table: &RouteTable, host, path| table.decide(&facts(host, path, &headers)).err();
    let named = table(&[("a.example", "/x"), ("*.b.example", "/")]);
    assert_eq!(refused(&named, "a.example", "/"), Some(Unrouted::NoRoute));
    assert_eq!(refused(&named, "b.example", "/"), Some(Unrouted::ForeignHost));
    assert_eq!(refused(&named, "w.b.example", "/"), None);
    let open = table(&[("a.example", "/"), ("*", "/x")]);
    assert_eq!(refused(&open, "b.example", "/"), Some(Unrouted::NoRoute));
    assert_eq!(refused(&RouteTable::default(), "a", "/"), Some(Unrouted::NoRoute));
}

fn header(name: &'static str, value: ValuePattern) -> Condition {
    Condition::Header { name: HeaderName::from_static(name), value }
}

fn query(name: &str, value: ValuePattern) -> Condition {
    Condition::Query { name: name.into(), value }
}

fn regex(text: &str) -> ValuePattern {
    ValuePattern::Regex(Regex::new(text).unwrap())
}

#[test]
fn a_condition_comes_before_none_and_the_rest_is_as_in_the_file() {
    let mut all = routes(&[("*", "/a"), ("*", "/a"), ("*", "/a"), ("*", "/a/b")]);
    all[1].when = Condition::Method(vec![Method::POST]);
    all[2].when = Condition::Method(vec![Method::POST, Method::GET]);
    let table = RouteTable::new(all);
    let order: Vec<_> = table.routes().iter().map(|route| route.cluster).collect();
    assert_eq!(order, [3, 1, 2, 0]);
    assert_eq!(found(&table, "", "/a"), Some(2));
}

#[test]
fn conditions_are_true_or_not() {
    let mut headers = HeaderMap::new();
    headers.append("x-version", HeaderValue::from_static("1"));
    headers.append("x-version", HeaderValue::from_static("2"));
    headers.append("x-bytes", HeaderValue::from_bytes(b"evil\xff").unwrap());
    let facts = facts("", "/?a=1&b&%63=%64+e", &headers);
    let exact = |text: &str| ValuePattern::Exact(text.into());
    let client = |net: &str| Condition::Client(vec![net.parse().unwrap()]);
    for (condition, expected) in [
        (Condition::Always, true),
        (Condition::Method(vec![Method::GET]), true),
        (Condition::Method(vec![Method::POST]), false),
        (header("x-version", exact("2")), true),
        (header("x-version", exact("3")), false),
        (header("x-version", regex("^[23]$")), true),
        (header("x-bytes", ValuePattern::Present), true),
        (header("x-bytes", regex("^evil")), true),
        (header("x-bytes", regex("good")), false),
        (header("x-other", ValuePattern::Present), false),
        (query("a", exact("1")), true),
        (query("b", exact("")), true),
        (query("c", exact("d e")), true),
        (query("%63", ValuePattern::Present), false),
        (query("a", regex("2")), false),
        (client("192.0.2.0/24"), true),
        (client("::/0"), false),
        (Condition::All(vec![]), true),
        (Condition::Any(vec![]), false),
        (Condition::All(vec![client("192.0.2.0/24"), query("x", exact(""))]), false),
        (Condition::Any(vec![client("::/0"), query("b", exact(""))]), true),
        (Condition::Not(Box::new(client("::/0"))), true),
    ] {
        assert_eq!(condition.holds(&facts), expected, "{condition}");
    }
}

#[test]
fn a_header_that_no_backend_gets_is_not_there() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("x_forwarded_proto", "https"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "proto=https"),
        ("connection", "close, X-User"),
        ("x-user", "ann"),
        ("x-other", "1"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let trusted = facts("", "/", &headers);
    let stranger = trusted.clone().of_stranger();
    for (name, to_trusted, to_stranger) in [
        ("x-forwarded-proto", true, false),
        ("x_forwarded_proto", false, false),
        ("x-real-ip", false, false),
        ("forwarded", false, false),
        ("x-user", false, false),
        ("x-other", true, true),
    ] {
        let there = header(name, ValuePattern::Present);
        assert_eq!(there.holds(&trusted), to_trusted, "{name}");
        assert_eq!(there.holds(&stranger), to_stranger, "{name}");
    }
}

#[test]
fn an_explanation_says_why_not() {
    let mut all = routes(&[("*", "/"), ("*", "/a"), ("b", "/"), ("*", "/c"), ("*", "~ ^/x$")]);
    all[1].when = Condition::All(vec![
        Condition::Not(Box::new(query("q", ValuePattern::Present))),
        header("x-a", ValuePattern::Exact("1".into())),
    ]);
    let mut late = Route::prefix("/", 5);
    late.when = Condition::Method(vec![Method::PUT]);
    all.extend([late, Route::everything(6)]);
    let table = RouteTable::new(all);
    let headers = HeaderMap::new();
    let explained = table.explain(&facts("a", "/a", &headers));
    let explained: Vec<_> = explained
        .iter()
        .map(|explained| (explained.route.cluster, explained.verdict.to_string()))
        .collect();
    let expected = [
        (2, "the host is not b"),
        (1, "not true: header x-a = \"1\""),
        (3, "the path is not below /c"),
        (4, "the path does not match ^/x$"),
        (5, "not true: method PUT"),
        (0, "matches"),
        (6, "would match, but a route before it does"),
    ];
    assert_eq!(explained, expected.map(|(route, text)| (route, text.to_owned())));
}

#[test]
fn a_route_hidden_by_another_is_named_with_it() {
    let mut all = routes(&[
        ("*", "/a"),
        ("A.example:80", "/a"),
        ("a.example", "/%61"),
        ("*", "/a/"),
        ("*", "/a"),
        ("*", "/a"),
    ]);
    all[5].when = Condition::Method(vec![Method::GET]);
    let table = RouteTable::new(all);
    let shadowed = table.shadowed();
    let shadowed: Vec<_> =
        shadowed.iter().map(|(hidden, by)| (hidden.cluster, by.cluster)).collect();
    assert_eq!(shadowed, [(2, 1), (4, 0)]);
}

#[test]
fn a_thousand_hosts_are_found_each() {
    let names: Vec<_> = (0..1000).map(|n| format!("h{n}.example")).collect();
    let rows: Vec<_> = names.iter().map(|name| (name.as_str(), "/")).collect();
    let table = table(&rows);
    for (position, name) in names.iter().enumerate() {
        assert_eq!(found(&table, name, "/x"), Some(position));
    }
    assert_eq!(found(&table, "h1000.example", "/x"), None);
}

#[test]
fn only_the_last_word_of_a_trusted_proxy_counts() {
    let regex = Regex::new("http$|ws").unwrap();
    for name in ["x-forwarded-proto", "x-forwarded-host"] {
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::new();
        for line in ["http", "ws, https "] {
            headers.append(&name, HeaderValue::from_static(line));
        }
        let is = |value: ValuePattern, facts: &RequestFacts<'_>| {
            Condition::Header { name: name.clone(), value }.holds(facts)
        };
        let exact = |text: &str| ValuePattern::Exact(text.into());
        let trusted = facts("", "/", &headers);
        assert!(is(exact("https"), &trusted) && is(ValuePattern::Present, &trusted), "{name}");
        for made_up in ["http", "ws", "ws, https "] {
            assert!(!is(exact(made_up), &trusted), "{name}: {made_up}");
        }
        assert!(!is(ValuePattern::Regex(regex.clone()), &trusted));
        assert!(!is(ValuePattern::Present, &trusted.clone().of_stranger()), "{name}");
    }
    let mut headers = HeaderMap::new();
    headers.append("x-forwarded-proto", HeaderValue::from_static("ht\"tp"));
    let name = HeaderName::from_static("x-forwarded-proto");
    let is_said = Condition::Header { name, value: ValuePattern::Present };
    assert!(!is_said.holds(&facts("", "/", &headers)), "no backend gets this");
    let name = HeaderName::from_static("x-other");
    headers.append(&name, HeaderValue::from_static("a, b"));
    let condition = Condition::Header { name, value: ValuePattern::Exact("a, b".into()) };
    assert!(condition.holds(&facts("", "/", &headers)), "other headers are whole lines");
}
