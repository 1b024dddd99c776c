//! From the sources of a cluster to the cluster.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use lb_core::{Cause, Cluster, Membership, Weight, cluster::CauseKind, membership::Diff};
use lb_discovery::{
    Allow, Env, Feed, File, Fixed, Supervision, Update,
    announce::{Announced, Inboxes},
    gossip::{Gossiped, Meshes},
};
use lb_proxy::config::{self, DiscoverFrom};

use super::{
    announce::{groups, policy, prompt},
    gossip,
    stage::{News, Stage},
    told::Told,
    watchdog::survive,
};
use crate::control::{Event, EventKind, Events};

/// The sources of a cluster: what the file lists, then those it names.
pub(super) fn feed(
    settings: &config::Cluster,
    origin: &str,
    listeners: &[SocketAddr],
    inboxes: &Inboxes,
    meshes: &Meshes,
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
            DiscoverFrom::Announce(announce) => {
                let policy = policy(&settings.name, announce, &discover.allow);
                let groups = groups(announce)?;
                let source = Announced::new(inboxes, announce.bind, groups, policy);
                feed.add(Box::new(source), allow, &prompt());
            }
            DiscoverFrom::Gossip(gossip) => {
                let policy = gossip::policy(&settings.name, &discover.allow);
                let source = Gossiped::new(meshes, gossip::settings(gossip), policy);
                feed.add(Box::new(source), allow, &prompt());
            }
        }
    }
    Ok(feed)
}

/// Passes on every set, and tells what a person should know.
pub(super) fn follow(
    mut feed: Feed,
    cluster: Cluster,
    stage: Stage,
    told: &Told,
) -> impl Future<Output = ()> + Send + use<> {
    let events = told.events.clone();
    async move {
        let what = format!("the sources of `{}`", cluster.name());
        loop {
            survive(&what, pass_on(&mut feed, &cluster, &stage, &events)).await;
        }
    }
}

async fn pass_on(feed: &mut Feed, cluster: &Cluster, stage: &Stage, events: &Events) {
    let update = feed.next().await;
    tell(&update, cluster);
    let Some(set) = update.membership else { return };
    let diff = Diff::between(&stage.reported(), &set);
    tell_of(&set, &diff, &update.cause, cluster);
    let cause = Cause::new(CauseKind::Source, &*update.cause);
    let news = News { reported: Some(set), ..News::default() };
    match stage.tell(cluster, news, cause) {
        Ok(_) => events.push(Event {
            kind: EventKind::Members,
            cluster: Some(cluster.name().to_owned()),
            to: Some(brief(&diff)),
            why: update.cause.to_string(),
            ..Event::default()
        }),
        Err(error) => {
            tracing::error!(cluster = cluster.name(), %error, "the backends are as before");
        }
    }
}

/// One line for a set, however many have come or gone.
fn tell_of(set: &Membership, diff: &Diff, cause: &str, cluster: &Cluster) {
    let (cluster, count, diff) = (cluster.name(), set.len(), brief(diff));
    if set.is_empty() {
        tracing::warn!(cluster, count, cause, "no backends are left: {diff}");
    } else {
        tracing::info!(cluster, count, cause, "other backends: {diff}");
    }
}

/// `joined a, b; left c`, of many only the first.
fn brief(diff: &Diff) -> String {
    const SHOWN: usize = 8;
    let part = |(what, names): (&str, &[Arc<str>])| {
        let shown: Vec<&str> = names.iter().take(SHOWN).map(|name| &**name).collect();
        let more = names.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{what} {}{more}", shown.join(", ")))
    };
    let parts: [(&str, &[Arc<str>]); 4] = [
        ("joined", &diff.joined),
        ("left", &diff.left),
        ("moved", &diff.replaced),
        ("changed", &diff.changed),
    ];
    let parts: Vec<String> = parts.into_iter().filter_map(part).collect();
    if parts.is_empty() { "in another order".to_owned() } else { parts.join("; ") }
}

/// Says what a source has to complain about, once.
pub(super) fn tell(update: &Update, cluster: &Cluster) {
    for note in &update.notes {
        tracing::warn!(cluster = cluster.name(), "{note}");
    }
}

#[cfg(test)]
mod tests {
    use lb_core::Backend;

    use super::*;

    #[test]
    fn a_change_is_told_by_name_and_a_crowd_by_number() {
        let set = |names: &[&str]| Membership::new(names.iter().map(Backend::new)).expect("names");
        let diff = Diff::between(&set(&["a", "b"]), &set(&["b", "c"]));
        assert_eq!(brief(&diff), "joined c; left a");
        let many: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let diff = brief(&Diff::between(&set(&[]), &set(&many)));
        assert_eq!(diff, "joined n0, n1, n2, n3, n4, n5, n6, n7 and 12 more");
        let turned = Diff::between(&set(&["a", "b"]), &set(&["b", "a"]));
        assert_eq!(brief(&turned), "in another order");
    }
}
