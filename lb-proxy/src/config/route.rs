//! Routes: `[[route]] path = "/api/", to = "dynamic"`.

use std::{fmt::Write as _, ops::Range};

use regex::Regex;

use super::{
    bind::host_problem,
    cluster::{Cluster, DEFAULT_CLUSTER},
    condition::read_condition,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    reader::{Table, Text, Value, code_list, did_you_mean},
    unreachable::report_unreachable,
};
use crate::{HostPattern, PathPattern, Route};

/// A route whose cluster was not looked up yet.
#[derive(Debug)]
pub(super) struct RawRoute<'a> {
    /// Without its cluster.
    pub(super) route: Route,
    /// What to underline when the path is meant: the path, or the route without one.
    pub(super) path_span: Range<usize>,
    /// The full name of the path's key.
    pub(super) key: String,
    to: Destination<'a>,
}

#[derive(Debug)]
enum Destination<'a> {
    Named(Text<'a>),
    /// The cluster of the short form.
    Short,
    /// Already reported.
    Unreadable,
}

impl RawRoute<'_> {
    /// The route of the short form: everything goes to the cluster `default`.
    pub(super) fn short(span: Range<usize>) -> Self {
        let route = Route::everything(0);
        Self { route, path_span: span, key: "to".to_owned(), to: Destination::Short }
    }

    /// Whether it names `cluster`.
    pub(super) fn leads_to(&self, cluster: &str) -> bool {
        match &self.to {
            Destination::Named(name) => name.as_str() == cluster,
            Destination::Short => cluster == DEFAULT_CLUSTER,
            Destination::Unreadable => false,
        }
    }
}

/// Reads every `[[route]]`; `None` when there is none.
pub(super) fn read_routes<'a>(
    file: &mut Table<'a>,
    out: &Diagnostics,
) -> Option<Vec<RawRoute<'a>>> {
    let lists = file.take_each("route");
    let is_given = !lists.is_empty();
    let tables = lists.into_iter().flat_map(Value::into_tables);
    let routes = tables.filter_map(|table| read_route(table, out)).collect();
    is_given.then_some(routes)
}

fn read_route<'a>(mut table: Table<'a>, out: &Diagnostics) -> Option<RawRoute<'a>> {
    let name = table.take_str("name");
    let host = match table.take("host") {
        None => Some(HostPattern::Any),
        Some(list) if list.is_list() => {
            out.push(list.error("must be one host", "a list").help("write a route for each host"));
            None
        }
        Some(host) => host.text().and_then(|text| read_host(&text)),
    };
    let path = read_pattern(&mut table);
    let strip = read_strip(&mut table, path.as_ref());
    let to = read_to(&mut table, out);
    let when = read_condition(&mut table, out);
    table.finish();
    let (host, (path, path_span, key)) = (host?, path?);
    let name = match (name, &host) {
        (Some(name), _) => name.as_str().into(),
        (None, HostPattern::Any) => path.to_string().into(),
        (None, host) => format!("{host}{path}").into(),
    };
    let route = Route { name, host, path, when, cluster: 0, strip };
    let to = to.map_or(Destination::Unreadable, Destination::Named);
    Some(RawRoute { route, path_span, key, to })
}

fn read_to<'a>(table: &mut Table<'a>, out: &Diagnostics) -> Option<Text<'a>> {
    let Some(to) = table.take("to") else {
        out.push(
            table
                .missing("to", "where do its requests go?")
                .help("add `to = \"NAME\"`, the name of a cluster"),
        );
        return None;
    };
    if to.is_text() {
        return to.text();
    }
    out.push(
        Diagnostic::error(format!("`{}.to` must be the name of a cluster", table.path()))
            .at(to.span(), "this is not a string")
            .key(format!("{}.to", table.path()))
            .help("backends are listed in a cluster: `[cluster.web]`, `backends = [\"…\"]`"),
    );
    None
}

fn read_host(text: &Text<'_>) -> Option<HostPattern> {
    let host = text.as_str();
    if host == "*" {
        return Some(HostPattern::Any);
    }
    let suffix = host.strip_prefix("*.");
    let problem = if host.is_empty() {
        Some(("it is empty".to_owned(), "leave `host` out for any host"))
    } else if host.contains("://") || host.contains('/') {
        Some(("it is more than a host".to_owned(), "write only the host, the path into `path`"))
    } else if suffix.unwrap_or(host).contains('*') {
        let label = "a wildcard stands for whole labels at the beginning".to_owned();
        Some((label, "write it like `*.example.org`"))
    } else {
        host_problem(suffix.unwrap_or(host))
            .map(|label| (label, "write it like `www.example.org` or `*.example.org`"))
    };
    if let Some((label, help)) = problem {
        let message = format!("`{}` is not a host to match", text.path());
        text.report(text.error(message, label).help(help));
        return None;
    }
    Some(match suffix {
        Some(suffix) => HostPattern::Suffix(format!(".{suffix}").into()),
        None => HostPattern::Exact(host.into()),
    })
}

/// A pattern, where it stands, and the full name of its key.
type PlacedPattern = (PathPattern, Range<usize>, String);

/// Reads `path`, `exact` with `slash`, or `regex`; without any, every path is meant.
fn read_pattern(table: &mut Table<'_>) -> Option<PlacedPattern> {
    let given = ["path", "exact", "regex"].map(|key| table.take(key));
    let slash = table.take("slash");
    let either = slash.clone().and_then(Value::word).is_some();
    let mut several = given.iter().flatten();
    if let (Some(first), Some(second)) = (several.next(), several.next()) {
        let (count, third) = match several.next() {
            Some(third) => ("three", Some(third)),
            None => ("two", None),
        };
        let found =
            Diagnostic::error(format!("`{}` has {count} patterns for its path", table.path()))
                .at(second.key_span(), "the second one")
                .related(first.key_span(), "the first one")
                .key(second.path())
                .help("write a route for each");
        table.report(match third {
            Some(third) => found.related(third.key_span(), "the third one"),
            None => found,
        });
        return None;
    }
    let [path, exact, regex] = given;
    if let Some(slash) = slash.filter(|_| exact.is_none()) {
        table.report(
            Diagnostic::error("`slash` goes with `exact`")
                .at(slash.key_span(), "there is no `exact`")
                .key(slash.path())
                .help("`path` without a slash at the end has both spellings already"),
        );
    }
    let placed = |pattern, text: &Text<'_>| (pattern, text.span(), text.path().to_owned());
    if let Some(path) = path {
        let text = path.text()?;
        return Some(placed(PathPattern::Prefix(read_path(&text)?), &text));
    }
    if let Some(exact) = exact {
        let text = exact.text()?;
        let path = read_path(&text)?;
        let pattern =
            if either { PathPattern::EitherSlash(path) } else { PathPattern::Exact(path) };
        return Some(placed(pattern, &text));
    }
    if let Some(regex) = regex {
        let text = regex.text()?;
        return Some(placed(PathPattern::Regex(read_regex(&text)?), &text));
    }
    let key = format!("{}.path", table.path());
    Some((PathPattern::Prefix("/".into()), table.span(), key))
}

/// Reads a regular expression.
pub(super) fn read_regex(text: &Text<'_>) -> Option<Regex> {
    match Regex::new(text.as_str()) {
        Ok(regex) => Some(regex),
        Err(error) => {
            // The crate draws the expression over several lines; the reason is the last.
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("`{}` is not a regular expression", text.path());
            text.report(text.error(message, reason));
            None
        }
    }
}

fn read_strip(table: &mut Table<'_>, path: Option<&PlacedPattern>) -> bool {
    let Some(strip) = table.take("strip") else { return false };
    let is_on = strip.clone().boolean().unwrap_or(false);
    if is_on && let Some((PathPattern::Regex(_), span, _)) = path {
        table.report(
            strip
                .error("has no use with `regex`", "what should be taken off?")
                .related(span.clone(), "an expression has no beginning that stands for all")
                .help("only what `path` or `exact` say can be taken off"),
        );
    }
    is_on
}

fn read_path(text: &Text<'_>) -> Option<Box<str>> {
    let path = text.as_str();
    let problem = path_problem(path);
    match problem {
        None => Some(path.into()),
        Some((label, help)) => {
            text.report(
                text.error(format!("`{}` is not a path to match", text.path()), label).help(help),
            );
            None
        }
    }
}

/// Why no request could have this path, or none that is meant; and what to write.
fn path_problem(path: &str) -> Option<(&'static str, String)> {
    if path.is_empty() {
        return Some(("it is empty", "every path is matched by `/`".to_owned()));
    }
    if !path.starts_with('/') {
        let help = match path_problem(&format!("/{path}")) {
            None => format!("write `/{path}`"),
            Some((_, help)) => help,
        };
        return Some(("it does not begin with `/`", help));
    }
    if let Some(at) = path.find('*') {
        let below = &path[..at];
        let help = match path_problem(below) {
            None if at + 1 == path.len() => {
                format!("a path matches everything below it: write `{below}`")
            }
            _ => "anything but a prefix is written as `regex`".to_owned(),
        };
        return Some(("wildcards are not supported", help));
    }
    if path.contains(['?', '#']) {
        return Some(("only the path of a request is matched", "leave out the query".to_owned()));
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return Some((
            "`.` and `..` are resolved before it is compared",
            "write the path they lead to".to_owned(),
        ));
    }
    if bad_escape(path) {
        let help = "a percent sign itself is sent as `%25`".to_owned();
        return Some(("two hexadecimal digits must follow a `%`", help));
    }
    let sent = as_sent(path);
    (sent != path)
        .then(|| ("a path is compared as it is sent, with `%` escapes", format!("write `{sent}`")))
}

fn bad_escape(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The path with everything escaped that no client sends unescaped.
fn as_sent(path: &str) -> String {
    path.bytes().fold(String::new(), |mut sent, byte| {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => sent.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(sent, "%{byte:02X}")),
        }
        sent
    })
}

/// Finds each route's cluster, and the routes that no request can come to.
pub(super) fn link_routes(
    raw: &[RawRoute<'_>],
    clusters: &[Cluster],
    named: &[&str],
    out: &Diagnostics,
) -> Vec<Route> {
    report_unreachable(raw, out);
    let mut routes = Vec::new();
    for route in raw {
        let name = match &route.to {
            Destination::Named(name) => name.as_str(),
            Destination::Short => DEFAULT_CLUSTER,
            Destination::Unreadable => continue,
        };
        match clusters.iter().position(|cluster| &*cluster.name == name) {
            Some(cluster) => routes.push(Route { cluster, ..route.route.clone() }),
            // A cluster that is in the file but could not be read has its own error.
            None if named.contains(&name) => {}
            None => {
                if let Destination::Named(to) = &route.to {
                    out.push(unknown_cluster(to, named));
                }
            }
        }
    }
    routes
}

fn unknown_cluster(to: &Text<'_>, named: &[&str]) -> Diagnostic {
    let error = to
        .error(format!("route points to unknown cluster `{}`", to.as_str()), "no such cluster")
        .absence();
    if named.is_empty() {
        return error.help(format!(
            "this file has no clusters; add `[cluster.{}]` with `backends = [\"…\"]`",
            to.as_str()
        ));
    }
    let list = format!("clusters in this file: {}", code_list(named.iter().copied()));
    error.help(match did_you_mean(to.as_str(), named.iter().copied()) {
        Some(name) => format!("{list}; did you mean `{name}`?"),
        None => list,
    })
}
