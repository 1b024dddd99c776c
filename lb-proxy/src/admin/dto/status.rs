//! All of it at a glance.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Cluster, LogLevel, Override};
use crate::control::{Overview, unix_millis};

/// What runs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "version": "0.1.0", "pid": 4711, "started": 1_790_000_000_000_u64, "uptime": 61.5,
    "origin": "/etc/lb/lb.toml", "config_generation": 3, "listeners": ["0.0.0.0:80"],
    "log": { "level": "info", "usual": "info" }, "degraded": true, "clusters": [{
        "name": "web", "strategy": "least-conn", "backends": 3, "usable": 2, "degraded": true,
        "in_flight": 5, "problems": ["s3 down: connect: refused"],
    }], "overrides": [],
}))]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) started: u64,
    /// Seconds since then.
    pub(crate) uptime: f64,
    /// Where the configuration came from.
    pub(crate) origin: String,
    /// Which of the configurations that were served it is.
    pub(crate) config_generation: u64,
    /// Where requests are taken.
    pub(crate) listeners: Vec<String>,
    /// What is logged, and who has set that.
    pub(crate) log: LogLevel,
    /// Whether any cluster is.
    pub(crate) degraded: bool,
    pub(crate) clusters: Vec<ClusterLine>,
    /// Everything that differs from the file because somebody wanted it.
    pub(crate) overrides: Vec<Override>,
}

/// A cluster in a line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ClusterLine {
    pub(crate) name: String,
    pub(crate) strategy: String,
    pub(crate) backends: usize,
    /// How many take requests.
    pub(crate) usable: usize,
    pub(crate) degraded: bool,
    pub(crate) in_flight: u64,
    /// Each backend that something is the matter with, and what.
    pub(crate) problems: Vec<String>,
}

impl Status {
    pub(crate) fn new(overview: &Overview, clusters: &[Cluster], log: LogLevel) -> Self {
        let uptime = unix_millis().saturating_sub(overview.started);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: overview.started,
            uptime: uptime as f64 / 1_000.0,
            origin: overview.origin.clone(),
            config_generation: overview.config_generation,
            listeners: overview.listeners.iter().map(ToString::to_string).collect(),
            log,
            degraded: clusters.iter().any(|cluster| cluster.degraded),
            clusters: clusters.iter().map(ClusterLine::new).collect(),
            overrides: overview.drift.iter().map(Override::from).collect(),
        }
    }
}

impl ClusterLine {
    fn new(cluster: &Cluster) -> Self {
        let problem = |one: &super::Backend| {
            let why =
                one.why.as_ref().filter(|_| !matches!(&*one.state, "standby" | "elsewhere"))?;
            Some(format!("{} {}: {why}", one.name, one.state))
        };
        Self {
            name: cluster.name.clone(),
            strategy: cluster.strategy.clone(),
            backends: cluster.backends.len(),
            usable: cluster.usable,
            degraded: cluster.degraded,
            in_flight: cluster.in_flight,
            problems: cluster.backends.iter().filter_map(problem).collect(),
        }
    }
}

/// A route, in the order in which they are tried.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "name": "www.example.org/api/", "host": "www.example.org", "path": "/api/", "strip": true,
    "to": "api",
}))]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) path: String,
    /// Under which condition besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
    /// Whether the backend does not see what was matched.
    pub(crate) strip: bool,
    /// The cluster.
    pub(crate) to: String,
}

impl Route {
    pub(crate) fn all(overview: &Overview) -> Vec<Self> {
        let table = lb_proxy::RouteTable::new(overview.routes.clone());
        let one = |route: &lb_proxy::Route| {
            let is_conditional = route.when != lb_proxy::Condition::Always;
            Self {
                name: route.name.to_string(),
                host: route.host.to_string(),
                path: route.path.to_string(),
                when: is_conditional.then(|| route.when.to_string()),
                strip: route.strip,
                to: overview
                    .clusters
                    .get(route.cluster)
                    .map_or_else(String::new, |cluster| cluster.name.clone()),
            }
        };
        table.routes().iter().map(one).collect()
    }
}
