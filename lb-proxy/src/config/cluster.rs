//! Clusters: `[cluster.NAME]`, and what all of them start from: `[defaults]`.

use std::ops::Range;

use lb_core::{Backend, cluster::Policy, strategy::StrategyKind};

use super::{
    admin::Admin,
    backend::read_backends,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    discover::{Discover, read_discover},
    groups::{read_groups, warn_of_no_zones},
    health::read_health,
    listener::Listener,
    loader::Loader,
    names::check_name,
    outlier::read_outlier,
    passive::{Fails, read_slow_start},
    reader::{Table, Text, Value},
    retry::read_retry,
    sticky::{Sticky, read_sticky},
    strategy::{Strategy, read_strategy},
    timeouts::read_cluster_timeouts,
};
use crate::{ClusterTimeouts, HealthCheck, RetrySettings, StickySettings, StickyValue};

/// The cluster that `to = […]` and `--to` make.
pub const DEFAULT_CLUSTER: &str = "default";

/// A named set of backends and how to choose among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: Box<str>,
    /// How a backend is chosen.
    pub strategy: Strategy,
    /// Whether clients stay with their backend.
    pub sticky: Option<StickySettings>,
    /// How its backends are checked, if they are.
    pub health: Option<HealthCheck>,
    /// What it does about backends that fail, come back, or are too few.
    pub policy: Policy,
    /// When a request goes to another backend.
    pub retry: RetrySettings,
    /// How long its backends may take.
    pub timeouts: ClusterTimeouts,
    /// Its backends, in the order of the file.
    pub backends: Vec<Backend>,
    /// Who tells of more, earlier ones first.
    pub discover: Vec<Discover>,
}

impl Cluster {
    /// A cluster with the defaults of everything else.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, backends: Vec<Backend>) -> Self {
        Self {
            name: name.into(),
            strategy: Strategy::default(),
            sticky: None,
            health: None,
            policy: Policy::default(),
            retry: RetrySettings::default(),
            timeouts: ClusterTimeouts::default(),
            backends,
            discover: Vec::new(),
        }
    }
}

/// What a cluster is read against.
#[derive(Debug)]
pub(super) struct ClusterContext<'c> {
    /// The settings of a cluster that says nothing itself.
    pub(super) defaults: &'c Cluster,
    /// What it says of failed requests.
    pub(super) fails: Fails,
    pub(super) listeners: &'c [Listener],
    pub(super) admin: &'c Admin,
    pub(super) loader: &'c dyn Loader,
    pub(super) out: &'c Diagnostics,
}

/// Reads `[defaults]`: what a cluster would be that says nothing itself.
///
/// A check of `[defaults]` may be a part of one: each cluster adds what is missing.
pub(super) fn read_defaults(
    table: Option<Table<'_>>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> (Cluster, Fails) {
    let mut fails = Fails::default();
    let mut cluster = Cluster::new(DEFAULT_CLUSTER, Vec::new());
    if let Some(mut table) = table {
        fails = read_settings(&mut table, &mut cluster, loader, out);
        table.finish();
    }
    (cluster, fails)
}

/// Reads every `[cluster.NAME]`. Answers those that could be read, and the names
/// of all, so that a route to a broken one is not called a route to nowhere.
pub(super) fn read_clusters<'a>(
    file: &mut Table<'a>,
    defaults: Option<&Table<'a>>,
    cx: &ClusterContext<'_>,
) -> (Vec<Cluster>, Vec<Text<'a>>) {
    let mut clusters = Vec::new();
    let mut names: Vec<Text<'a>> = Vec::new();
    let tables = file.take_each("cluster").into_iter().filter_map(Value::into_table);
    for (name, value) in tables.flat_map(Table::entries) {
        if !value.is_table() {
            cx.out.push(
                value
                    .error("must be a table", "this is not one")
                    .help("write `[cluster.NAME]` and below it `backends = [\"…\"]`"),
            );
            continue;
        }
        if let Some(first) = names.iter().find(|first| first.as_str() == name.as_str()) {
            let message = format!("two clusters are called `{}`", name.as_str());
            cx.out
                .push(name.error(message, "the second one").related(first.span(), "the first one"));
            continue;
        }
        check_name(&name, "cluster");
        if let Some(table) = value.into_table() {
            clusters.extend(read_cluster(&name, table.over(defaults), cx));
        }
        names.push(name);
    }
    (clusters, names)
}

fn read_cluster(name: &Text<'_>, mut table: Table<'_>, cx: &ClusterContext<'_>) -> Option<Cluster> {
    let (list, discover) = (table.take("backends"), table.take("discover"));
    if list.is_none() && discover.is_none() {
        cx.out.push(table.missing("backends", "who answers its requests?").help(
            "add `backends = [\"10.0.0.1:3000\"]`; an empty list is allowed and answers 503",
        ));
    }
    let is_whole = list.is_some() || discover.is_some();
    let mut cluster = Cluster::new(name.as_str(), Vec::new());
    let fails = read_settings(&mut table, &mut cluster, cx.loader, cx.out);
    cluster.discover =
        discover.map(|value| read_discover(value, cx.loader, cx.out)).unwrap_or_default();
    cluster.backends =
        list.map(|list| read_backends(list, name.as_str(), fails, cx)).unwrap_or_default();
    check_names_in_cookies(&cluster, name);
    if cluster.policy.zone.is_some() && cluster.discover.is_empty() {
        warn_of_no_zones(&table, name.as_str(), &cluster.backends);
    }
    table.finish();
    is_whole.then_some(cluster)
}

/// What `[defaults]` and clusters have in common. Answers what they say of failed
/// requests, from which backends start.
fn read_settings(
    table: &mut Table<'_>,
    cluster: &mut Cluster,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Fails {
    let strategy = table.take("strategy");
    let strategy_place = strategy.as_ref().map(Value::span);
    if let Some(strategy) = strategy.and_then(|value| read_strategy(value, loader, out)) {
        cluster.strategy = strategy;
    }
    // A cookie of `[defaults]` is one cookie, not a start for others.
    let sticky = table.take("sticky").filter(|sticky| !sticky.is_off()).and_then(Value::into_table);
    let sticky = sticky.and_then(|sticky| read_sticky(sticky, loader, out));
    if let (Some(sticky), Some(place)) = (&sticky, strategy_place) {
        warn_bound_twice(cluster.strategy.kind, sticky, place, out);
    }
    cluster.sticky = sticky.map(|sticky| sticky.settings);
    if let Some(health) = table.take_table_unless_off("health") {
        (cluster.health, cluster.policy.checks) = read_health(health, out);
    }
    cluster.policy.outlier = table.take_table_unless_off("outlier").map(read_outlier);
    cluster.policy.slow_start = table.take("slow_start").and_then(read_slow_start);
    if let Some(share) = table.take_percent("panic_threshold") {
        cluster.policy.panic_threshold = share;
    }
    read_groups(table, &mut cluster.policy);
    let fails = Fails::read(table);
    cluster.policy.passive = fails.passive();
    cluster.retry = read_retry(table.take_table("retry"), out);
    cluster.timeouts = read_cluster_timeouts(table.take_table("timeout"));
    fails
}

/// A key and a cookie do not contradict each other: the key chooses for clients
/// without a cookie. But whoever wrote both may think that the key always holds.
fn warn_bound_twice(
    kind: StrategyKind,
    sticky: &Sticky,
    strategy: Range<usize>,
    out: &Diagnostics,
) {
    if kind.needs_key() {
        out.push(
            Diagnostic::warning(format!("clients are bound by a cookie and by `{kind}`"))
                .at(sticky.place.clone(), "the cookie wins")
                .related(strategy, "only for clients without the cookie")
                .key("sticky")
                .help("leave out one of the two, unless that is what is meant"),
        );
    }
}

/// Names that no cookie can carry.
fn check_names_in_cookies(cluster: &Cluster, place: &Text<'_>) {
    let Some(sticky) = &cluster.sticky else { return };
    let fits = |byte: u8| (b'!'..=b'~').contains(&byte) && !b"\",;\\".contains(&byte);
    let odd = cluster.backends.iter().find(|backend| !backend.name().bytes().all(fits));
    if let Some(backend) = odd.filter(|_| sticky.value == StickyValue::Name) {
        let message = format!("the name `{}` cannot stand in a cookie", backend.name());
        place.report(
            place
                .error(message, "its cookies have the names of backends")
                .help("name it with letters, digits and dashes, or leave out `value = \"name\"`"),
        );
    }
}
