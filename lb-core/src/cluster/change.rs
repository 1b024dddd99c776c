//! What can be said to a cluster.

use std::sync::Arc;

use super::policy::Policy;
use crate::{
    backend::{AdminState, Health, IncarnationId, Weight},
    membership::Membership,
    sticky::Ring,
    strategy::Strategy,
};

/// One change to a cluster.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// The whole set of backends, from now on.
    Membership(Membership),
    /// What somebody decided about a backend. Survives the backend's leaving and
    /// coming back.
    Admin {
        /// The backend's name.
        backend: Arc<str>,
        /// What it is to be.
        state: AdminState,
    },
    /// Another weight than the described one; `None` goes back to that.
    Weight {
        /// The backend's name.
        backend: Arc<str>,
        /// The weight in force.
        weight: Option<Weight>,
    },
    /// A verdict on one life of a backend, for those who have reached it on their own.
    /// It holds until evidence or another verdict says otherwise; an ejection, until
    /// checks pass or another verdict comes. What checks saw is for
    /// [`Cluster::observe`](super::Cluster::observe).
    Health {
        /// Which life.
        incarnation: IncarnationId,
        /// The verdict.
        health: Health,
    },
    /// What to do about backends that fail, come back, or are too few.
    Policy(Policy),
    /// The keys by which backends are found from cookies; `None`: not at all.
    Ring(Option<Ring>),
    /// Another strategy; loads, health and admin states stay.
    Strategy(Box<dyn Strategy>),
}

/// Why a change was not recorded. The cluster is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No backend of the present membership has this name.
    #[error("there is no backend `{0}`")]
    NoSuchBackend(Arc<str>),
    /// That life is over, or not yet built.
    #[error("incarnation {0} is not there")]
    NoSuchIncarnation(IncarnationId),
    /// Two backends would have the same derived route: one pair in 2⁶⁴ has. Another
    /// name or another key helps.
    #[error("the backends `{0}` and `{1}` have the same sticky route")]
    RouteCollision(Arc<str>, Arc<str>),
}

/// Counts the changes a cluster has recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

impl Version {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
