//! The clusters while they run: what is asked of them, and said to them, between two
//! configurations.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context as _;
use lb_core::{
    AdminState, Cause, Cluster, Health,
    cluster::{Effective, Version},
};
use lb_proxy::{
    ClusterSettings, Prober,
    config::{self, Config},
};

use super::{Farm, Member, News, cluster_settings, differences, watched};
use crate::control::{ClusterOverview, Leaving, Seen, unix_of};

impl Farm {
    /// The clusters as wishes are judged by.
    pub(in crate::app) fn seen(&self) -> Vec<Seen> {
        let seen = |member: &Member| Seen {
            cluster: member.cluster.clone(),
            reported: member.stage.reported(),
            passing: member.stage.passing(),
            has_checks: member.settings.health.is_some(),
        };
        self.members.values().map(seen).collect()
    }

    /// Tells a cluster something. An error means that all is as before.
    pub(in crate::app) fn tell(
        &self,
        name: &str,
        news: News,
        cause: Cause,
    ) -> anyhow::Result<Version> {
        let member = self.members.get(name).with_context(|| format!("no cluster `{name}`"))?;
        Ok(member.stage.tell(&member.cluster, news, cause)?)
    }

    /// Whether it is drained before it is gone.
    pub(in crate::app) fn is_leaving(&self, name: &str, backend: &str) -> bool {
        let passing = self.members.get(name).map(|member| member.stage.passing());
        passing.is_some_and(|one| one.leaving.iter().any(|(one, _)| one.name() == backend))
    }

    /// The cluster of this name, and whether clients are bound to its backends.
    pub(in crate::app) fn cluster(&self, name: &str) -> Option<(&Cluster, bool)> {
        let member = self.members.get(name)?;
        Some((&member.cluster, member.settings.sticky.is_some()))
    }

    /// Whether the backend is known to work, in the life that its cluster was told of last.
    pub(in crate::app) fn is_up(&self, name: &str, backend: &str) -> bool {
        let Some(member) = self.members.get(name) else { return false };
        let (set, snapshot) = (member.stage.set(), member.cluster.snapshot());
        let (told, slot) = (set.iter().find(|one| one.name() == backend), snapshot.find(backend));
        told.zip(slot).is_some_and(|(told, slot)| {
            let view = snapshot.view();
            let incarnation = view.incarnation(slot);
            view.backend(slot).is_same_incarnation_as(told)
                && member.cluster.conditions().iter().any(|condition| {
                    condition.incarnation == incarnation && condition.health == Health::Up
                })
        })
    }

    /// Has a cluster work as these settings say: its strategy, its checks, its cookie. What
    /// was found out about its backends stays. Says whether the proxy has to serve it in
    /// another way.
    pub(in crate::app) fn tune(
        &mut self,
        name: &str,
        wanted: &config::Cluster,
        cause: Cause,
    ) -> anyhow::Result<(Version, bool)> {
        let member = self.members.get_mut(name).with_context(|| format!("no cluster `{name}`"))?;
        let mut settings = member.settings.clone();
        settings.strategy.clone_from(&wanted.strategy);
        settings.health.clone_from(&wanted.health);
        settings.policy.checks.clone_from(&wanted.policy.checks);
        settings.sticky.clone_from(&wanted.sticky);
        let news = News {
            // Without checks there is nothing to wait for.
            joined: match settings.health {
                Some(_) => Vec::new(),
                None => member.stage.passing().joining.into_iter().collect(),
            },
            besides: differences(&member.settings, &settings),
            ..News::default()
        };
        let version = member.stage.tell(&member.cluster, news, cause)?;
        let before = std::mem::replace(&mut member.settings, settings);
        let is_checked_otherwise = before.health != member.settings.health;
        let is_served_otherwise = served(&before) != served(&member.settings);
        if is_checked_otherwise {
            self.prober.set(self.members.values().filter_map(watched).collect());
        }
        Ok((version, is_served_otherwise))
    }

    /// What the proxy is told of the clusters, in the order of `config`.
    pub(in crate::app) fn settings(&self, config: &Config) -> Vec<ClusterSettings> {
        let members = config.clusters.iter().filter_map(|one| self.members.get(&one.name));
        members.map(|member| cluster_settings(&member.settings, &member.cluster)).collect()
    }

    /// Who checks the backends.
    pub(in crate::app) fn prober(&self) -> Arc<Prober> {
        Arc::clone(&self.prober)
    }

    /// Those that run, in the order of `config`.
    pub(in crate::app) fn overview(&self, config: &Config) -> Vec<ClusterOverview> {
        let members = config.clusters.iter().filter_map(|one| self.members.get(&one.name));
        let overview = |member: &Member| {
            let passing = member.stage.passing();
            let leaving = passing.leaving.iter().map(|(backend, state)| Leaving {
                backend: Arc::clone(backend.shared_name()),
                until: match state {
                    AdminState::Draining { until: Some(until) } => unix_of(*until),
                    _ => u64::MAX,
                },
            });
            ClusterOverview {
                name: member.cluster.name().to_owned(),
                cluster: member.cluster.clone(),
                settings: Arc::new(member.settings.clone()),
                sources: member.sources.clone(),
                leaving: leaving.collect(),
                joining: passing.joining.into_iter().collect(),
            }
        };
        members.map(overview).collect()
    }

    /// Whom file, source or person has, by cluster.
    pub(in crate::app) fn present(&self) -> BTreeMap<&str, BTreeSet<Arc<str>>> {
        let names = |member: &Member| -> BTreeSet<Arc<str>> {
            let (set, reported) = (member.stage.set(), member.stage.reported());
            set.iter().chain(reported.iter()).map(|one| Arc::clone(one.shared_name())).collect()
        };
        self.members.iter().map(|(name, member)| (&**name, names(member))).collect()
    }

    /// When everything that was told is true at every worker.
    pub(in crate::app) fn effective(&self, name: &str, version: Version) -> Option<Effective> {
        Some(self.members.get(name)?.cluster.effective(version))
    }
}

/// What the proxy has to know of a cluster beside its backends, as far as people set it.
fn served(settings: &config::Cluster) -> impl PartialEq {
    let config::Strategy { key, reports, probes, .. } = settings.strategy.clone();
    (settings.sticky.clone(), key, reports, probes)
}
