//! How to choose a backend: the two traits, and the strategies of this crate.
//!
//! # The split
//!
//! Every strategy wants a data structure of its own: a schedule, an alias table, a
//! hash ring. An interface that ranks candidates one request at a time forces all
//! of them into a scan. So a [`Strategy`] is a *recipe*: once per snapshot it
//! builds a [`Picker`] from everything that is known, taking the time it needs;
//! the picker then answers each request from that structure. What changes with
//! every request (how much is in flight where) the picker reads through the
//! [`View`].
//!
//! # Adding one
//!
//! ```
//! use lb_core::{
//!     cluster::View,
//!     strategy::{BuildCx, Choice, Needs, PickCx, Picker, Reason, Strategy},
//! };
//!
//! /// Always the backend that answered its last requests fastest.
//! #[derive(Debug)]
//! struct Fastest;
//!
//! impl Strategy for Fastest {
//!     fn name(&self) -> &'static str {
//!         "fastest"
//!     }
//!
//!     fn needs(&self) -> Needs {
//!         Needs::latency()
//!     }
//!
//!     fn build(&mut self, _: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
//!         Box::new(Self)
//!     }
//! }
//!
//! impl Picker for Fastest {
//!     fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
//!         let candidates = view.new_set().as_slice().iter().copied();
//!         let slot = candidates
//!             .filter(|slot| view.is_candidate(*slot, cx))
//!             .min_by_key(|slot| view.latency(*slot))?;
//!         Some(Choice::new(slot, Reason::Custom(&"fastest")))
//!     }
//! }
//! ```
//!
//! That is all: stickiness, retries, draining, ceilings and the reason in logs
//! are around the picker, not in it.

mod alias;
mod binding;
mod blocks;
mod by_busyness;
mod by_traffic;
mod choice;
mod draws;
mod field;
mod first;
mod haproxy_hash;
mod ip_hash;
mod jump;
mod keyed;
mod kind;
mod least_conn;
mod least_time;
mod maglev;
mod nginx_consistent;
mod nginx_hash;
mod options;
mod p2c;
mod peak_ewma;
mod per_group;
mod per_worker;
mod pick_cx;
mod points;
mod prequal;
mod random;
mod remainder;
pub(crate) mod rendezvous;
mod reported_load;
mod retry;
mod ring;
mod round_robin;
mod scan;
mod schedule;
mod tried;
mod units;

use std::{fmt::Debug, time::Duration};

pub use binding::Binding;
pub use by_busyness::ByBusyness;
pub use by_traffic::ByTraffic;
pub use choice::{Choice, Reason};
pub use first::First;
pub use haproxy_hash::HaproxyHash;
pub use ip_hash::IpHash;
pub(crate) use ip_hash::network;
pub use jump::Jump;
pub use kind::{StrategyKind, UnknownStrategy};
pub use least_conn::LeastConn;
pub use least_time::LeastTime;
pub use maglev::Maglev;
pub use nginx_consistent::NginxConsistent;
pub use nginx_hash::NginxHash;
pub use options::{
    BoundedLoad, Compat, HashFunction, HashType, KeyForm, Measure, StrategyOption, StrategyOptions,
    Tickets,
};
pub use p2c::P2c;
pub use peak_ewma::PeakEwma;
pub use per_group::PerGroup;
pub use pick_cx::PickCx;
pub use prequal::{Prequal, ProbePool, Probed};
pub use random::Random;
pub use rendezvous::Rendezvous;
pub use reported_load::ReportedLoad;
pub use ring::Ring;
pub use round_robin::RoundRobin;
pub use tried::Tried;

use crate::{
    backend::{LoadReport, decay::Decay},
    cluster::{GroupId, Slot, View},
    hash::Secret,
};

/// A recipe for pickers. Lives on the write side, one per cluster; what must
/// survive a rebuild (a cursor) it keeps itself.
pub trait Strategy: Debug + Send {
    /// Its name, as in configuration files.
    fn name(&self) -> &'static str;

    /// What the picker it built last needs to be kept up for it. Asked after each
    /// build; of a snapshot with several groups, all that any of their pickers needs.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Builds the picker for a snapshot, or for one [group](BuildCx::group) of it. Called
    /// by one thread, off the request path; may take milliseconds.
    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker>;
}

/// What a strategy built for one snapshot. Shared by all workers.
pub trait Picker: Debug + Send + Sync {
    /// Chooses a slot of `view`'s [`new_set`](View::new_set) that the request has
    /// not tried, or `None` when there is none. `view` is of the snapshot and group it
    /// was built for.
    ///
    /// Must not lock, block, allocate, or read a clock. The same view and context
    /// must give the same answer, except for a cursor that the strategy's
    /// documentation mentions.
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice>;
}

/// What a strategy needs from the cluster; work that nobody needs is not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// Keep the bitmap of idle backends up to date.
    pub(crate) idle_bits: bool,
    /// Picks go by a [key](PickCx::keyed).
    pub key: bool,
    /// They go by the networks of addresses.
    pub(crate) by_network: bool,
    /// Keep [`View::latency`] up to date.
    pub latency: bool,
    /// Keep [`View::response_time`] up to date.
    pub response_time: bool,
    /// Keep [`View::traffic`] up to date.
    pub traffic: bool,
    /// Keep [`View::reported`] up to date.
    pub reports: bool,
    /// Keep [`View::peak_latency`] up to date, so that it forgets like this.
    pub(crate) peak: Option<Decay>,
}

impl Needs {
    /// The bitmap of idle backends, and nothing else.
    pub(crate) fn idle_bits() -> Self {
        Self { idle_bits: true, ..Self::default() }
    }

    /// The average times to the first byte, and nothing else.
    #[must_use]
    pub fn latency() -> Self {
        Self { latency: true, ..Self::default() }
    }

    /// The average times to the last byte, and nothing else.
    #[must_use]
    pub fn response_time() -> Self {
        Self { response_time: true, ..Self::default() }
    }

    /// The bytes that backends moved, and nothing else.
    #[must_use]
    pub fn traffic() -> Self {
        Self { traffic: true, ..Self::default() }
    }

    /// What backends report of themselves, and nothing else.
    #[must_use]
    pub fn reports() -> Self {
        Self { reports: true, ..Self::default() }
    }

    /// The peaks of times to the first byte, which are forgotten in about this time,
    /// and nothing else.
    #[must_use]
    pub fn peak_latency(decay: Duration) -> Self {
        Self { peak: Some(Decay::over(decay)), ..Self::default() }
    }

    /// Both what this needs and the `other`; of two peaks, this one's.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let Self { idle_bits, key, by_network, latency, response_time, traffic, reports, peak } =
            other;
        Self {
            idle_bits: self.idle_bits || idle_bits,
            key: self.key || key,
            by_network: self.by_network || by_network,
            latency: self.latency || latency,
            response_time: self.response_time || response_time,
            traffic: self.traffic || traffic,
            reports: self.reports || reports,
            peak: self.peak.or(peak),
        }
    }

    /// Whether requests leave times or bytes behind.
    #[inline]
    pub(crate) fn is_metered(&self) -> bool {
        self.latency || self.response_time || self.traffic || self.peak.is_some()
    }

    /// An address with each pick, of which its [`network`] counts, and nothing else.
    pub(crate) fn network() -> Self {
        Self { by_network: true, ..Self::key() }
    }

    /// A key with each pick, and nothing else.
    #[must_use]
    pub fn key() -> Self {
        Self { key: true, ..Self::default() }
    }
}

/// What a build is given besides the view.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BuildCx {
    /// Where a cursor may start: the same for all builds of a cluster.
    pub entropy: u64,
    /// For hashes that balancers with a cluster of the same name should agree on
    /// unless they were given another: [derived](Secret::derived_from) from it.
    pub secret: Secret,
    group: GroupId,
}

impl BuildCx {
    pub(crate) fn new(entropy: u64, cluster: &str) -> Self {
        Self { entropy, secret: Secret::derived_from(cluster), group: GroupId::default() }
    }

    /// The same for another group.
    pub(crate) fn of_group(self, group: GroupId) -> Self {
        Self { group, ..self }
    }

    /// Which backends the view's [`new_set`](View::new_set) is of. A snapshot has several
    /// groups where tiers spill over or zones are told apart; the strategy builds a picker
    /// for each. What it keeps between builds it keeps [`PerGroup`].
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }
}

/// All backends of the group, in order, whether they can be used or not: what tables
/// are built over that a backend's coming and going must not change. These are those of
/// the tier, on this side of the zone's border, in the cluster's subset, and of spares
/// those that were called. Nobody when nobody can be used.
fn tier_in_use(view: View<'_>) -> impl Iterator<Item = Slot> {
    view.slots().filter(move |slot| view.is_of_group(*slot))
}

/// What a request adds to a backend's load, as far as a report of it tells: loads that
/// are requests in flight are found by being as large as those.
fn load_of_one(load: u64, in_flight: Option<u32>) -> Option<u64> {
    let count = u64::from(in_flight?);
    let is_count = load == count * LoadReport::ONE;
    if is_count { Some(LoadReport::ONE) } else { load.checked_div(count) }
}
