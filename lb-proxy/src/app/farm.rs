//! The clusters that run, by name, and how another configuration becomes true of
//! them.
//!
//! In two steps, because a configuration is taken as a whole or not at all. A
//! [`Draft`] has all that could fail done: new clusters exist, new sources have been
//! asked. Planting it cannot fail: it tells the clusters that stay what is new, and
//! lets go of those that are gone.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use lb_core::{
    Cause, Change, Cluster, Health, Membership, cluster::CauseKind, health::Transition,
    sticky::Ring,
};
use lb_discovery::{Feed, FeedStatus};
use lb_proxy::{
    ClusterSettings, ListenerSettings, Prober, Watched,
    config::{self, Config},
};
use tokio::{runtime::Handle, task::AbortHandle};

use super::feed::{apply, feed, follow, tell};

/// All clusters, with what tells them who is there and how they are.
#[derive(Debug)]
pub(super) struct Farm {
    members: BTreeMap<Box<str>, Member>,
    prober: Arc<Prober>,
    control: Handle,
}

#[derive(Debug)]
struct Member {
    settings: config::Cluster,
    cluster: Cluster,
    sources: FeedStatus,
    following: AbortHandle,
}

/// What a configuration would make of the farm.
#[derive(Debug)]
pub(super) struct Draft(Vec<Drafted>);

#[derive(Debug)]
struct Drafted {
    settings: config::Cluster,
    cluster: Cluster,
    is_new: bool,
    /// Where its sources are others than before: those, and what they say.
    news: Option<(Feed, Option<Membership>)>,
}

/// What another configuration has changed, in numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Changes {
    added: usize,
    changed: usize,
    removed: usize,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed } = self;
        write!(f, "clusters: {added} added, {changed} changed, {removed} removed")
    }
}

impl Farm {
    /// Nobody yet. Sources are followed and checks made on `control`.
    pub(super) fn new(control: Handle) -> Self {
        let prober = Arc::new(Prober::new());
        let probing = Arc::clone(&prober);
        control.spawn(async move { probing.run().await });
        Self { members: BTreeMap::new(), prober, control }
    }

    /// How many backends each cluster has.
    pub(super) fn counts(&self) -> Vec<(&str, usize)> {
        let count = |member: &Member| member.cluster.snapshot().view().len();
        self.members.iter().map(|(name, member)| (&**name, count(member))).collect()
    }

    /// Prepares for a configuration. Nothing that runs is changed.
    pub(super) async fn draft(
        &self,
        config: &Config,
        origin: &str,
        listeners: &[ListenerSettings],
    ) -> anyhow::Result<Draft> {
        let own: Vec<SocketAddr> = listeners.iter().map(|listener| listener.bind).collect();
        let mut drafted = Vec::new();
        for settings in &config.clusters {
            let known = self.members.get(&settings.name);
            let news = match known.filter(|member| has_same_sources(&member.settings, settings)) {
                Some(_) => None,
                None => {
                    let mut feed = feed(settings, origin, &own)?;
                    feed.resume(&known.map_or_else(Vec::new, |member| member.sources.sources()));
                    Some(feed)
                }
            };
            drafted.push((settings.clone(), known.map(|member| member.cluster.clone()), news));
        }
        // All sources are asked at the same time.
        let asked = drafted.into_iter().map(|(settings, known, news)| {
            self.control.spawn(async move {
                let news = match news {
                    Some(mut feed) => {
                        let first = feed.next().await;
                        Some((feed, first))
                    }
                    None => None,
                };
                (settings, known, news)
            })
        });
        let asked: Vec<_> = asked.collect();
        let mut draft = Vec::new();
        for one in asked {
            let (settings, known, news) = one.await?;
            let first = news.as_ref().and_then(|(_, first)| first.membership.clone());
            let is_new = known.is_none();
            let cluster =
                known.unwrap_or_else(|| build(&settings, first.clone().unwrap_or_default()));
            if let Some((_, first)) = &news {
                tell(first, &cluster);
            }
            let news = news.map(|(feed, _)| (feed, first));
            draft.push(Drafted { settings, cluster, is_new, news });
        }
        Ok(Draft(draft))
    }

    /// Makes a draft true.
    pub(super) fn plant(&mut self, draft: Draft, origin: &str) -> Changes {
        let mut before = std::mem::take(&mut self.members);
        let mut changes = Changes::default();
        for Drafted { settings, cluster, is_new, news } in draft.0 {
            let known = before.remove(&settings.name);
            changes.added += usize::from(is_new);
            let mut said = Vec::new();
            if let Some((_, Some(first))) = &news
                && !is_new
            {
                said.push(Change::Membership(first.clone()));
            }
            if let Some(known) = &known {
                said.extend(differences(&known.settings, &settings));
                changes.changed += usize::from(!said.is_empty());
            }
            let cause = Cause::new(CauseKind::File, format!("reload of {origin}"));
            apply(&cluster, said, cause);
            let (sources, following) = match (news, known) {
                (None, Some(known)) => (known.sources, known.following),
                (news, known) => {
                    if let Some(known) = known {
                        known.following.abort();
                    }
                    let feed = news.map_or_else(|| Feed::new(0), |(feed, _)| feed);
                    let sources = feed.status();
                    let task = self.control.spawn(follow(feed, cluster.clone()));
                    (sources, task.abort_handle())
                }
            };
            let member = Member { settings, cluster, sources, following };
            self.members.insert(member.settings.name.clone(), member);
        }
        changes.removed = before.len();
        before.values().for_each(|gone| gone.following.abort());
        self.prober.set(self.members.values().filter_map(watched).collect());
        changes
    }
}

impl Draft {
    /// The clusters as the proxy wants them, in the order of the configuration.
    pub(super) fn clusters(&self) -> Vec<ClusterSettings> {
        let settings = |Drafted { settings, cluster, .. }: &Drafted| ClusterSettings {
            timeouts: settings.timeouts.clone(),
            retry: settings.retry.clone(),
            sticky: settings.sticky.clone(),
            key: settings.key(),
            ..ClusterSettings::new(cluster.clone())
        };
        self.0.iter().map(settings).collect()
    }
}

fn has_same_sources(one: &config::Cluster, other: &config::Cluster) -> bool {
    one.backends == other.backends && one.discover == other.discover
}

/// What has to be said to a cluster whose settings are others now.
fn differences(before: &config::Cluster, now: &config::Cluster) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.policy != now.policy {
        changes.push(Change::Policy(now.policy.clone()));
    }
    if before.strategy != now.strategy {
        changes.push(Change::Strategy(now.strategy.kind.build_with(&now.strategy.options)));
    }
    if ring(before) != ring(now) {
        changes.push(Change::Ring(ring(now)));
    }
    changes
}

/// What the sticky routes of a cluster are derived with: also those that stand for
/// names no cookie can carry.
fn ring(settings: &config::Cluster) -> Option<Ring> {
    Some(settings.sticky.as_ref()?.ring(&settings.name))
}

fn watched(member: &Member) -> Option<Watched> {
    let check = member.settings.health.clone()?;
    Some(Watched { cluster: member.cluster.clone(), check })
}

fn build(settings: &config::Cluster, first: Membership) -> Cluster {
    let mut builder = Cluster::builder(&*settings.name)
        .boxed_strategy(settings.strategy.kind.build_with(&settings.strategy.options))
        .membership(first)
        .policy(settings.policy.clone())
        // Several balancers in front of the same backends must not begin with the same one.
        .entropy(RandomState::new().build_hasher().finish());
    if let Some(ring) = ring(settings) {
        builder = builder.ring(ring);
    }
    let cluster = builder.build();
    let name = Arc::<str>::from(cluster.name());
    cluster.on_transition(Arc::new(move |transition| tell_transition(&name, transition)));
    cluster
}

/// One line per change of mind, not per check or request.
fn tell_transition(cluster: &str, transition: &Transition) {
    let Transition { backend, from, to, reason, .. } = transition;
    match to {
        Health::Down | Health::Ejected => {
            tracing::warn!(cluster, %backend, %from, %to, "{reason}");
        }
        _ => tracing::info!(cluster, %backend, %from, %to, "{reason}"),
    }
}
