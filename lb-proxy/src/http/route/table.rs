//! All routes, in the order in which they are tried.
//!
//! One sorted list; the routes of a host are a range of it. A host is looked up by
//! hash, and so is each of its suffixes where there are wildcards at all; within a
//! range the list is gone through, as routes of one host are few.

use std::{collections::HashMap, ops::Range};

use super::{
    Condition, HostPattern, PathError, RequestFacts, Route, host::HostName, path::other_readings,
};

/// Routes, most specific first. See the head of the module for the order.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    in_order: Box<[Route]>,
    exact: HashMap<Box<str>, Range<usize>>,
    suffixes: HashMap<Box<str>, Range<usize>>,
    any: Range<usize>,
}

/// Why a request has no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrouted {
    /// None fits.
    NoRoute,
    /// Every route names a host, and none names this one.
    ForeignHost,
    /// The route depends on whether an encoded slash is one, or on parameters.
    Path(PathError),
}

impl RouteTable {
    /// A table of these routes, in any order. Of two with the same host, path and
    /// condition the first wins; see [`shadowed`](Self::shadowed).
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().map(normal).enumerate().collect();
        let mut first = HashMap::new();
        let mut first_of = |key: String, position| *first.entry(key).or_insert(position);
        routes.sort_by_cached_key(|(position, route)| {
            let Route { host, path, when, .. } = route;
            let host_rank = match host {
                HostPattern::Exact(_) => (0, 0),
                HostPattern::Suffix(suffix) => (1, usize::MAX - suffix.len()),
                HostPattern::Any => (2, 0),
            };
            let host_rank = (host_rank, first_of(host.to_string(), *position));
            let same_path = first_of(format!("{host} {path}"), *position);
            (host_rank, path.rank(), same_path, *when == Condition::Always, *position)
        });
        let in_order: Box<[Route]> = routes.into_iter().map(|(_, route)| route).collect();
        let mut table = Self { in_order, ..Self::default() };
        table.find_ranges();
        table
    }

    fn find_ranges(&mut self) {
        let mut begin = 0;
        for routes in self.in_order.chunk_by(|one, other| one.host == other.host) {
            let range = begin..begin + routes.len();
            begin = range.end;
            match &routes[0].host {
                HostPattern::Exact(name) => drop(self.exact.insert(name.clone(), range)),
                HostPattern::Suffix(suffix) => drop(self.suffixes.insert(suffix.clone(), range)),
                HostPattern::Any => self.any = range,
            }
        }
    }

    /// The route of a request, or `None` when none fits. Allocates nothing.
    #[must_use]
    pub fn lookup(&self, facts: &RequestFacts<'_>) -> Option<&Route> {
        self.search(facts, facts.path())
    }

    /// The route of a request, with the reason if it has none. Allocates only for
    /// paths with an encoded slash or with parameters.
    ///
    /// # Errors
    ///
    /// When no route fits, or when it depends on how an encoded slash or a parameter
    /// is read.
    pub fn decide(&self, facts: &RequestFacts<'_>) -> Result<&Route, Unrouted> {
        let found = self.lookup(facts);
        for reading in other_readings(facts.path()) {
            let other = self.search(facts, &reading);
            if found.map(std::ptr::from_ref) != other.map(std::ptr::from_ref) {
                return Err(Unrouted::Path(PathError::Ambiguous));
            }
        }
        found.ok_or_else(|| match self.serves_host(facts) {
            true => Unrouted::NoRoute,
            false => Unrouted::ForeignHost,
        })
    }

    /// The routes in the order in which they are tried, each in the form that is
    /// compared.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.in_order
    }

    /// Where one of [`routes`](Self::routes) stands among them, in constant time.
    pub(crate) fn position(&self, route: &Route) -> Option<usize> {
        let from_first =
            std::ptr::from_ref(route).addr().checked_sub(self.in_order.as_ptr().addr())?;
        let position = from_first / size_of::<Route>();
        (position < self.in_order.len()).then_some(position)
    }

    /// Every route that can never be taken, with the one that is taken instead:
    /// one before it has the same host and path, and the same condition or none.
    #[must_use]
    pub fn shadowed(&self) -> Vec<(&Route, &Route)> {
        let same = |one: &Route, other: &Route| one.host == other.host && one.path == other.path;
        let groups = self.in_order.chunk_by(same);
        groups
            .flat_map(|group| {
                group.iter().enumerate().filter_map(|(position, route)| {
                    let before = &group[..position];
                    before.iter().find(|other| other.when == route.when).map(|by| (route, by))
                })
            })
            .collect()
    }

    fn search(&self, facts: &RequestFacts<'_>, path: &str) -> Option<&Route> {
        let first = |range: &Range<usize>| {
            let mut routes = self.in_order[range.clone()].iter();
            routes.find(|route| route.path.matches(path) && route.when.holds(facts))
        };
        if self.names_hosts() {
            let host = HostName::new(facts.host());
            if let Some(route) = self.ranges_of(&host).find_map(first) {
                return Some(route);
            }
        }
        first(&self.any)
    }

    fn names_hosts(&self) -> bool {
        !self.exact.is_empty() || !self.suffixes.is_empty()
    }

    /// The ranges of routes that name a host, most specific first.
    fn ranges_of(&self, host: &HostName) -> impl Iterator<Item = &Range<usize>> {
        let wildcards = (!self.suffixes.is_empty()).then(|| host.suffixes());
        let wildcards = wildcards.into_iter().flatten();
        let wildcards = wildcards.filter_map(|suffix| self.suffixes.get(suffix));
        self.exact.get(host.as_str()).into_iter().chain(wildcards)
    }

    fn serves_host(&self, facts: &RequestFacts<'_>) -> bool {
        !self.names_hosts()
            || !self.any.is_empty()
            || self.ranges_of(&HostName::new(facts.host())).next().is_some()
    }
}

fn normal(mut route: Route) -> Route {
    route.host = route.host.normal();
    route.path = route.path.normal();
    route
}
