//! What runs against what the file says, and writing the one into the other.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Change;
use crate::control::{self, ChangeRecord, Done, Drift};

/// Everything that differs from the file because somebody wanted it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Differences {
    /// The file, or what stands for one.
    pub(crate) origin: String,
    pub(crate) differences: Vec<DriftItem>,
}

/// A value that holds, and what the file says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "backend": "s1", "field": "weight", "value": 3, "file_says": 1,
    "file": "/etc/lb/lb.toml", "line": 12, "change": 41, "at": 1_790_000_000_000_u64,
    "author": "ann", "door": "socket, uid 1000", "why": "bigger machine", "absent": false,
    "can_be_saved": true,
}))]
pub(crate) struct DriftItem {
    pub(crate) cluster: String,
    /// Absent: it is about the cluster as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    /// `state`, `weight`, `max_in_flight`, `strategy`, `added` or `removed`.
    pub(crate) field: String,
    /// What holds.
    #[schema(value_type = Object)]
    pub(crate) value: Value,
    /// What the file says; null where it says nothing.
    #[schema(value_type = Object)]
    pub(crate) file_says: Value,
    /// The file where that stands; absent for a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// The change it came by: undo that to be rid of it.
    pub(crate) change: u64,
    /// When; who; how he came in; what for. Absent where the journal has forgotten it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Whether the backend is not there now.
    pub(crate) absent: bool,
    /// Whether it can be written into the file.
    pub(crate) can_be_saved: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
}

impl DriftItem {
    /// `why_not`: why it cannot be written, if it cannot.
    pub(crate) fn new(
        drift: &Drift,
        record: Option<ChangeRecord>,
        place: Option<(String, usize)>,
        why_not: Option<String>,
    ) -> Self {
        let (file, line) = place.unzip();
        let (at, author, door, why) = match record {
            Some(one) => (Some(one.at), Some(one.author), Some(one.door), one.why),
            None => (None, None, None, None),
        };
        Self {
            cluster: drift.cluster.clone(),
            backend: drift.backend.clone(),
            field: drift.field.clone(),
            value: drift.value.clone(),
            file_says: drift.file.clone(),
            file,
            line,
            change: drift.change,
            at,
            author,
            door,
            why,
            absent: drift.is_absent,
            can_be_saved: why_not.is_none(),
            because: why_not,
        }
    }
}

/// What is to be written into the file: all that people have set, or what is named.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "targets": ["web/s1", "api"] }))]
pub(crate) struct SaveWish {
    /// `CLUSTER`, with all that belongs to it, or `CLUSTER/BACKEND`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) targets: Vec<String>,
    /// What came by these changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<u64>,
}

impl From<SaveWish> for control::Which {
    fn from(wish: SaveWish) -> Self {
        let subject = |target: &String| match target.split_once('/') {
            Some((cluster, backend)) => (cluster.to_owned(), Some(backend.to_owned())),
            None => (target.clone(), None),
        };
        Self { subjects: wish.targets.iter().map(subject).collect(), changes: wish.changes }
    }
}

/// What was written; or, of a dry run, would be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Saved {
    /// Nothing was done: it was only asked what would be.
    pub(crate) dry_run: bool,
    pub(crate) config_generation: u64,
    /// Whether every worker goes by it; otherwise it will in a moment.
    pub(crate) effective: bool,
    /// All of it in a sentence.
    pub(crate) says: String,
    /// Each value that was meant.
    pub(crate) items: Vec<SavedItem>,
    /// The files that say something else.
    pub(crate) files: Vec<FileDiff>,
    /// What was written down.
    pub(crate) changes: Vec<Change>,
    /// What another file makes of all of it, where the whole file is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<Difference>,
}

/// A value that is in the file now, or why it is not.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SavedItem {
    pub(crate) cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    pub(crate) field: String,
    #[schema(value_type = Object)]
    pub(crate) value: Value,
    /// Whether it is in the file now; otherwise it stays set beside it.
    pub(crate) saved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Where it stands; of what was removed, where it stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// Why it is not in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
}

/// A file that says something else.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FileDiff {
    pub(crate) file: String,
    /// As `diff -u` tells it, without secrets.
    pub(crate) diff: String,
}

/// What another configuration would change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Difference {
    pub(crate) clusters_added: Vec<String>,
    pub(crate) clusters_removed: Vec<String>,
    /// Of clusters that both have.
    pub(crate) backends: Vec<BackendDifference>,
    /// Whether any request may go another way.
    pub(crate) routes_changed: bool,
    /// Each value that is different; secrets are left out.
    pub(crate) settings: Vec<SettingDifference>,
    /// Keys that hold from the next start on only.
    pub(crate) needs_restart: Vec<String>,
}

/// A backend that is different.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BackendDifference {
    pub(crate) cluster: String,
    pub(crate) backend: String,
    /// `added`, `removed` or `changed`.
    pub(crate) what: String,
}

/// A value that is different.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SettingDifference {
    pub(crate) key: String,
    /// In TOML; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

impl Saved {
    pub(crate) fn new(done: Done, dry_run: bool, config_generation: u64) -> Self {
        let saving = done.saving.map_or_else(control::Saving::default, |saving| *saving);
        let diff = |(file, diff)| FileDiff { file, diff };
        Self {
            dry_run,
            config_generation,
            effective: done.effective,
            says: done.impact.says,
            items: saving.items.into_iter().map(Into::into).collect(),
            files: saving.diffs.into_iter().map(diff).collect(),
            changes: done.changes.into_iter().map(Into::into).collect(),
            difference: saving.difference.map(Into::into),
        }
    }
}

impl From<control::SavedItem> for SavedItem {
    fn from(control::SavedItem { of, outcome }: control::SavedItem) -> Self {
        let (spot, because) = match outcome {
            Ok(spot) => (Some(spot), None),
            Err(why) => (None, Some(why)),
        };
        Self {
            cluster: of.subject.cluster().to_owned(),
            backend: of.subject.backend().map(str::to_owned),
            field: of.field.name().to_owned(),
            value: of.value,
            saved: spot.is_some(),
            line: spot.as_ref().map(|spot| spot.line),
            file: spot.map(|spot| spot.file),
            because,
        }
    }
}

impl From<control::Difference> for Difference {
    fn from(difference: control::Difference) -> Self {
        let backend = |one: control::BackendDifference| BackendDifference {
            cluster: one.cluster,
            backend: one.backend,
            what: one.what.to_owned(),
        };
        let setting = |one: control::SettingDifference| SettingDifference {
            key: one.key,
            before: one.before,
            after: one.after,
        };
        Self {
            clusters_added: difference.clusters_added,
            clusters_removed: difference.clusters_removed,
            backends: difference.backends.into_iter().map(backend).collect(),
            routes_changed: difference.routes_changed,
            settings: difference.settings.into_iter().map(setting).collect(),
            needs_restart: difference.needs_restart,
        }
    }
}
