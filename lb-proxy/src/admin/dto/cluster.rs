//! One cluster, as it is now.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Backend, Moment, Override, Rate};
use crate::control::{ClusterOverview, Desk, Overview};

/// A cluster.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "name": "web", "strategy": "least-conn", "sticky": "WEB", "checked": true,
    "generation": "7", "etag": "\"5f1c6f0f6b2d9a11\"", "usable": 2, "degraded": false,
    "in_flight": 5,
    "last_10s": { "requests_per_second": 120.4, "error_share": 0.0, "p50_ms": 4.3, "p99_ms": 31.2 },
    "routes": ["www.example.org/"], "backends": [], "overrides": [],
}))]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// Its strategy, by name.
    pub(crate) strategy: String,
    /// The cookie that binds clients, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sticky: Option<String>,
    /// The keys of `sticky` that hold, without secrets; absent: nobody is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) cookie: Option<Map<String, Value>>,
    /// Whether its backends are checked.
    pub(crate) checked: bool,
    /// The keys of `health` that hold; absent: they are not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) health: Option<Map<String, Value>>,
    /// Counts its states, each with a cause; `7.2` is the second rebuild of the seventh.
    pub(crate) generation: String,
    /// Another one as soon as anything was decided, by a person, a source or a file. For
    /// `If-Match`.
    pub(crate) etag: String,
    /// How many backends take requests.
    pub(crate) usable: usize,
    /// Whether a backend that should takes none, or nobody does.
    pub(crate) degraded: bool,
    /// Why backends are used that should not be, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) panic: Option<String>,
    pub(crate) in_flight: u64,
    /// As clients see it, however many backends were tried.
    #[serde(default)]
    pub(crate) last_10s: Rate,
    /// The names of the routes that lead here.
    pub(crate) routes: Vec<String>,
    /// In the order of file and sources.
    pub(crate) backends: Vec<Backend>,
    /// What differs from the file because somebody wanted it, about the cluster as such
    /// or about backends that are not there.
    pub(crate) overrides: Vec<Override>,
}

/// Another strategy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "strategy": { "name": "maglev", "key": "client-ip" } }))]
pub(crate) struct NewStrategy {
    /// Its name, or a table of what may stand at `strategy` in the file.
    #[schema(value_type = Object)]
    pub(crate) strategy: Value,
}

impl Cluster {
    pub(crate) fn new(cluster: &ClusterOverview, overview: &Overview, desk: &Desk) -> Self {
        let snapshot = cluster.cluster.snapshot();
        let conditions = cluster.cluster.conditions();
        let drift = &overview.drift;
        let moment = Moment { cluster, snapshot: &snapshot, conditions: &conditions, drift, desk };
        let backends: Vec<Backend> =
            snapshot.view().slots().map(|slot| Backend::new(&moment, slot)).collect();
        let usable = backends.iter().filter(|backend| backend.takes_requests).count();
        let is_out = |one: &Backend| matches!(&*one.state, "down" | "ejected" | "half-open");
        let position = overview.clusters.iter().position(|one| one.name == cluster.name);
        let routes = overview.routes.iter().filter(|route| Some(route.cluster) == position);
        let is_here = |name: &str| backends.iter().any(|one| one.name == name);
        let elsewhere = drift.iter().filter(|one| {
            one.cluster == cluster.name && !one.backend.as_deref().is_some_and(is_here)
        });
        Self {
            name: cluster.name.clone(),
            strategy: cluster.settings.strategy.kind.name().to_owned(),
            sticky: cluster.settings.sticky.as_ref().map(|sticky| sticky.cookie.to_string()),
            cookie: Some(cluster.settings.sticky_said()).filter(|said| !said.is_empty()),
            checked: cluster.settings.health.is_some(),
            health: Some(cluster.settings.health_said()).filter(|said| !said.is_empty()),
            generation: snapshot.stamp().to_string(),
            etag: etag(cluster, &backends),
            usable,
            degraded: usable == 0 || snapshot.panic().is_some() || backends.iter().any(is_out),
            panic: snapshot.panic().map(|panic| panic.to_string()),
            in_flight: backends.iter().map(|backend| u64::from(backend.in_flight)).sum(),
            last_10s: desk.traffic().rate(&cluster.name, None).into(),
            routes: routes.map(|route| route.name.to_string()).collect(),
            overrides: elsewhere.map(Override::from).collect(),
            backends,
        }
    }
}

/// Of what was decided, not of what was observed: a check that fails between two calls of
/// an operator makes no difference to what he wants.
fn etag(cluster: &ClusterOverview, backends: &[Backend]) -> String {
    let mut hasher = DefaultHasher::new();
    let settings = &cluster.settings;
    format!("{:?}", settings.strategy).hash(&mut hasher);
    // What a person sets of them; their secrets are the file's alone.
    format!("{:?} {:?}", settings.health_said(), settings.sticky_said()).hash(&mut hasher);
    for one in backends {
        (&one.name, &one.address, one.tier, one.weight, &one.admin).hash(&mut hasher);
        (one.max_in_flight, one.spare, &one.zone, one.leaves_at).hash(&mut hasher);
    }
    format!("\"{:016x}\"", hasher.finish())
}
