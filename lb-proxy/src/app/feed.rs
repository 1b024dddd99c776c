//! From the sources of a cluster to the cluster.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
};

use lb_core::{Cause, Change, Cluster, Membership, Weight, cluster::CauseKind};
use lb_discovery::{Allow, Env, Feed, File, Fixed, Supervision, Update};
use lb_proxy::config::{self, DiscoverFrom};

use super::watchdog::survive;

/// The sources of a cluster: what the file lists, then those it names.
pub(super) fn feed(
    settings: &config::Cluster,
    origin: &str,
    listeners: &[SocketAddr],
) -> anyhow::Result<Feed> {
    let mut feed = Feed::new(RandomState::new().build_hasher().finish());
    let plain = Supervision::unconfirmed();
    let everything = Allow { listeners: listeners.to_vec(), ..Allow::everything() };
    if !settings.backends.is_empty() || settings.discover.is_empty() {
        let listed = Membership::new(settings.backends.iter().cloned())?;
        feed.add(Box::new(Fixed::new(origin, listed)), Allow::everything(), &plain);
    }
    for discover in &settings.discover {
        let allow = Allow {
            networks: discover.allow.networks.clone(),
            max_backends: discover.allow.max_backends.unwrap_or(everything.max_backends),
            max_weight: discover.allow.max_weight.and_then(Weight::new).unwrap_or(Weight::MAX),
            ..everything.clone()
        };
        match &discover.from {
            DiscoverFrom::File(path) => {
                feed.add(Box::new(File::new(path)), allow, &Supervision::default());
            }
            DiscoverFrom::Env { variable, port } => {
                feed.add(Box::new(Env::new(variable, *port)), allow, &plain);
            }
        }
    }
    Ok(feed)
}

/// Passes on every set, and tells what a person should know.
pub(super) async fn follow(mut feed: Feed, cluster: Cluster) {
    let what = format!("the sources of `{}`", cluster.name());
    loop {
        survive(&what, pass_on(&mut feed, &cluster)).await;
    }
}

async fn pass_on(feed: &mut Feed, cluster: &Cluster) {
    let update = feed.next().await;
    tell(&update, cluster);
    if let Some(set) = update.membership {
        let (count, cause) = (set.len(), update.cause);
        tracing::debug!(cluster = cluster.name(), %cause, count, "other backends");
        apply(cluster, [Change::Membership(set)], Cause::new(CauseKind::Source, &*cause));
    }
}

/// Applies what cannot be refused, short of a collision of sticky routes. Says whether
/// it was not.
pub(super) fn apply(
    cluster: &Cluster,
    changes: impl IntoIterator<Item = Change>,
    cause: Cause,
) -> bool {
    let applied = cluster.apply_all(changes, cause);
    if let Err(error) = &applied {
        tracing::error!(cluster = cluster.name(), %error, "the backends are as before");
    }
    applied.is_ok()
}

/// Says what a source has to complain about, once.
pub(super) fn tell(update: &Update, cluster: &Cluster) {
    for note in &update.notes {
        tracing::warn!(cluster = cluster.name(), "{note}");
    }
}
