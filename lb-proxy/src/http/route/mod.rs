//! Which cluster a request belongs to.
//!
//! The order in which routes are tried follows from what they say, not from where
//! they stand, so that a file can be sorted and split as people like:
//!
//! 1. by host: those that name it, then the longest wildcard, then those for any;
//! 2. by path: exact ones, then ones in either spelling, then the longest prefix,
//!    then regular expressions, these in the order of the file;
//! 3. of the same host and path: those with a condition before the one without,
//!    in the order of the file.
//!
//! The first that fits is taken. A host's routes do not hide those for any host: a
//! path that none of them takes is tried with the less specific ones.
//!
//! The hard decision is which path is compared. A decision about `/public/../admin`
//! that differs from what the backend makes of it is a hole, so the path is brought
//! into [one form](path) first, and what has no single meaning is refused; the
//! backend still gets what the client sent.

mod condition;
mod explain;
mod facts;
mod host;
mod path;
mod strip;
mod table;

pub use condition::{Condition, ValuePattern};
pub use explain::{Explained, Verdict};
pub use facts::RequestFacts;
pub use host::HostPattern;
pub use path::{PathError, PathPattern};
pub use table::{RouteTable, Unrouted};

/// What a request must look like, and where it goes then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What logs and explanations call it.
    pub name: Box<str>,
    /// Whom it was addressed to.
    pub host: HostPattern,
    /// What it asks for.
    pub path: PathPattern,
    /// What else must be true of it.
    pub when: Condition,
    /// Position in the list of clusters.
    pub cluster: usize,
    /// Whether the path that matched is removed before a backend sees it. Without
    /// effect on a regular expression.
    pub strip: bool,
}

impl Route {
    /// Sends everything to the cluster at position `cluster`.
    #[must_use]
    pub fn everything(cluster: usize) -> Self {
        Self::prefix("/", cluster)
    }

    /// Sends what begins with `prefix` to the cluster at position `cluster`,
    /// whatever the host. Its name is the prefix.
    #[must_use]
    pub fn prefix(prefix: &str, cluster: usize) -> Self {
        Self {
            name: prefix.into(),
            host: HostPattern::Any,
            path: PathPattern::Prefix(prefix.into()),
            when: Condition::Always,
            cluster,
            strip: false,
        }
    }
}

#[cfg(test)]
mod tests;
