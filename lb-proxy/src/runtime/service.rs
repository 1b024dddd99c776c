//! What the workers are given: plain values.
//!
//! The request path sees these and nothing of where they came from: no
//! configuration file, no administration interface, no source of backends.

use std::{sync::Arc, time::Duration};

use lb_core::Cluster;

use crate::{
    http::{
        ProbeSettings, ReportSettings, key::KeyRule, retry::RetrySettings, route::RouteTable,
        sticky::StickySettings,
    },
    listen::ListenerSettings,
    observe::{AccessLog, Window},
};

/// Everything a proxy serves: where it listens, which path goes to which
/// cluster, and the clusters.
#[derive(Debug, Clone)]
pub struct Service {
    /// The listening addresses. All of them serve the same routes.
    pub listeners: Vec<ListenerSettings>,
    /// Which request goes to which of `clusters`.
    pub routes: Arc<RouteTable>,
    /// The clusters, in the order the routes count them.
    pub clusters: Vec<ClusterSettings>,
    /// Where requests are logged; nowhere unless set. Lines that wait are written when
    /// this, its clones and the proxy are gone.
    pub access_log: Option<AccessLog>,
}

/// A cluster and how long to wait for its backends.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Who can be picked.
    pub cluster: Cluster,
    /// How long to wait.
    pub timeouts: ClusterTimeouts,
    /// When a request goes to another backend.
    pub retry: RetrySettings,
    /// Whether clients stay with their backend.
    pub sticky: Option<StickySettings>,
    /// What a strategy by key picks by. Nothing is looked for in requests without it.
    pub key: Option<KeyRule>,
    /// Where backends report their load in answers; then no client sees that. For
    /// strategies that go by it.
    pub reports: Option<ReportSettings>,
    /// How backends are asked for their load, for
    /// [`Prequal`](lb_core::strategy::Prequal).
    pub probes: Option<ProbeSettings>,
}

impl ClusterSettings {
    /// A cluster with the defaults of everything else.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            timeouts: ClusterTimeouts::default(),
            retry: RetrySettings::default(),
            sticky: None,
            key: None,
            reports: None,
            probes: None,
        }
    }
}

impl ClusterSettings {
    /// The time that is looked back on for who is bound.
    pub(crate) fn remembers(&self) -> Window {
        Window::of_secs(StickySettings::remembered(self.sticky.as_ref()).as_secs())
    }
}

/// How long to wait for a cluster's backends. Each limit is checked every
/// 100 ms: it ends up to 200 ms late, never early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterTimeouts {
    /// For a connection, to each address a name stands for, and for finding those;
    /// then another backend, or 504.
    pub connect: Duration,
    /// From the last byte of the request that the backend took until the head
    /// of its answer; then 504.
    pub first_byte: Duration,
    /// For one attempt, from the pick to the head of the answer; then another
    /// backend, where [`RetryOn::timeout`](crate::RetryOn::timeout) says so, else 504.
    pub per_try: Option<Duration>,
    /// For all attempts, from the request to the last byte of the answer; then 504,
    /// or a truncated answer.
    pub total: Option<Duration>,
    /// Between two parts of the answer; then the client sees a truncated one.
    pub idle: Duration,
    /// How long an unused connection is kept.
    pub pool_idle: Duration,
}

impl Default for ClusterTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(30),
            per_try: None,
            total: None,
            idle: Duration::from_secs(30),
            pool_idle: Duration::from_secs(30),
        }
    }
}
