//! One backend, as it is now.

use lb_core::{
    Health, Snapshot,
    cluster::{Slot, Standing},
    health::{Condition, Reason},
};
use lb_proxy::StickySettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Rate, at_tick};
use crate::control::{self, ClusterOverview, DrainProgress, Drift};

/// A backend.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "name": "s1", "address": "10.0.0.1:3000", "state": "draining",
    "why": "no new requests; 2 are in flight", "admin": "draining", "health": "up",
    "since": 1_790_000_000_000_u64, "takes_requests": false, "weight": 3, "weight_now": 3.0,
    "share": 0.0, "tier": 0, "spare": false, "max_in_flight": 64, "in_flight": 2, "held": 2,
    "last_10s": { "requests_per_second": 0.2, "error_share": 0.0, "p50_ms": 4.3, "p99_ms": 4.3 },
    "drain": { "busy": 2, "held": 2, "bound": 14, "admits_bound": true, "finished": false },
    "overrides": [{
        "cluster": "web", "backend": "s1", "field": "state", "value": "draining",
        "file": "enabled", "change": 12, "absent": false,
    }],
}))]
pub(crate) struct Backend {
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) address: String,
    /// Which life of it, where a source says that: a container id, say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// Of all that can be said the worst: `up`, `unknown` (nobody has looked yet),
    /// `starting` (its weight still grows), `joining` (waits for its first passing check),
    /// `draining`, `drained`, `leaving` (goes when it is drained), `disabled`, `down` (a
    /// check says so), `ejected` (requests say so), `half-open` (one request at a time
    /// tries it), `panic` (used for want of better ones), `standby` (its tier, zone or
    /// place is not needed), `elsewhere` (left to other balancers).
    pub(crate) state: String,
    /// Why, in words; absent where there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What people and sources decided: `enabled`, `draining` or `disabled`.
    pub(crate) admin: String,
    /// What was observed: `unknown`, `up`, `ejected`, `half-open`, `down`.
    pub(crate) health: String,
    /// Since when that health holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
    /// Whether requests of clients come here that are bound to nobody.
    pub(crate) takes_requests: bool,
    /// The weight that was decided.
    pub(crate) weight: u32,
    /// The weight in force: less while it starts slowly.
    pub(crate) weight_now: f64,
    /// Its share of new requests by weight, 0 to 1. What the strategy makes of it may be
    /// something else.
    pub(crate) share: f64,
    pub(crate) tier: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    pub(crate) spare: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_in_flight: Option<u32>,
    /// Requests it works on.
    pub(crate) in_flight: u32,
    /// Requests whose client has not got the whole answer.
    pub(crate) held: u32,
    #[serde(default)]
    pub(crate) last_10s: Rate,
    /// How far its drain has come, if it is drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<Drain>,
    /// When it goes in any case, if it is to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leaves_at: Option<u64>,
    /// What differs from the file because somebody wanted it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) overrides: Vec<Override>,
}

/// How far a drain has come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drain {
    /// Requests the backend works on.
    pub(crate) busy: u32,
    /// Requests whose client has not got the whole answer.
    pub(crate) held: u32,
    /// Sessions that were seen there lately, an estimate; absent where no cookie binds
    /// clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<u64>,
    /// Whether bound clients may still come.
    pub(crate) admits_bound: bool,
    /// No request is left, and none will come: it can be stopped.
    pub(crate) finished: bool,
}

/// A value that somebody changed while it ran.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Override {
    pub(crate) cluster: String,
    /// Absent: it is about the cluster as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    /// `state`, `weight`, `max_in_flight`, `strategy`, `health.KEY`, `sticky.KEY`, `added` or
    /// `removed`.
    pub(crate) field: String,
    /// What holds.
    #[schema(value_type = Object)]
    pub(crate) value: Value,
    /// What the file says; null where it says nothing.
    #[schema(value_type = Object)]
    pub(crate) file: Value,
    /// The change it came by: undo that to be rid of it.
    pub(crate) change: u64,
    /// Whether the backend is not there now.
    pub(crate) absent: bool,
}

impl From<&Drift> for Override {
    fn from(drift: &Drift) -> Self {
        Self {
            cluster: drift.cluster.clone(),
            backend: drift.backend.clone(),
            field: drift.field.clone(),
            value: drift.value.clone(),
            file: drift.file.clone(),
            change: drift.change,
            absent: drift.is_absent,
        }
    }
}

impl Drain {
    fn new(progress: DrainProgress, bound: Option<u64>) -> Self {
        let DrainProgress { busy, held, admits_bound, is_finished } = progress;
        Self { busy, held, bound, admits_bound, finished: is_finished }
    }
}

/// How many sessions a backend has, where a cookie binds clients.
fn sessions(cluster: &ClusterOverview, name: &str, desk: &control::Desk) -> Option<u64> {
    let sticky = cluster.settings.sticky.as_ref()?;
    let seen = desk.traffic().seen(&cluster.name, StickySettings::remembered(Some(sticky)));
    Some(seen.backends.get(name).copied().unwrap_or(0))
}

/// What is known of a cluster at one moment.
pub(crate) struct Moment<'o> {
    pub(crate) cluster: &'o ClusterOverview,
    pub(crate) snapshot: &'o Snapshot,
    pub(crate) conditions: &'o [Condition],
    pub(crate) drift: &'o [Drift],
    pub(crate) desk: &'o control::Desk,
}

impl Backend {
    pub(crate) fn new(moment: &Moment<'_>, slot: Slot) -> Self {
        let Moment { cluster, snapshot, conditions, drift, desk } = moment;
        let view = snapshot.view();
        let backend = view.backend(slot);
        let name = backend.name();
        let standing = view.standing(slot);
        let incarnation = view.incarnation(slot);
        let condition = conditions.iter().find(|one| one.incarnation == incarnation);
        let health = condition.map_or(Health::Unknown, |one| one.health);
        let drain = desk.drain(&cluster.name, name);
        let leaving = cluster.leaving.iter().find(|one| *one.backend == *name);
        let is_joining = cluster.joining.iter().any(|joining| **joining == *name);
        let takes_requests = view.new_set().contains(slot) || standing == Standing::HalfOpen;
        let all: u64 =
            view.new_set().as_slice().iter().map(|one| u64::from(view.weight(*one))).sum();
        let share = match view.new_set().contains(slot) {
            true => f64::from(view.weight(slot)) / all.max(1) as f64,
            false => 0.0,
        };
        let (base, full) = (view.base_weight(slot), view.full_weight(slot));
        let weight_now = f64::from(view.weight(slot)) * f64::from(base) / f64::from(full.max(1));
        let is_starting = view.weight(slot) < full;
        let in_flight = view.in_flight(slot);
        let state = if leaving.is_some() {
            "leaving"
        } else if is_joining {
            "joining"
        } else {
            state_of(standing, health, is_starting)
        };
        let reason = condition.map(|one| &one.reason);
        Self {
            cluster: cluster.name.clone(),
            name: name.to_owned(),
            address: backend.address().to_owned(),
            instance: None,
            state: state.to_owned(),
            why: why(state, standing, reason, in_flight),
            admin: admin_of(standing).to_owned(),
            health: health.to_string(),
            since: condition.map(|one| at_tick(one.since)),
            takes_requests,
            weight: base,
            weight_now,
            share,
            tier: backend.tier(),
            zone: backend.zone().map(str::to_owned),
            spare: backend.is_spare(),
            max_in_flight: backend.max_in_flight().map(std::num::NonZeroU32::get),
            in_flight,
            held: view.held(slot),
            last_10s: desk.traffic().rate(&cluster.name, Some(name)).into(),
            drain: drain.map(|drain| Drain::new(drain, sessions(cluster, name, desk))),
            leaves_at: leaving.map(|one| one.until),
            overrides: drift
                .iter()
                .filter(|one| one.cluster == cluster.name && one.backend.as_deref() == Some(name))
                .map(Override::from)
                .collect(),
        }
    }
}

/// What somebody decided: those standings come before all others.
fn admin_of(standing: Standing) -> &'static str {
    match standing {
        Standing::Disabled => "disabled",
        Standing::Draining | Standing::Drained => "draining",
        _ => "enabled",
    }
}

fn state_of(standing: Standing, health: Health, is_starting: bool) -> &'static str {
    match (standing, health) {
        (Standing::Disabled, _) => "disabled",
        (Standing::Drained, _) => "drained",
        (Standing::Draining, _) => "draining",
        (Standing::Down, _) => "down",
        (Standing::Ejected, _) => "ejected",
        (Standing::Panic, _) => "panic",
        (Standing::HalfOpen, _) => "half-open",
        (Standing::Standby, _) => "standby",
        (Standing::Elsewhere, _) => "elsewhere",
        (_, _) if is_starting => "starting",
        (_, Health::Unknown) => "unknown",
        _ => "up",
    }
}

fn why(state: &str, standing: Standing, reason: Option<&Reason>, in_flight: u32) -> Option<String> {
    let left = |what: &str| match in_flight {
        0 => format!("{what}; nothing is in flight"),
        1 => format!("{what}; 1 request is in flight"),
        many => format!("{what}; {many} requests are in flight"),
    };
    Some(match state {
        "leaving" => left("goes as soon as it is drained"),
        "joining" => match reason {
            None | Some(Reason::New) => "waits for its first passing check".to_owned(),
            Some(reason) => format!("waits for its first passing check: {reason}"),
        },
        "disabled" => left("takes no requests"),
        "draining" => left("no new clients"),
        "drained" => left("its drain is over"),
        "starting" => "its weight grows to what was decided".to_owned(),
        "standby" => "its tier, its zone or its place is not needed now".to_owned(),
        "elsewhere" => "left to other balancers".to_owned(),
        "panic" => match reason {
            Some(reason) => format!("used for want of better ones: {reason}"),
            None => "used for want of better ones".to_owned(),
        },
        "down" | "ejected" | "half-open" => reason?.to_string(),
        _ if standing == Standing::In => return None,
        _ => reason?.to_string(),
    })
}
