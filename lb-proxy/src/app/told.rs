//! What happens in the clusters by itself, and who hears of it.

use std::sync::Arc;

use lb_core::{Cluster, Health, cluster::Panic, health::Transition};
use tokio::sync::mpsc;

use super::stage::Stage;
use crate::{
    control::{Event, EventKind, Events},
    state::Dropped,
};

/// Whom to tell what happens in the clusters.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) events: Events,
    /// The owner, who has to do something about it.
    pub(super) owner: mpsc::UnboundedSender<Happened>,
}

/// What the owner of the clusters has to know.
#[derive(Debug)]
pub(super) enum Happened {
    /// A check of a backend that waited for one has passed.
    Joined { cluster: Arc<str>, backend: Arc<str> },
    /// A backend that is to be gone was drained, or its time is over.
    Left { cluster: Arc<str>, backend: Arc<str>, at_limit: bool },
    /// It is time to look who has been gone for long.
    TimePassed,
    /// What was set of those does not hold any more.
    Expired(Vec<Dropped>),
}

impl Told {
    /// Has all that happens in a new cluster told.
    pub(super) fn listen(&self, cluster: &Cluster, stage: &Stage) {
        let (name, told, stage) = (Arc::<str>::from(cluster.name()), self.clone(), stage.clone());
        cluster.on_transition(Arc::new(move |transition| {
            tell_transition(&name, transition);
            told.events.push(health_event(&name, transition));
            let joins = transition.to == Health::Up
                && stage.passing().joining.contains(&transition.backend);
            if joins {
                let (cluster, backend) = (Arc::clone(&name), Arc::clone(&transition.backend));
                // Nobody is there to do it when we end.
                let _ = told.owner.send(Happened::Joined { cluster, backend });
            }
        }));
        let (name, events) = (Arc::<str>::from(cluster.name()), self.events.clone());
        cluster.on_panic(Arc::new(move |panic| {
            tell_panic(&name, panic);
            events.push(panic_event(&name, panic));
        }));
    }
}

fn health_event(cluster: &str, transition: &Transition) -> Event {
    Event {
        kind: EventKind::Health,
        cluster: Some(cluster.to_owned()),
        backend: Some(transition.backend.to_string()),
        field: Some("health".to_owned()),
        from: Some(transition.from.to_string()),
        to: Some(transition.to.to_string()),
        why: transition.reason.to_string(),
        ..Event::default()
    }
}

fn panic_event(cluster: &str, panic: Option<Panic>) -> Event {
    let why = match panic {
        Some(panic) => format!("failing backends are used: {panic}"),
        None => "no failing backends are used any more".to_owned(),
    };
    let cluster = Some(cluster.to_owned());
    Event { kind: EventKind::Panic, cluster, why, ..Event::default() }
}

/// One line per change of mind, not per check or request.
fn tell_transition(cluster: &str, transition: &Transition) {
    let Transition { backend, from, to, reason, .. } = transition;
    match to {
        Health::Down | Health::Ejected => {
            tracing::warn!(cluster, %backend, %from, %to, %reason, "health changed");
        }
        _ => tracing::info!(cluster, %backend, %from, %to, %reason, "health changed"),
    }
}

fn tell_panic(cluster: &str, panic: Option<Panic>) {
    match panic {
        Some(panic) => {
            let tier = panic.tier;
            tracing::warn!(cluster, tier, reason = %panic, "failing backends are used");
        }
        None => tracing::info!(cluster, "no failing backends are used any more"),
    }
}
