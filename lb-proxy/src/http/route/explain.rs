//! Why a request goes where it goes, for people.

use std::fmt;

use super::{Condition, HostPattern, PathPattern, RequestFacts, Route, RouteTable, host::HostName};

/// A route, and what it said to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained<'a> {
    /// The route.
    pub route: &'a Route,
    /// Whether it was taken, and if not, why.
    pub verdict: Verdict<'a>,
}

/// Whether a route was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It was.
    Taken,
    /// It fits, but one before it was taken.
    Late,
    /// The host is another.
    Host(&'a HostPattern),
    /// The path is another.
    Path(&'a PathPattern),
    /// This is not true of the request.
    Unmet(&'a Condition),
}

impl RouteTable {
    /// Every route in the order in which they are tried, with what becomes of it.
    /// The one that is [`Taken`](Verdict::Taken) is the one that
    /// [`lookup`](Self::lookup) finds.
    #[must_use]
    pub fn explain<'a>(&'a self, facts: &RequestFacts<'_>) -> Vec<Explained<'a>> {
        let host = HostName::new(facts.host());
        let mut taken = false;
        let explain = |route: &'a Route| {
            let verdict = if !route.host.matches(&host) {
                Verdict::Host(&route.host)
            } else if !route.path.matches(facts.path()) {
                Verdict::Path(&route.path)
            } else if let Some(unmet) = route.when.unmet(facts) {
                Verdict::Unmet(unmet)
            } else if std::mem::replace(&mut taken, true) {
                Verdict::Late
            } else {
                Verdict::Taken
            };
            Explained { route, verdict }
        };
        self.routes().iter().map(explain).collect()
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("matches"),
            Self::Late => f.write_str("would match, but a route before it does"),
            Self::Host(host) => write!(f, "the host is not {host}"),
            Self::Path(PathPattern::Prefix(prefix)) => write!(f, "the path is not below {prefix}"),
            Self::Path(PathPattern::Exact(path)) => write!(f, "the path is not {path}"),
            Self::Path(PathPattern::EitherSlash(path)) => {
                write!(f, "the path is neither {path} nor {path}/")
            }
            Self::Path(PathPattern::Regex(regex)) => write!(f, "the path does not match {regex}"),
            Self::Unmet(condition) => write!(f, "not true: {condition}"),
        }
    }
}
