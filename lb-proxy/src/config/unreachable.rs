//! Routes that no request can come to.
//!
//! Such a route is nearly always one that somebody believes in. Only what a glance
//! proves is reported: a route that is silently never taken is worse than none, but
//! a route that is refused although it is taken would be worse still.

use super::{diagnostic::Diagnostic, diagnostics::Diagnostics, route::RawRoute};
use crate::{Condition, HostPattern, PathPattern, Route, RouteTable};

/// Reports every route that others leave nothing for.
pub(super) fn report_unreachable(raw: &[RawRoute<'_>], out: &Diagnostics) {
    report_shadowed(raw, out);
    report_late_expressions(raw, out);
    report_halved(raw, out);
}

fn report_shadowed(raw: &[RawRoute<'_>], out: &Diagnostics) {
    // The table sorts routes and gives them back by value: a number leads back.
    let numbered =
        |(number, raw): (usize, &RawRoute<'_>)| Route { cluster: number, ..raw.route.clone() };
    let table = RouteTable::new(raw.iter().enumerate().map(numbered).collect());
    for (route, by) in table.shadowed() {
        let (route, by) = (&raw[route.cluster], &raw[by.cluster]);
        let host = match &route.route.host {
            HostPattern::Any => String::new(),
            host => format!(" of the host `{host}`"),
        };
        out.push(
            Diagnostic::error(format!("two routes for the path `{}`{host}", route.route.path))
                .at(route.path_span.clone(), "no request would ever come here")
                .related(by.path_span.clone(), "already matched by this route")
                .key(&route.key),
        );
    }
}

/// A prefix without a slash at the end is a path and all below it, and `slash =
/// "either"` is a path with and without one. Where both parts have routes of their
/// own, nothing is left.
fn report_halved(raw: &[RawRoute<'_>], out: &Diagnostics) {
    for halved in raw {
        let (whole, is_prefix) = match &halved.route.path {
            PathPattern::Prefix(prefix) if !prefix.ends_with('/') => (&**prefix, true),
            PathPattern::EitherSlash(path) => (path.strip_suffix('/').unwrap_or(path), false),
            _ => continue,
        };
        let itself = |path: &PathPattern| match path {
            PathPattern::Exact(exact) => **exact == *whole,
            PathPattern::EitherSlash(path) => {
                is_prefix && path.strip_suffix('/').unwrap_or(path) == whole
            }
            _ => false,
        };
        let rest = |path: &PathPattern| match path {
            PathPattern::Prefix(path) => is_prefix && path.strip_suffix('/') == Some(whole),
            PathPattern::Exact(path) => !is_prefix && path.strip_suffix('/') == Some(whole),
            _ => false,
        };
        let taker = |takes: &dyn Fn(&PathPattern) -> bool| {
            raw.iter().find(|other| {
                other.route.when == Condition::Always
                    && other.route.host == halved.route.host
                    && takes(&other.route.path)
            })
        };
        if let (Some(itself), Some(rest)) = (taker(&itself), taker(&rest)) {
            out.push(
                Diagnostic::error(format!("nothing is left for the path `{}`", halved.route.path))
                    .at(halved.path_span.clone(), "no request would ever come here")
                    .related(itself.path_span.clone(), "takes the path itself")
                    .related(rest.path_span.clone(), "takes the rest")
                    .key(&halved.key),
            );
        }
    }
}

/// Prefixes are tried before expressions: one whose beginning is below a prefix
/// without conditions is never asked.
fn report_late_expressions(raw: &[RawRoute<'_>], out: &Diagnostics) {
    for late in raw {
        let PathPattern::Regex(regex) = &late.route.path else { continue };
        let beginning = literal_beginning(regex.as_str());
        let covers = |other: &&RawRoute<'_>| {
            let PathPattern::Prefix(prefix) = &other.route.path else { return false };
            let below = prefix.strip_suffix('/').unwrap_or(prefix);
            !below.is_empty()
                && other.route.when == Condition::Always
                && other.route.host == late.route.host
                && beginning.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(by) = raw.iter().find(covers) {
            out.push(
                Diagnostic::error(format!("no path comes to the expression `{regex}`"))
                    .at(late.path_span.clone(), "no request would ever come here")
                    .related(by.path_span.clone(), "already matched by this route")
                    .key(&late.key)
                    .help("prefixes are tried before expressions: write the prefix as `regex` too"),
            );
        }
    }
}

/// What every path begins with that an anchored expression matches; nothing where
/// that takes more than a glance.
fn literal_beginning(regex: &str) -> &str {
    let Some(anchored) = regex.strip_prefix('^').filter(|rest| !rest.contains('|')) else {
        return "";
    };
    let end = anchored.find(|c: char| "\\.+*?()[]{}^$".contains(c)).unwrap_or(anchored.len());
    let (literal, rest) = anchored.split_at(end);
    match rest.starts_with(['*', '?', '{']) {
        // The last character may be missing.
        true => literal.char_indices().next_back().map_or("", |(last, _)| &literal[..last]),
        false => literal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_expression_is_what_every_match_begins_with() {
        for (regex, beginning) in [
            ("^/files/[0-9]+$", "/files/"),
            ("^/a$", "/a"),
            ("^/ab?", "/a"),
            ("^/ab+", "/ab"),
            ("/files/", ""),
            ("^/a|/b", ""),
            ("^", ""),
        ] {
            assert_eq!(literal_beginning(regex), beginning, "{regex}");
        }
    }
}
