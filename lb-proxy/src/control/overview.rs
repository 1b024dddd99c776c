//! Everything that runs, as it is now: to be read, never to be changed.

use std::{net::SocketAddr, sync::Arc};

use lb_core::Cluster;
use lb_discovery::FeedStatus;
use lb_proxy::{
    Prober, Route,
    config::{self, Config},
};
use serde_json::Value;

use crate::traffic::Loads;

/// Files by their names, the first one first; none where the configuration is in no file.
pub(crate) type Texts = Arc<[(String, String)]>;

/// What runs. Numbers that change with every request are read from the clusters in it.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    /// When it was started, in milliseconds since 1970.
    pub(crate) started: u64,
    /// Where the configuration came from: a path, or what stands for one.
    pub(crate) origin: String,
    /// The file that it came from and all that it includes.
    pub(crate) texts: Texts,
    /// Which of the configurations that were served it is; counts from 1.
    pub(crate) config_generation: u64,
    /// The configuration as the file has it.
    pub(crate) config: Arc<Config>,
    pub(crate) listeners: Vec<SocketAddr>,
    /// Those that are served; `Route::cluster` is a position in `clusters`.
    pub(crate) routes: Vec<Route>,
    pub(crate) clusters: Vec<ClusterOverview>,
    /// Who checks the backends, and knows what was found.
    pub(crate) prober: Arc<Prober>,
    /// What differs from the file because somebody wanted it.
    pub(crate) drift: Vec<Drift>,
}

/// A cluster that runs.
#[derive(Debug, Clone)]
pub(crate) struct ClusterOverview {
    pub(crate) name: String,
    /// Whose snapshot has the backends, their standing, health and load.
    pub(crate) cluster: Cluster,
    /// The settings that hold: those of the file, with the overrides.
    pub(crate) settings: Arc<config::Cluster>,
    pub(crate) sources: FeedStatus,
    /// Backends that were added and wait for their first passing check.
    pub(crate) joining: Vec<Arc<str>>,
    /// Backends that were removed and are drained first.
    pub(crate) leaving: Vec<Leaving>,
}

/// A backend that is drained before it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) backend: Arc<str>,
    /// When it goes in any case, in milliseconds since 1970.
    pub(crate) until: u64,
}

/// A value that was changed while running, and what it would be without that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drift {
    pub(crate) cluster: String,
    /// `None`: it is about the cluster as such.
    pub(crate) backend: Option<String>,
    /// `state`, `weight`, `max_in_flight`, `strategy`, `health.KEY`, `sticky.KEY`, `added`,
    /// `removed`.
    pub(crate) field: String,
    /// What holds.
    pub(crate) value: Value,
    /// What the file says; null where it says nothing.
    pub(crate) file: Value,
    /// The change that it came by.
    pub(crate) change: u64,
    /// Whether the backend it is about is not there now.
    pub(crate) is_absent: bool,
}

impl Overview {
    /// Of a balancer that is about to start.
    pub(crate) fn of_nothing(config: Config) -> Self {
        Self {
            started: 0,
            origin: String::new(),
            texts: Arc::default(),
            config_generation: 0,
            config: Arc::new(config),
            listeners: Vec::new(),
            routes: Vec::new(),
            clusters: Vec::new(),
            prober: Arc::default(),
            drift: Vec::new(),
        }
    }

    /// Requests in flight of each cluster and backend that is there.
    pub(crate) fn loads(&self) -> Loads {
        let mut loads = Loads::new();
        for ClusterOverview { cluster, .. } in &self.clusters {
            let name: Arc<str> = cluster.name().into();
            let snapshot = cluster.snapshot();
            let view = snapshot.view();
            let mut all = 0_u32;
            for slot in view.slots() {
                let in_flight = view.in_flight(slot);
                all = all.saturating_add(in_flight);
                let backend = Arc::clone(view.backend(slot).shared_name());
                loads.insert((Arc::clone(&name), Some(backend)), in_flight);
            }
            loads.insert((name, None), all);
        }
        loads
    }

    /// The cluster of this name.
    pub(crate) fn cluster(&self, name: &str) -> Option<&ClusterOverview> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }
}

#[cfg(test)]
impl Overview {
    /// One of these clusters, over backends that nobody checks or serves.
    pub(crate) fn of(config: Config) -> Self {
        let cluster = |settings: &config::Cluster| {
            let set = lb_core::Membership::new(settings.backends.iter().cloned());
            let cluster = Cluster::builder(&*settings.name).membership(set.expect("names"));
            ClusterOverview {
                name: settings.name.to_string(),
                cluster: cluster.build(),
                settings: Arc::new(settings.clone()),
                sources: lb_discovery::Feed::new(0).status(),
                joining: Vec::new(),
                leaving: Vec::new(),
            }
        };
        Self {
            started: 0,
            origin: "test".to_owned(),
            texts: Arc::default(),
            config_generation: 1,
            listeners: Vec::new(),
            routes: config.routes.clone(),
            clusters: config.clusters.iter().map(cluster).collect(),
            prober: Arc::default(),
            drift: Vec::new(),
            config: Arc::new(config),
        }
    }
}
