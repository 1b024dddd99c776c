//! The configuration file: read as a whole, judged as a whole.
//!
//! [`Config::parse`] walks the file with the small reader, one
//! file per section, and reports everything that is wrong with it in one go: each
//! finding with its line, the text underlined, the full name of the key and a
//! suggestion. What it answers can only be a configuration that makes sense: every route has a
//! cluster, every weight is positive, no address is listened on twice.
//!
//! Nothing below imports this module. The composition root turns a [`Config`]
//! into the plain values that workers are given.

mod address;
mod backend;
mod bind;
mod cluster;
mod diagnostic;
mod diagnostics;
mod limits;
mod listener;
mod names;
mod reader;
mod route;
mod short;
mod strategy;
mod syntax;
mod timeouts;

use std::num::NonZeroUsize;

use lb_core::{Backend, strategy::StrategyKind};
use toml::de::DeTable;

pub use self::{
    address::address_help,
    bind::Bind,
    cluster::{Cluster, DEFAULT_CLUSTER},
    diagnostic::{Diagnostic, Severity},
    diagnostics::Diagnostics,
    listener::Listener,
    names::name_problem,
    route::Route,
    strategy::find_strategy,
};
use self::{
    cluster::{ClusterContext, read_clusters, read_defaults},
    listener::read_listeners,
    reader::{Table, Text},
    route::{RawRoute, link_routes, read_routes},
    short::read_short,
    syntax::report_syntax,
};
use crate::RouteTable;

/// The only version of the format there is.
const VERSION: i128 = 1;

/// More threads than this are a typo.
pub const MOST_WORKERS: usize = 1024;

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many worker threads; `None` is one per core.
    pub workers: Option<NonZeroUsize>,
    /// Where to listen; at least one.
    pub listeners: Vec<Listener>,
    /// Which requests go where; at least one.
    pub routes: Vec<Route>,
    /// The clusters routes point to, by position.
    pub clusters: Vec<Cluster>,
    /// The strategy of clusters that name none, from `[defaults]`.
    pub strategy: Option<StrategyKind>,
}

impl Config {
    /// The configuration without a file: one cluster, one route, one listener.
    #[must_use]
    pub fn to_backends(backends: Vec<Backend>) -> Self {
        Self {
            workers: None,
            listeners: vec![Listener {
                bind: Bind::DEFAULT,
                timeouts: Default::default(),
                limits: Default::default(),
            }],
            routes: vec![Route { path: "/".into(), cluster: 0 }],
            clusters: vec![Cluster::new(DEFAULT_CLUSTER, backends)],
            strategy: None,
        }
    }

    /// The strategy of a cluster: its own, else the one for all, else the default.
    #[must_use]
    pub fn strategy_of(&self, cluster: &Cluster) -> StrategyKind {
        cluster.strategy.or(self.strategy).unwrap_or_default()
    }

    /// The routes in the order in which they are tried.
    #[must_use]
    pub fn route_table(&self) -> RouteTable {
        let route = |route: &Route| crate::Route::prefix(&route.path, route.cluster);
        RouteTable::new(self.routes.iter().map(route).collect())
    }

    /// Every backend that is one of the listeners, as a sentence. [`parse`](Self::parse)
    /// reports them with their place; this is for what was put together otherwise.
    #[must_use]
    pub fn loops(&self) -> Vec<String> {
        let backends = self.clusters.iter().flat_map(|cluster| &cluster.backends);
        let looped = backends.filter_map(|backend| {
            let reached = |own: &&Listener| own.bind.is_reached_by(backend.address());
            let listener = self.listeners.iter().find(reached)?;
            Some(format!(
                "backend `{}` is this balancer itself, which listens on `{}`; \
                 requests would go round in circles",
                backend.address(),
                listener.bind
            ))
        });
        looped.collect()
    }

    /// Reads a file. `name` is only printed.
    ///
    /// The configuration is there exactly when the diagnostics hold no error.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> (Option<Self>, Diagnostics) {
        let out = Diagnostics::new(name, text);
        let (document, mistakes) = DeTable::parse_recoverable(text);
        let config = Self::read(Table::root(&document, &out), &out);
        report_syntax(text, document.get_ref(), &mistakes, &out);
        out.sort();
        let config = (!out.has_errors()).then_some(config);
        (config, out)
    }

    fn read(mut file: Table<'_>, out: &Diagnostics) -> Self {
        read_version(&mut file, out);
        let workers = read_workers(&mut file, out);
        let listeners = read_listeners(&mut file, out);
        let defaults = read_defaults(&mut file, out);
        let cx = ClusterContext { defaults: &defaults, listeners: &listeners, out };
        let short = read_short(&mut file, &cx);
        let listed = read_routes(&mut file, out);
        let (mut clusters, names) = read_clusters(&mut file, &cx);
        let mut named: Vec<&str> = names.iter().map(Text::as_str).collect();
        if listed.is_none() && short.is_none() {
            out.push(goes_nowhere(&named));
        }
        let mut raw_routes = listed.unwrap_or_default();
        if let Some(short) = short {
            short.join(&mut clusters, &mut raw_routes, &names, out);
            named.push(DEFAULT_CLUSTER);
        }
        let routes = link_routes(&raw_routes, &clusters, &named, out);
        // A route that leads nowhere was probably meant for one of these clusters.
        if routes.len() == raw_routes.len() && !routes.is_empty() {
            warn_unused(&names, &raw_routes, out);
        }
        file.belong_elsewhere(
            &["strategy", "backends"],
            "is a matter of clusters: set it in `[cluster.NAME]`, or a strategy for all in `[defaults]`",
        );
        file.finish();
        Self { workers, listeners, routes, clusters, strategy: defaults.strategy }
    }
}

fn read_version(file: &mut Table<'_>, out: &Diagnostics) {
    let Some(value) = file.take("version") else { return };
    if let Some(version) = value.any_integer().filter(|version| *version != VERSION) {
        let error = value.error("must be 1", "not a version this program knows");
        out.push(if version > VERSION {
            error.help("the file was written for a newer `lb`")
        } else {
            error.help("leave the key out, or write `version = 1`")
        });
    }
}

fn read_workers(file: &mut Table<'_>, out: &Diagnostics) -> Option<NonZeroUsize> {
    let value = file.take("workers")?;
    let count = value.any_integer()?;
    let workers = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MOST_WORKERS)
        .and_then(NonZeroUsize::new);
    if workers.is_none() {
        out.push(
            value
                .error(&format!("must be 1 to {MOST_WORKERS}"), "out of range")
                .help("leave `workers` out to have one per core"),
        );
    }
    workers
}

fn goes_nowhere(named: &[&str]) -> Diagnostic {
    let nowhere = Diagnostic::error("requests have nowhere to go: no `to` and no `[[route]]`")
        .key("to")
        .absence();
    match named {
        [] => nowhere.help(
            "add `to = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]`, the addresses of your backends",
        ),
        [name, ..] => nowhere.help(format!("add `[[route]]` and below it `to = \"{name}\"`")),
    }
}

fn warn_unused(names: &[Text<'_>], routes: &[RawRoute<'_>], out: &Diagnostics) {
    for name in names {
        if !routes.iter().any(|route| route.leads_to(name.as_str())) {
            out.push(
                Diagnostic::warning(format!("cluster `{}` gets no requests", name.as_str()))
                    .at(name.span(), "no route leads here")
                    .key(name.path())
                    .absence(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
