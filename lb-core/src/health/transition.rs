//! A change of a verdict, and the verdict as it stands.

use std::{fmt, sync::Arc};

use super::reason::Reason;
use crate::{
    backend::{Health, IncarnationId},
    time::Tick,
};

/// The verdict on one incarnation changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// When.
    pub at: Tick,
    /// The backend's name.
    pub backend: Arc<str>,
    /// Which life of it.
    pub incarnation: IncarnationId,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.backend, self.to, self.reason)
    }
}

/// What is thought of one incarnation at present, for status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// The backend's name.
    pub backend: Arc<str>,
    /// Which life of it.
    pub incarnation: IncarnationId,
    /// The verdict.
    pub health: Health,
    /// Since when.
    pub since: Tick,
    /// Why.
    pub reason: Reason,
}
