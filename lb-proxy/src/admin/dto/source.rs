//! Where backends come from, and what became of them.

use std::collections::BTreeMap;

use lb_core::cluster::{self, CauseKind};
use lb_discovery::{Status, announce::Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ago, at_tick};

/// A source of backends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "source": "file nodes/", "connected": true, "members": 3,
    "set_at": 1_790_000_000_000_u64, "frozen": false, "warnings": [],
}))]
pub(crate) struct Source {
    pub(crate) cluster: String,
    pub(crate) source: String,
    /// Whether it answers without an error.
    pub(crate) connected: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connected_since: Option<u64>,
    /// How many backends its set in force has.
    pub(crate) members: usize,
    /// Since when that set is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) set_at: Option<u64>,
    /// Whether that is an old set, because the source cannot be read.
    pub(crate) frozen: bool,
    /// How many a set has that waits, because it would remove so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_members: Option<usize>,
    /// The last error, which may be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error_at: Option<u64>,
    /// Entries that could not be used.
    pub(crate) warnings: Vec<String>,
    /// What it was told and did not believe, by reason; only of sources that anybody can
    /// send to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<BTreeMap<String, u64>>,
}

impl Source {
    pub(crate) fn new(cluster: &str, status: &Status) -> Self {
        Self {
            cluster: cluster.to_owned(),
            source: status.source.to_string(),
            connected: status.connected_since.is_some(),
            connected_since: status.connected_since.map(ago),
            members: status.members(),
            set_at: status.set_at.map(ago),
            frozen: status.is_frozen(),
            held_members: status.held.as_ref().map(lb_core::Membership::len),
            last_error: status.last_error.as_ref().map(|error| error.text.to_string()),
            last_error_at: status.last_error.as_ref().map(|error| ago(error.at)),
            warnings: status.warnings.iter().map(ToString::to_string).collect(),
            refused: status.refusals.as_ref().map(|refusals| {
                let word = |(refusal, count): (Refusal, u64)| (refusal.word().to_owned(), count);
                refusals.iter().map(word).collect()
            }),
        }
    }
}

/// A state of a cluster, and why it came about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "number": 7, "at": 1_790_000_000_000_u64,
    "causes": [{ "kind": "person", "text": "ann (socket, uid 1000): weight of s1 is 3" }],
    "joined": [], "left": [], "moved": [], "changed": ["s1"],
}))]
pub(crate) struct Generation {
    pub(crate) cluster: String,
    pub(crate) number: u64,
    pub(crate) at: u64,
    pub(crate) causes: Vec<Cause>,
    /// Names of backends that are new,
    pub(crate) joined: Vec<String>,
    /// that are gone,
    pub(crate) left: Vec<String>,
    /// that have another address or life,
    pub(crate) moved: Vec<String>,
    /// that are described differently.
    pub(crate) changed: Vec<String>,
}

/// Why something changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Cause {
    /// `start`, `file`, `source`, `person` or `health`.
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Generation {
    pub(crate) fn new(cluster: &str, generation: &cluster::Generation) -> Self {
        let names = |names: &[std::sync::Arc<str>]| names.iter().map(ToString::to_string).collect();
        let diff = &generation.diff;
        let cause = |cause: &cluster::Cause| Cause {
            kind: kind(cause.kind()).to_owned(),
            text: cause.text().to_owned(),
        };
        Self {
            cluster: cluster.to_owned(),
            number: generation.number,
            at: at_tick(generation.at),
            causes: generation.causes.iter().map(cause).collect(),
            joined: names(&diff.joined),
            left: names(&diff.left),
            moved: names(&diff.replaced),
            changed: names(&diff.changed),
        }
    }
}

fn kind(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Start => "start",
        CauseKind::File => "file",
        CauseKind::Source => "source",
        CauseKind::Person => "person",
        CauseKind::Health => "health",
        _ => "other",
    }
}
