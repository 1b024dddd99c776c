//! Tables of routes.

use http::{HeaderMap, Method};

use crate::http::{HostPattern, PathPattern, RequestFacts, Route, RouteTable, Verdict};

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
