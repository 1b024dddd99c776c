//! Which cluster a path belongs to: the longest prefix wins.
//!
//! A prefix ends at a path segment: `/api` is `/api` and everything under
//! `/api/`, not `/apiary`. `/api/` is only what is under it. Order in the file
//! never matters. A table is a sorted list: routes are few, and the longest
//! match is the first one found.

use std::cmp::Reverse;

/// A path prefix and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Begins with `/`.
    pub prefix: Box<str>,
    /// Position in the list of clusters.
    pub cluster: usize,
}

impl Route {
    /// Sends everything to the cluster at position `cluster`.
    #[must_use]
    pub fn everything(cluster: usize) -> Self {
        Self { prefix: "/".into(), cluster }
    }

    fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(&*self.prefix) {
            None => false,
            Some(rest) => rest.is_empty() || rest.starts_with('/') || self.prefix.ends_with('/'),
        }
    }
}

/// Routes by path prefix.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    longest_first: Box<[Route]>,
}

impl RouteTable {
    /// A table of these routes, in any order. Of two with the same prefix the
    /// first wins; a configuration refuses them before it comes to this.
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| Reverse(route.prefix.len()));
        Self { longest_first: routes.into() }
    }

    /// The route of a path (without a query), or `None` when no prefix fits.
    ///
    /// `*`, the target of `OPTIONS *`, means the server as a whole and goes
    /// where `/` goes.
    #[must_use]
    pub fn lookup(&self, path: &str) -> Option<&Route> {
        let path = if path == "*" { "/" } else { path };
        self.longest_first.iter().find(|route| route.matches(path))
    }

    /// The routes, longest prefix first.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.longest_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(prefixes: &[&str]) -> RouteTable {
        let route = |(cluster, prefix): (usize, &&str)| Route { prefix: (*prefix).into(), cluster };
        RouteTable::new(prefixes.iter().enumerate().map(route).collect())
    }

    fn found(table: &RouteTable, path: &str) -> Option<usize> {
        table.lookup(path).map(|route| route.cluster)
    }

    #[test]
    fn the_longest_prefix_wins_whatever_the_order() {
        for order in [["/", "/api", "/api/v2"], ["/api/v2", "/", "/api"]] {
            let table = table(&order);
            let prefix = |path: &str| &*table.lookup(path).unwrap().prefix;
            assert_eq!(prefix("/api/v2/x"), "/api/v2");
            assert_eq!(prefix("/api/v3"), "/api");
            assert_eq!(prefix("/index.html"), "/");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let table = table(&["/api"]);
        assert_eq!(found(&table, "/api"), Some(0));
        assert_eq!(found(&table, "/api/"), Some(0));
        assert_eq!(found(&table, "/api/x"), Some(0));
        assert_eq!(found(&table, "/apiary"), None);
        assert_eq!(found(&table, "/"), None);
    }

    #[test]
    fn a_prefix_with_a_slash_is_only_what_is_under_it() {
        let table = table(&["/api/"]);
        assert_eq!(found(&table, "/api/x"), Some(0));
        assert_eq!(found(&table, "/api/"), Some(0));
        assert_eq!(found(&table, "/api"), None);
    }

    #[test]
    fn the_root_is_everything_and_the_asterisk_too() {
        let table = table(&["/"]);
        assert_eq!(found(&table, "/"), Some(0));
        assert_eq!(found(&table, "/any/thing"), Some(0));
        assert_eq!(found(&table, "*"), Some(0));
        assert_eq!(found(&self::table(&["/api"]), "*"), None);
    }
}
