//! Routes: `[[route]] path = "/api/", to = "dynamic"`.

use std::{fmt::Write as _, ops::Range};

use super::{
    cluster::{Cluster, DEFAULT_CLUSTER},
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    reader::{Table, Text, code_list, did_you_mean},
};

/// Which requests go to which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The path prefix. `/api` matches `/api` and what is below it, `/api/` only what is below.
    pub path: Box<str>,
    /// Position in the list of clusters.
    pub cluster: usize,
}

/// A route whose cluster was not looked up yet.
#[derive(Debug)]
pub(super) struct RawRoute<'a> {
    path: Box<str>,
    /// What to underline when the path is meant: the path, or the route without one.
    path_span: Range<usize>,
    /// The full name of the path's key.
    key: String,
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
        Self { path: "/".into(), path_span: span, key: "to".to_owned(), to: Destination::Short }
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
    let tables = file.take("route")?.into_tables();
    Some(tables.into_iter().filter_map(|table| read_route(table, out)).collect())
}

fn read_route<'a>(mut table: Table<'a>, out: &Diagnostics) -> Option<RawRoute<'a>> {
    let path = match table.take("path") {
        None => Some(("/".into(), table.span())),
        Some(value) => value.text().and_then(|text| Some((read_path(&text)?, text.span()))),
    };
    let key = format!("{}.path", table.path());
    let to = table.take("to");
    if to.is_none() {
        out.push(
            table
                .missing("to", "where do its requests go?")
                .help("add `to = \"NAME\"`, the name of a cluster"),
        );
    }
    let to = to.and_then(|to| {
        let span = to.span();
        if !to.is_text() {
            out.push(
                Diagnostic::error(format!("`{}.to` must be the name of a cluster", table.path()))
                    .at(span, "this is not a string")
                    .key(format!("{}.to", table.path()))
                    .help(
                        "backends are listed in a cluster: `[cluster.web]`, `backends = [\"…\"]`",
                    ),
            );
            return None;
        }
        to.text()
    });
    table.finish();
    let (path, path_span) = path?;
    let to = to.map_or(Destination::Unreadable, Destination::Named);
    Some(RawRoute { path, path_span, key, to })
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
            _ => "only prefixes of a path are matched".to_owned(),
        };
        return Some(("wildcards are not supported", help));
    }
    if path.contains(['?', '#']) {
        return Some(("only the path of a request is matched", "leave out the query".to_owned()));
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return Some(("`.` and `..` are not resolved", "write the path they lead to".to_owned()));
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

/// Finds each route's cluster, and the paths given twice.
pub(super) fn link_routes(
    raw: &[RawRoute<'_>],
    clusters: &[Cluster],
    named: &[&str],
    out: &Diagnostics,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for (position, route) in raw.iter().enumerate() {
        if let Some(first) = raw[..position].iter().find(|other| other.path == route.path) {
            out.push(
                Diagnostic::error(format!("two routes for the path `{}`", route.path))
                    .at(route.path_span.clone(), "no request would ever come here")
                    .related(first.path_span.clone(), "already matched by this route")
                    .key(&route.key),
            );
        }
        let name = match &route.to {
            Destination::Named(name) => name.as_str(),
            Destination::Short => DEFAULT_CLUSTER,
            Destination::Unreadable => continue,
        };
        match clusters.iter().position(|cluster| &*cluster.name == name) {
            Some(cluster) => routes.push(Route { path: route.path.clone(), cluster }),
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
