//! What can be seen of a backend from outside of requests.

use std::{sync::Arc, time::Duration};

/// One observation of one life of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observation {
    /// A check passed after this time, or failed for this reason ("status 500").
    /// Requests that succeed do not outweigh the failure: a backend may take itself
    /// out by its answer to the check while it still serves.
    Check(Result<Duration, Arc<str>>),
    /// A check got no answer, for this reason ("connect: refused", "timeout after
    /// 1 s"). As a failed check, except that a request that succeeds afterwards
    /// counts as a check that passed: the way is there after all.
    NoAnswer(Arc<str>),
}
