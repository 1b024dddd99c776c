//! Removing from a target what a route has matched.
//!
//! What is left goes to the backend as it was sent. Only where the path had dots or
//! empty segments in what is removed, so that the place to cut is not visible in it,
//! the backend gets the rest of the form that was compared.

use super::{PathPattern, RequestFacts, Route, path::is_dots};

/// The prefix that is removed, and the target that is left.
pub(crate) type Stripped<'a> = (&'a str, String);

impl PathPattern {
    /// What is left of a target that matches, and what was removed; `None` when
    /// nothing is to be removed. `target` is what `facts` were made of.
    pub(crate) fn strip<'a>(
        &'a self,
        target: &str,
        facts: &RequestFacts<'_>,
    ) -> Option<Stripped<'a>> {
        let prefix = match self {
            Self::Prefix(prefix) | Self::Exact(prefix) | Self::EitherSlash(prefix) => &**prefix,
            Self::Regex(_) => return None,
        };
        let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
        if prefix == "/" || path == "*" {
            return None;
        }
        let rest = match self {
            Self::Prefix(_) => rest(prefix.trim_end_matches('/'), path, facts.path()),
            _ => "",
        };
        // A path that begins with two slashes would be a host to some, and to browsers
        // a backslash is one.
        let rest = rest.trim_start_matches('/');
        let (slash, rest) = rest.strip_prefix('\\').map_or(("/", rest), |rest| ("/%5C", rest));
        Some((prefix, format!("{slash}{rest}{query}")))
    }
}

impl Route {
    /// What a backend is asked for. `target` is what `facts` were made of.
    #[must_use]
    pub fn forwarded_target(&self, target: &str, facts: &RequestFacts<'_>) -> String {
        let stripped = self.strip.then(|| self.path.strip(target, facts)).flatten();
        stripped.map_or_else(|| target.to_owned(), |(_, left)| left)
    }
}

/// What follows `prefix` in a path, with the slash. Both forms of the path begin with
/// it.
fn rest<'a>(prefix: &str, sent: &'a str, compared: &'a str) -> &'a str {
    if sent == compared {
        return &sent[prefix.len()..];
    }
    let mut cut = 0;
    for segment in sent.split('/').skip(1).take(prefix.matches('/').count()) {
        cut += 1 + segment.len();
        if segment.is_empty() {
            return &compared[prefix.len()..];
        }
    }
    if sent.split('/').any(is_dots) {
        return &compared[prefix.len()..];
    }
    &sent[cut..]
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    /// The target a backend gets.
    fn left(pattern: &PathPattern, target: &str) -> Option<String> {
        let headers = HeaderMap::new();
        let client = [192, 0, 2, 1].into();
        let facts = RequestFacts::new(&Method::GET, "", target, &headers, client).ok()?;
        let pattern = pattern.normal();
        assert!(pattern.matches(facts.path()), "{target}");
        pattern.strip(target, &facts).map(|(_, target)| target)
    }

    fn below(prefix: &str, target: &str) -> String {
        left(&PathPattern::Prefix(prefix.into()), target).unwrap()
    }

    #[test]
    fn a_prefix_is_removed_and_the_query_kept() {
        for prefix in ["/api", "/api/"] {
            assert_eq!(below(prefix, "/api/x?y=/api"), "/x?y=/api");
            assert_eq!(below(prefix, "/api/"), "/");
            assert_eq!(below(prefix, "/api/x/"), "/x/");
        }
        assert_eq!(below("/api", "/api"), "/");
        assert_eq!(below("/api", "/api?q"), "/?q");
        assert_eq!(below("/a/b", "/a/b/c"), "/c");
    }

    #[test]
    fn the_rest_is_as_it_was_sent() {
        assert_eq!(below("/api", "/api/%61%2Fb//c"), "/%61%2Fb//c");
        assert_eq!(below("/api", "/%61pi/%61"), "/%61");
        assert_eq!(below("/é", "/%c3%a9/x%2f"), "/x%2f");
    }

    #[test]
    fn where_dots_or_empty_segments_hide_the_cut_the_rest_is_as_it_was_compared() {
        assert_eq!(below("/api", "//api/%61"), "/a");
        assert_eq!(below("/api", "/x/../api/y"), "/y");
        assert_eq!(below("/api", "/api/../api/y"), "/y");
        assert_eq!(below("/api", "/api/y/%2e%2E/z"), "/z");
    }

    #[test]
    fn no_rest_begins_with_a_host() {
        assert_eq!(below("/api", "/api//example.org/x"), "/example.org/x");
        assert_eq!(below("/api/", "/api///x"), "/x");
        assert_eq!(below("/api", "/api/\\example.org/x"), "/%5Cexample.org/x");
        assert_eq!(below("/api", "/api//\\\\x"), "/%5C\\x");
    }

    #[test]
    fn an_exact_path_leaves_the_root_and_an_expression_everything() {
        assert_eq!(left(&PathPattern::Exact("/a".into()), "/a?b").as_deref(), Some("/?b"));
        assert_eq!(left(&PathPattern::EitherSlash("/a".into()), "/a/").as_deref(), Some("/"));
        let regex = PathPattern::Regex(regex::Regex::new("^/a").unwrap());
        assert_eq!(left(&regex, "/a/b"), None);
        assert_eq!(left(&PathPattern::Prefix("/".into()), "/a/b"), None);
        assert_eq!(left(&PathPattern::Prefix("/".into()), "*"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_left_means_what_was_compared(
            prefix in "(/[ab]){1,2}/?",
            tail in "([ab./\\\\]|%2e|%61|%2F){0,10}",
        ) {
            let target = format!("{prefix}/{tail}?q");
            let headers = HeaderMap::new();
            let client = [192, 0, 2, 1].into();
            let facts = RequestFacts::new(&Method::GET, "", &target, &headers, client);
            let pattern = PathPattern::Prefix(prefix.clone().into()).normal();
            if let Ok(facts) = facts && pattern.matches(facts.path()) {
                let (_, left) = pattern.strip(&target, &facts).unwrap();
                prop_assert!(left.starts_with('/') && !left[1..].starts_with(['/', '\\']));
                let again = RequestFacts::new(&Method::GET, "", &left, &headers, client).unwrap();
                let expected = &facts.path()[prefix.trim_end_matches('/').len()..];
                let expected = if expected.is_empty() { "/" } else { expected };
                prop_assert_eq!(again.path(), expected);
                prop_assert_eq!(again.query(), Some("q"));
            }
        }
    }
}
