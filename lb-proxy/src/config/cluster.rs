//! Clusters: `[cluster.NAME]`, and what all of them start from: `[defaults]`.

use lb_core::{Backend, strategy::StrategyKind};

use super::{
    backend::read_backends,
    diagnostics::Diagnostics,
    listener::Listener,
    names::check_name,
    reader::{Table, Text},
    strategy::read_strategy,
    timeouts::read_cluster_timeouts,
};
use crate::ClusterTimeouts;

/// The cluster that `to = […]` and `--to` make.
pub const DEFAULT_CLUSTER: &str = "default";

/// A named set of backends and how to choose among them.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: Box<str>,
    /// How a backend is chosen, where the cluster says so itself.
    pub strategy: Option<StrategyKind>,
    /// Its backends, in the order of the file.
    pub backends: Vec<Backend>,
    /// How long its backends may take.
    pub timeouts: ClusterTimeouts,
}

impl Cluster {
    /// A cluster with the defaults of everything else.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, backends: Vec<Backend>) -> Self {
        Self { name: name.into(), strategy: None, backends, timeouts: ClusterTimeouts::default() }
    }
}

/// What `[defaults]` says.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    pub(super) strategy: Option<StrategyKind>,
    pub(super) timeouts: ClusterTimeouts,
}

/// Reads `[defaults]`.
pub(super) fn read_defaults(file: &mut Table<'_>, out: &Diagnostics) -> Defaults {
    let mut defaults = Defaults::default();
    let Some(mut table) = file.take_table("defaults") else { return defaults };
    defaults.strategy = table.take("strategy").and_then(|value| read_strategy(value, out));
    if let Some(timeouts) = table.take_table("timeout") {
        read_cluster_timeouts(timeouts, &mut defaults.timeouts);
    }
    table.finish();
    defaults
}

/// What a cluster is read against.
#[derive(Debug)]
pub(super) struct ClusterContext<'c> {
    pub(super) defaults: &'c Defaults,
    pub(super) listeners: &'c [Listener],
    pub(super) out: &'c Diagnostics,
}

/// Reads every `[cluster.NAME]`. Answers those that could be read, and the names
/// of all, so that a route to a broken one is not called a route to nowhere.
pub(super) fn read_clusters<'a>(
    file: &mut Table<'a>,
    cx: &ClusterContext<'_>,
) -> (Vec<Cluster>, Vec<Text<'a>>) {
    let Some(table) = file.take_table("cluster") else { return (Vec::new(), Vec::new()) };
    let mut clusters = Vec::new();
    let mut names = Vec::new();
    for (name, value) in table.entries() {
        if !value.is_table() {
            cx.out.push(
                value
                    .error("must be a table", "this is not one")
                    .help("write `[cluster.NAME]` and below it `backends = [\"…\"]`"),
            );
            continue;
        }
        check_name(&name, "cluster");
        if let Some(table) = value.into_table() {
            clusters.extend(read_cluster(name.as_str(), table, cx));
        }
        names.push(name);
    }
    (clusters, names)
}

fn read_cluster(name: &str, mut table: Table<'_>, cx: &ClusterContext<'_>) -> Option<Cluster> {
    let strategy = table.take("strategy").and_then(|value| read_strategy(value, cx.out));
    let mut timeouts = cx.defaults.timeouts.clone();
    if let Some(own) = table.take_table("timeout") {
        read_cluster_timeouts(own, &mut timeouts);
    }
    let list = table.take("backends");
    if list.is_none() {
        cx.out.push(table.missing("backends", "who answers its requests?").help(
            "add `backends = [\"10.0.0.1:3000\"]`; an empty list is allowed and answers 503",
        ));
    }
    let backends = list.map(|list| read_backends(list, name, cx));
    table.finish();
    Some(Cluster { name: name.into(), strategy, backends: backends?, timeouts })
}
