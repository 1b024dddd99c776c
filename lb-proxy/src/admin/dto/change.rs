//! What people did, and what happened.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Backend, Cluster};
use crate::control::{self, ChangeRecord};

/// A decision of a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": 12, "at": 1_790_000_000_000_u64, "author": "ann", "door": "socket, uid 1000",
    "why": "disk is full", "subject": "web/s1", "cluster": "web", "backend": "s1",
    "field": "state", "before": "enabled", "after": "draining", "override": true,
}))]
pub(crate) struct Change {
    /// What `undo` takes; 0 of a dry run.
    pub(crate) id: u64,
    pub(crate) at: u64,
    pub(crate) author: String,
    /// How he came in.
    pub(crate) door: String,
    /// What he said it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// `web/s1`, or `web`.
    pub(crate) subject: String,
    pub(crate) cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    /// `state`, `weight`, `max_in_flight`, `strategy`, `health.KEY`, `sticky.KEY`, `added` or
    /// `removed`.
    pub(crate) field: String,
    #[schema(value_type = Object)]
    pub(crate) before: Value,
    #[schema(value_type = Object)]
    pub(crate) after: Value,
    /// Whether `after` is somebody's word; otherwise file and sources decide again.
    #[serde(rename = "override")]
    pub(crate) is_override: bool,
    /// Which change it took back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<u64>,
}

impl Change {
    /// Whether it has left the value as it was, and only given the field to the file.
    pub(crate) fn is_given_over(&self) -> bool {
        !self.is_override && self.before == self.after
    }
}

impl From<ChangeRecord> for Change {
    fn from(record: ChangeRecord) -> Self {
        Self {
            subject: record.subject(),
            id: record.id,
            at: record.at,
            author: record.author,
            door: record.door,
            why: record.why,
            cluster: record.cluster,
            backend: record.backend,
            field: record.field,
            before: record.before,
            after: record.after,
            is_override: record.is_override,
            undoes: record.undoes,
        }
    }
}

/// What it does to the requests.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "share_moving": 0.5, "in_flight": 3, "usable_left": 1,
    "says": "3 requests in flight finish; its 50 % of new requests go to s2",
}))]
pub(crate) struct Impact {
    /// Which share of the requests of the cluster goes elsewhere, 0 to 1.
    pub(crate) share_moving: f64,
    /// Requests in flight at the backends it is about.
    pub(crate) in_flight: u64,
    /// How many backends can be used then.
    pub(crate) usable_left: usize,
    /// All of it in a sentence.
    pub(crate) says: String,
}

impl From<control::Impact> for Impact {
    fn from(impact: control::Impact) -> Self {
        let control::Impact { share_moving, in_flight, usable_left, says } = impact;
        Self { share_moving, in_flight, usable_left, says }
    }
}

/// It was done; or, of a dry run, it could be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Changed {
    /// Nothing was done: it was only asked what would be.
    pub(crate) dry_run: bool,
    /// Whether every worker goes by it; otherwise it will in a moment.
    pub(crate) effective: bool,
    /// What was written down. Nothing for what was true already.
    pub(crate) changes: Vec<Change>,
    pub(crate) impact: Impact,
    /// The clusters it was about, as they are now.
    pub(crate) clusters: Vec<Cluster>,
    /// The backend it was about, as it is now, if it was about one and that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<Backend>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "seq": 99, "at": 1_790_000_000_000_u64, "kind": "health", "cluster": "web",
    "backend": "s3", "field": "health", "from": "up", "to": "down",
    "why": "3 checks in a row failed: connect: refused",
}))]
pub(crate) struct Event {
    /// Counts from 1 with each start.
    pub(crate) seq: u64,
    pub(crate) at: u64,
    /// `note`, `change`, `health`, `members`, `panic`, `reload`, `rejected`, `dropped` or
    /// `drained`.
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    pub(crate) why: String,
    /// By whom, where it was a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    /// The number to undo it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<u64>,
}

impl From<&control::Event> for Event {
    fn from(event: &control::Event) -> Self {
        let event = event.clone();
        Self {
            seq: event.seq,
            at: event.at,
            kind: event.kind.name().to_owned(),
            cluster: event.cluster,
            backend: event.backend,
            field: event.field,
            from: event.from,
            to: event.to,
            why: event.why,
            author: event.author,
            change: event.change,
        }
    }
}
