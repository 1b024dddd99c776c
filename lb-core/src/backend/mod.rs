//! What is known of one backend.
//!
//! Three kinds of knowledge are kept apart, because they end at different times:
//!
//! * the **description** ([`Backend`]): what a file or source says; replaced
//!   whenever that says something else;
//! * what hangs on the **name**: weight overrides and [`AdminState`], decided by
//!   people, kept while backends come and go;
//! * what hangs on one **incarnation** (name + address + source instance):
//!   in-flight counts, latency, failures, health. They end with it: a new
//!   address under an old name starts from nothing.

mod admin_state;
pub(crate) mod decay;
pub(crate) mod gate;
mod health;
pub(crate) mod load;
pub(crate) mod meters;
mod phantom;
pub(crate) mod report;
pub(crate) mod seat;
pub(crate) mod tallies;
mod weight;

use std::{fmt, num::NonZeroU32, sync::Arc};

pub use admin_state::AdminState;
pub use health::Health;
pub use report::{LoadReport, Reported};
pub use weight::Weight;

use crate::cluster::Passive;

/// One member of a cluster, as a file or a source describes it.
///
/// The address is opaque here: whoever opens connections reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    name: Arc<str>,
    address: Arc<str>,
    instance: Option<Arc<str>>,
    weight: Weight,
    tier: u8,
    max_in_flight: Option<NonZeroU32>,
    state: AdminState,
    passive: Option<Passive>,
    zone: Option<Arc<str>>,
    is_spare: bool,
}

impl Backend {
    /// A backend at this address, named by it, of weight 1 in tier 0.
    #[must_use]
    pub fn new(address: impl AsRef<str>) -> Self {
        let address: Arc<str> = Arc::from(address.as_ref());
        Self {
            name: Arc::clone(&address),
            address,
            instance: None,
            weight: Weight::ONE,
            tier: 0,
            max_in_flight: None,
            state: AdminState::Enabled,
            passive: None,
            zone: None,
            is_spare: false,
        }
    }

    /// Gives it a name of its own, under which it stays the same backend when
    /// its address changes.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.name = Arc::from(name.as_ref());
        self
    }

    /// Says which life of the backend this is (a container id, a boot id).
    #[must_use]
    pub fn instance(mut self, instance: impl AsRef<str>) -> Self {
        self.instance = Some(Arc::from(instance.as_ref()));
        self
    }

    /// Sets its weight.
    #[must_use]
    pub fn weighted(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// Puts it into a tier. Tier 1 is used when nobody of tier 0 can be.
    #[must_use]
    pub fn in_tier(mut self, tier: u8) -> Self {
        self.tier = tier;
        self
    }

    /// Caps how many requests it may work on at once.
    #[must_use]
    pub fn with_max_in_flight(mut self, max: NonZeroU32) -> Self {
        self.max_in_flight = Some(max);
        self
    }

    /// Says when failed requests take it out, whatever the cluster's
    /// [`Policy`](crate::cluster::Policy) is.
    #[must_use]
    pub fn with_passive(mut self, passive: Passive) -> Self {
        self.passive = Some(passive);
        self
    }

    /// Says in which zone it is. A cluster may [prefer](crate::cluster::Zone) its own.
    #[must_use]
    pub fn in_zone(mut self, zone: impl AsRef<str>) -> Self {
        self.zone = Some(Arc::from(zone.as_ref()));
        self
    }

    /// Makes it a hot spare: it is used while another of its tier is out, whatever the
    /// reason, that is as many spares as others are out, in the order of the list.
    /// Apache's `status=+R`.
    #[must_use]
    pub fn spare(mut self, is_spare: bool) -> Self {
        self.is_spare = is_spare;
        self
    }

    /// Says whether it is to be used. What a person decides at run time comes on top:
    /// the decision that [admits less](AdminState::and) holds.
    #[must_use]
    pub fn in_state(mut self, state: AdminState) -> Self {
        self.state = state;
        self
    }

    /// Its name, unique in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, to keep.
    #[must_use]
    pub fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it is, to keep.
    #[must_use]
    pub fn shared_address(&self) -> &Arc<str> {
        &self.address
    }

    /// Which life of it this is, if its source says so.
    #[must_use]
    pub fn source_instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// Its configured weight.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Its tier; 0 is used first.
    #[must_use]
    pub fn tier(&self) -> u8 {
        self.tier
    }

    /// Its ceiling of requests in flight.
    #[must_use]
    pub fn max_in_flight(&self) -> Option<NonZeroU32> {
        self.max_in_flight
    }

    /// When failed requests take it out, if it says so itself.
    #[must_use]
    pub fn passive(&self) -> Option<Passive> {
        self.passive
    }

    /// Its zone, if it says one.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Whether it is a hot spare.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Whether it is to be used, as described.
    #[must_use]
    pub fn state(&self) -> AdminState {
        self.state
    }

    /// Whether `other` is the same life of the same backend.
    #[must_use]
    pub fn is_same_incarnation_as(&self, other: &Self) -> bool {
        self.name == other.name && self.address == other.address && self.instance == other.instance
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Names one life of a backend within its cluster; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncarnationId(u64);

impl IncarnationId {
    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for IncarnationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
