//! The clusters that run, by name, and how another configuration becomes true of
//! them.
//!
//! In two steps, because a configuration is taken as a whole or not at all. A
//! [`Draft`] has all that could fail done: new clusters exist, new sources have been
//! asked, and the clusters that stay would take what they are to be told. Planting it
//! says that to them, and lets go of those that are gone.

mod live;

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use anyhow::Context as _;
use lb_core::{
    Cause, Change, Cluster,
    cluster::{CauseKind, ChangeError},
    sticky::Ring,
};
use lb_discovery::{Feed, FeedStatus, announce::Inboxes, gossip::Meshes};
use lb_proxy::{
    ClusterSettings, ListenerSettings, Prober, Watched,
    config::{self, Config},
    now,
};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    feed::{feed, follow, tell},
    stage::{News, Stage},
    told::Told,
    watchdog::survive,
};
use crate::control::{Decided, Overrides, listed};

/// All clusters, with what tells them who is there and how they are.
#[derive(Debug)]
pub(super) struct Farm {
    members: BTreeMap<Box<str>, Member>,
    prober: Arc<Prober>,
    control: Handle,
    told: Told,
    inboxes: Inboxes,
    meshes: Meshes,
}

#[derive(Debug)]
struct Member {
    /// Those that hold: the file's, with what people have set of them.
    settings: config::Cluster,
    cluster: Cluster,
    sources: FeedStatus,
    stage: Stage,
    following: JoinHandle<()>,
}

/// What a configuration would make of the farm.
#[derive(Debug)]
pub(super) struct Draft(Vec<Drafted>);

#[derive(Debug)]
struct Drafted {
    settings: config::Cluster,
    cluster: Cluster,
    stage: Stage,
    is_new: bool,
    /// What is to be said to it, if it is there already.
    news: News,
    /// Where its sources are others than before: those.
    feed: Option<Feed>,
}

/// Which clusters another configuration has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    added: Vec<Box<str>>,
    changed: Vec<Box<str>>,
    removed: Vec<Box<str>>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let said = all.into_iter().filter(|(_, names)| !names.is_empty());
        let said: Vec<String> =
            said.map(|(what, names)| format!("{what} {}", names.join(", "))).collect();
        let said = if said.is_empty() { "as before".to_owned() } else { said.join("; ") };
        write!(f, "clusters: {said}")
    }
}

impl Farm {
    /// Nobody yet. Sources are followed and checks made on `control`.
    pub(super) fn new(control: Handle, told: Told) -> Self {
        let prober = Arc::new(Prober::new());
        let probing = Arc::clone(&prober);
        control.spawn(async move {
            loop {
                survive("the checks of all backends", probing.run()).await;
            }
        });
        let (inboxes, meshes) = (Inboxes::default(), Meshes::default());
        Self { members: BTreeMap::new(), prober, control, told, inboxes, meshes }
    }

    /// How many backends each cluster has.
    pub(super) fn counts(&self) -> Vec<(&str, usize)> {
        let count = |member: &Member| member.cluster.snapshot().view().len();
        self.members.iter().map(|(name, member)| (&**name, count(member))).collect()
    }

    /// Prepares for a configuration, and for what people have set beside it. Nothing that
    /// runs is changed.
    pub(super) async fn draft(
        &self,
        config: &Config,
        origin: &str,
        listeners: &[ListenerSettings],
        overrides: &Overrides,
    ) -> anyhow::Result<Draft> {
        let mut own: Vec<SocketAddr> = listeners.iter().map(|listener| listener.bind).collect();
        // No source leads requests to where the balancer is changed.
        own.extend(config.admin.address());
        let mut drafted = Vec::new();
        for settings in &config.clusters {
            let known = self.members.get(&settings.name);
            let news = match known.filter(|member| has_same_sources(&member.settings, settings)) {
                Some(_) => None,
                None => {
                    let mut feed = feed(settings, origin, &own, &self.inboxes, &self.meshes)?;
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
            let (feed, first) = news.unzip();
            let set = first.as_ref().and_then(|first| first.membership.clone());
            let is_new = known.is_none();
            let decided = Decided::of(&settings.name, overrides.values());
            let listed = listed(config, &settings.name);
            let member = self.members.get(&settings.name);
            let (cluster, stage, news) = match known.zip(member) {
                Some((cluster, member)) => {
                    let stage = member.stage.clone();
                    let news = |reported| News {
                        reported,
                        listed: Some(listed.clone()),
                        decided: Some(decided.clone()),
                        // Without checks there is nothing to wait for.
                        joined: match settings.health {
                            Some(_) => Vec::new(),
                            None => stage.passing().joining.into_iter().collect(),
                        },
                        besides: differences(&member.settings, &settings),
                        ..News::default()
                    };
                    let checked = stage.check(&cluster, news(set.clone()));
                    checked.with_context(|| format!("cluster `{}`", settings.name))?;
                    let news = news(set);
                    (cluster, stage, news)
                }
                None => {
                    let stage = Stage::new(set.unwrap_or_default(), listed, decided);
                    let cluster = build(&settings, &stage, &self.told)
                        .with_context(|| format!("cluster `{}`", settings.name))?;
                    (cluster, stage, News::default())
                }
            };
            if let Some(first) = &first {
                tell(first, &cluster);
            }
            draft.push(Drafted { settings, cluster, stage, is_new, news, feed });
        }
        Ok(Draft(draft))
    }

    /// Makes a draft true.
    pub(super) async fn plant(&mut self, draft: Draft, origin: &str) -> Changes {
        self.stop_following(&draft).await;
        let mut before = std::mem::take(&mut self.members);
        let mut changes = Changes::default();
        for Drafted { mut settings, cluster, stage, is_new, news, feed } in draft.0 {
            let known = before.remove(&settings.name);
            if is_new {
                changes.added.push(settings.name.clone());
            } else if known.as_ref().is_none_or(|known| known.settings != settings) {
                changes.changed.push(settings.name.clone());
            }
            let cause = Cause::new(CauseKind::File, format!("reload of {origin}"));
            let is_said = is_new || tell_all(&cluster, &stage, news, cause);
            let (sources, following) = match (feed, known) {
                (None, Some(known)) => {
                    // A source has said something since that goes together with the old
                    // settings only. Kept, they are different from the file's, which the
                    // next reload sees.
                    if !is_said {
                        settings = known.settings;
                    }
                    (known.sources, known.following)
                }
                (feed, _) => {
                    let feed = feed.unwrap_or_else(|| Feed::new(0));
                    let status = feed.status();
                    let following = follow(feed, cluster.clone(), stage.clone(), &self.told);
                    (status, self.control.spawn(following))
                }
            };
            let member = Member { settings, cluster, sources, stage, following };
            self.members.insert(member.settings.name.clone(), member);
        }
        changes.removed = before.into_keys().collect();
        self.prober.set(self.members.values().filter_map(watched).collect());
        changes
    }

    /// Ends the following of sources that a draft replaces or has no use for, and waits
    /// until it has ended: what they said must not come after what the new ones say.
    async fn stop_following(&mut self, draft: &Draft) {
        let stays = |name: &str| {
            draft.0.iter().any(|drafted| *drafted.settings.name == *name && drafted.feed.is_none())
        };
        let ending = self.members.iter_mut().filter(|(name, _)| !stays(name));
        for (_, member) in ending {
            member.following.abort();
            if !member.following.is_finished() {
                let _ = (&mut member.following).await;
            }
        }
    }
}

impl Draft {
    /// The clusters as the proxy wants them, in the order of the configuration.
    pub(super) fn clusters(&self) -> Vec<ClusterSettings> {
        self.0.iter().map(|one| cluster_settings(&one.settings, &one.cluster)).collect()
    }
}

fn cluster_settings(settings: &config::Cluster, cluster: &Cluster) -> ClusterSettings {
    ClusterSettings {
        timeouts: settings.timeouts.clone(),
        retry: settings.retry.clone(),
        sticky: settings.sticky.clone(),
        key: settings.strategy.key.clone(),
        reports: settings.strategy.reports.clone(),
        probes: settings.strategy.probes.clone(),
        ..ClusterSettings::new(cluster.clone())
    }
}

/// Tells a cluster what cannot be refused, short of a collision of sticky routes. Says
/// whether it was not.
fn tell_all(cluster: &Cluster, stage: &Stage, news: News, cause: Cause) -> bool {
    let told = stage.tell(cluster, news, cause);
    if let Err(error) = &told {
        tracing::error!(cluster = cluster.name(), %error, "the backends are as before");
    }
    told.is_ok()
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

/// A cluster that is from its first request on what file and people say.
fn build(settings: &config::Cluster, stage: &Stage, told: &Told) -> Result<Cluster, ChangeError> {
    let mut builder = Cluster::builder(&*settings.name)
        .boxed_strategy(settings.strategy.kind.build_with(&settings.strategy.options))
        .membership(stage.set())
        .policy(settings.policy.clone())
        // Several balancers in front of the same backends must not begin with the same one.
        .entropy(RandomState::new().build_hasher().finish());
    if let Some(ring) = ring(settings) {
        builder = builder.ring(ring);
    }
    let cluster = builder.build();
    let decided = stage.first();
    cluster.apply_all(decided, Cause::new(CauseKind::Person, "what was set before the start"))?;
    // Nobody else drives it yet. It makes no difference where nothing was decided.
    cluster.drive(&now);
    told.listen(&cluster, stage);
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc, thread, time::Duration};

    use lb_core::Backend;

    use super::*;

    /// Takes its time to end.
    struct Slow(mpsc::Sender<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(50));
            let _ = self.0.send(());
        }
    }

    async fn plant(farm: &mut Farm, address: &str) {
        let config = Config::to_backends(vec![Backend::new(address)]);
        let nothing = Overrides::new();
        let draft = farm.draft(&config, "test", &[], &nothing);
        let draft = draft.await.expect("good sources");
        farm.plant(draft, "test").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn other_sources_are_followed_when_the_old_ones_have_ended() {
        let (owner, _happened) = tokio::sync::mpsc::unbounded_channel();
        let told = Told { events: crate::control::Events::new(), owner };
        let mut farm = Farm::new(Handle::current(), told);
        plant(&mut farm, "127.0.0.1:1").await;
        let (slow, has_ended) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let member = farm.members.values_mut().next().expect("a cluster");
        member.following.abort();
        member.following = tokio::spawn(async move {
            let _slow = Slow(slow);
            let _ = begun.send(());
            pending::<()>().await;
        });
        has_begun.recv().expect("it begins");
        plant(&mut farm, "127.0.0.1:2").await;
        assert!(has_ended.try_recv().is_ok());
    }
}
