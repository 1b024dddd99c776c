//! What fuzzers run, and what `cargo test` runs over their corpus.
//!
//! Each function takes any bytes and panics when a promise is broken. The targets
//! in the folder `fuzz` of the repository only call these, so that a crash found
//! there is a unit test here: its input goes into the corpus.

use std::{net::IpAddr, path::Path, rc::Rc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use crate::{
    config::{Config, Pretended},
    http::{
        HostPattern, PathPattern, RequestFacts, Route, RouteTable, Verdict,
        fuzzing::{Origin, Via, believed, check, request_changes},
    },
    listen::{ListenerLimits, TrustedProxies},
};

/// Any text is either a configuration or explained, and the explanation can be
/// printed. A line `#file NAME` begins another file, which the first may include; a
/// line `#env NAME=VALUE` sets a variable.
pub fn config(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut world = Pretended::default();
    let mut name = "fuzz.toml";
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end();
        if let Some(next) = plain.strip_prefix("#file ") {
            name = next;
        } else if let Some((name, value)) =
            plain.strip_prefix("#env ").and_then(|variable| variable.split_once('='))
        {
            world.variables.insert(name.to_owned(), value.to_owned());
        } else {
            *world.files.entry(name.into()).or_default() += line;
        }
    }
    let text = world.files.get(Path::new("fuzz.toml")).cloned().unwrap_or_default();
    let (config, diagnostics) = Config::parse("fuzz.toml", &text, &world);
    assert_eq!(config.is_some(), !diagnostics.has_errors());
    assert_eq!(diagnostics.is_empty(), diagnostics.render(false).is_empty());
    let settings = Config::settings("fuzz.toml", &text, &world);
    if let Some(config) = config {
        assert!(!config.listeners.is_empty() && !config.routes.is_empty());
        assert!(config.routes.iter().all(|route| route.cluster < config.clusters.len()));
        assert!(config.route_table().shadowed().is_empty());
        assert!(settings.iter().any(|setting| setting.key == "version"));
    }
}

/// The first line is a path, the others are routes: `HOST PREFIX`, the host perhaps
/// empty or `*.…`. The table takes what a search through all of them finds best, and
/// explains the same.
pub fn route(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let (host, path) = split_host(lines.next().unwrap_or_default());
    if !is_plain_name(host) {
        return;
    }
    let routes: Vec<Route> = lines
        .take(50)
        .filter_map(|line| {
            let (host, prefix) = split_host(line);
            let host = match host.strip_prefix('*') {
                _ if host.is_empty() => HostPattern::Any,
                Some(suffix) if !suffix.starts_with('.') || !is_plain_name(suffix) => return None,
                Some(suffix) => HostPattern::Suffix(suffix.into()),
                None if !is_plain_name(host) => return None,
                None => HostPattern::Exact(host.into()),
            };
            prefix.starts_with('/').then(|| Route { host, ..Route::prefix(prefix, 0) })
        })
        .collect();
    let headers = HeaderMap::new();
    let client = [192, 0, 2, 1].into();
    let Ok(facts) = RequestFacts::new(&Method::GET, host, path, &headers, client) else { return };
    let path = facts.path();
    assert!(path.starts_with('/') && !path.contains("//"));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    let table = RouteTable::new(routes);
    let fits = |route: &&Route| {
        let PathPattern::Prefix(prefix) = &route.path else { return false };
        let below = if prefix.ends_with('/') { prefix.to_string() } else { format!("{prefix}/") };
        (path == &**prefix || path.starts_with(&below)) && fits_host(&route.host, host)
    };
    let specific = |route: &Route| {
        let host = match &route.host {
            HostPattern::Any => (0, 0),
            HostPattern::Suffix(suffix) => (1, suffix.len()),
            HostPattern::Exact(_) => (2, 0),
        };
        (host, route.path.to_string().len())
    };
    let best = table.routes().iter().filter(fits).map(specific).max();
    let found = table.lookup(&facts);
    assert_eq!(found.map(specific), best);
    let explained = table.explain(&facts);
    let taken = explained.iter().find(|explained| explained.verdict == Verdict::Taken);
    assert_eq!(taken.map(|explained| explained.route), found);
}

/// `host path`, or only a path.
fn split_host(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or(("", line))
}

/// What is more than a name has tests of its own.
fn is_plain_name(host: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    host.len() < 100 && !host.ends_with('.') && host.bytes().all(is_name_byte)
}

fn fits_host(pattern: &HostPattern, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match pattern {
        HostPattern::Any => true,
        HostPattern::Exact(name) => host == **name,
        HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
    }
}

/// `method target`, then headers, one a line: whatever a client sends, a backend
/// gets one host, no header about the connection, and only our word on where the
/// request came from.
pub fn request_head(input: &[u8]) {
    let Some(mut head) = parse(input) else { return };
    if check(&head, &ListenerLimits::default()).is_err() {
        return;
    }
    let origin = Origin::new([192, 0, 2, 1].into(), Rc::new(Via::new(0)));
    request_changes(&head).apply_to_request(&mut head.headers, &origin, None, head.version);
    let all = |name: &str| head.headers.get_all(name).iter().collect::<Vec<_>>();
    for gone in ["keep-alive", "proxy-connection", "upgrade", "forwarded", "x-real-ip"] {
        assert!(all(gone).is_empty(), "{gone}");
    }
    let claims = head.headers.keys().map(|name| name.as_str().replace('_', "-"));
    let claims = claims.filter(|name| name.starts_with("x-forwarded-"));
    assert_eq!(claims.count(), 2 + all("x-forwarded-host").len());
    assert_eq!(all("x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    assert_eq!(all("host").len(), usize::from(head.version == Version::HTTP_11));
    assert_eq!(all("x-forwarded-host"), all("host"));
    assert_eq!(all("via").last().map(|via| via.as_bytes().ends_with(b" lb-00000000")), Some(true));
    assert!(all("te").iter().all(|te| *te == "trailers"));
    assert_eq!(all("te").is_empty(), all("connection").is_empty());
    assert!(all("transfer-encoding").iter().all(|coding| *coding == "chunked"));
}

/// Headers, one a line, that a trusted proxy has sent. Whoever it believed, a backend
/// gets one line for each fact, the way ends with the proxy, and no claim arrives
/// that is none of those that count. And a client cannot choose its address: what
/// the proxy adds to its claims is what counts.
pub fn forwarded(input: &[u8]) {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let trusted = TrustedProxies::new([proxy.into()]);
    let Some(mut head) = parse(&[b"GET /\n", input].concat()) else { return };
    let client = IpAddr::from([192, 0, 2, 1]);
    for (name, added) in [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")] {
        let mut headers = head.headers.clone();
        let claimed = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let whole = [claimed, b", ", added.as_bytes()].concat();
        let Ok(whole) = HeaderValue::from_bytes(&whole) else { continue };
        headers.insert(name, whole);
        if name == "forwarded" {
            headers.remove("x-forwarded-for");
            // Bytes that are no text leave nothing to be believed.
            if headers[name].to_str().is_err() {
                continue;
            }
        }
        assert_eq!(
            believed(&headers, proxy, &trusted).map(|believed| believed.client),
            Some(client)
        );
    }
    let believed = believed(&head.headers, proxy, &trusted);
    let origin = Origin::new(proxy, Rc::new(Via::new(0)));
    request_changes(&head).apply_to_request(&mut head.headers, &origin, believed, head.version);
    let all = |name: &str| head.headers.get_all(name).iter().collect::<Vec<_>>();
    let way = all("x-forwarded-for");
    assert_eq!(way.len(), 1);
    assert!(way[0].as_bytes().ends_with(b"10.0.0.1"));
    assert!(!all("x-forwarded-proto").is_empty());
    assert!(all("forwarded").is_empty() && all("x-real-ip").is_empty());
    let claims = head.headers.keys().map(HeaderName::as_str);
    for claim in claims.filter(|name| name.replace('_', "-").starts_with("x-forwarded-")) {
        let kept = ["for", "proto", "host", "port", "prefix"];
        assert!(kept.contains(&&claim["x-forwarded-".len()..]), "{claim}");
    }
}

fn parse(input: &[u8]) -> Option<http::request::Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines.take(50) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request = request.header(name, value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::OnceLock};

    use proptest::{prelude::*, test_runner::RngSeed};

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_table_finds_what_a_search_through_all_routes_finds(
            text in "(([ab]\\.){1,2}a )?(/([ab.]{0,2}|%2e)){1,3}/?\
                     (\n(((\\*\\.)?[ab]\\.)?a )?(/[ab]{0,2}){1,3}/?){0,5}"
        ) {
            super::route(text.as_bytes());
        }

        #[test]
        fn texts_that_look_like_claims_break_no_promise(
            lines in prop::collection::vec(
                ("(x[-_])?forwarded([-_](for|host|proto|by))?|x-real-ip|connection",
                 "([ ,;=\"\\\\]|for|host|proto|10\\.0\\.0\\.[12]|192\\.0\\.2\\.2|\\[::1\\]|:80|x){0,12}"),
                0..5,
            )
        ) {
            let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            super::forwarded(lines.join("\n").as_bytes());
        }

        #[test]
        fn lines_of_all_files_in_any_order_break_no_promise(
            picked in prop::collection::vec((any::<prop::sample::Index>(), 0..60_usize), 0..25)
        ) {
            let lines = corpus_lines();
            let parts = picked.iter().map(|(index, cut)| {
                let line = index.get(lines);
                // Most lines are whole, some lack their end.
                let end = if *cut > 40 { line.floor_char_boundary(*cut) } else { line.len() };
                &line[..end]
            });
            super::config(parts.collect::<Vec<_>>().join("\n").as_bytes());
        }

        #[test]
        fn texts_that_look_like_configuration_break_no_promise(
            words in prop::collection::vec(prop::sample::select(WORDS), 0..40)
        ) {
            super::config(words.concat().as_bytes());
        }
    }

    const WORDS: &[&str] = &[
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\n",
        "\"",
        "\"\"\"",
        "#",
        " ",
        "\u{a0}",
        "é",
        "to",
        "include",
        "\"*.toml\"",
        "#file a.toml\n",
        "#env A=a:1 b:1\n",
        "${A}",
        "${",
        "health",
        "sticky",
        "cookie",
        "not",
        "route",
        "cluster",
        "listener",
        "listen",
        "backends",
        "path",
        "address",
        "web",
        "\"/a\"",
        "\"web\"",
        "\"a:1\"",
        "127.0.0.1:8080",
        "1",
        "-5",
        "10s",
        "true",
    ];

    /// Every line of every configuration in the corpus.
    fn corpus_lines() -> &'static [String] {
        static LINES: OnceLock<Vec<String>> = OnceLock::new();
        LINES.get_or_init(|| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config");
            let entries = fs::read_dir(folder).unwrap();
            let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
        })
    }

    fn run_corpus(target: &str, body: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(inputs.len() > 4, "{} inputs in {}", inputs.len(), folder.display());
        for input in inputs {
            println!("{}", input.path().display());
            body(&fs::read(input.path()).unwrap());
        }
    }

    #[test]
    fn the_corpus_of_config_breaks_no_promise() {
        run_corpus("config", super::config);
    }

    #[test]
    fn the_corpus_of_route_breaks_no_promise() {
        run_corpus("route", super::route);
    }

    #[test]
    fn the_corpus_of_request_head_breaks_no_promise() {
        run_corpus("request_head", super::request_head);
    }
    #[test]
    fn the_corpus_of_forwarded_breaks_no_promise() {
        run_corpus("forwarded", super::forwarded);
    }
}
