//! What came of it.

use lb_proxy::config::{Altered, Spot};
use serde_json::Value;

use super::difference::Difference;
use crate::state::Override;

/// It was done; or, of a dry run, it could be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    /// What was written down, in order. Nothing for what was true already.
    pub(crate) changes: Vec<ChangeRecord>,
    pub(crate) impact: Impact,
    /// Whether every worker goes by it already; otherwise it will in a moment.
    pub(crate) effective: bool,
    /// What was written into the file, where that was wanted.
    pub(crate) saving: Option<Box<Saving>>,
}

/// What was written into the file; or, of a dry run, would be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Saving {
    /// Each thing that people have set and that was meant.
    pub(crate) items: Vec<SavedItem>,
    /// The files that say something else.
    pub(crate) files: Vec<Altered>,
    /// What is different in them, without secrets.
    pub(crate) diffs: Vec<(String, String)>,
    /// What another file makes of all of it, where the whole file was replaced.
    pub(crate) difference: Option<Difference>,
}

/// Something that people have set.
#[derive(Debug, Clone)]
pub(crate) struct SavedItem {
    pub(crate) of: Override,
    /// Where it stands now, or why it is not in the file.
    pub(crate) outcome: Result<Spot, String>,
}

/// A decision of a person, as it is in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangeRecord {
    /// Counts from 1; 0 for what a dry run would write.
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// Who; the door in words.
    pub(crate) author: String,
    pub(crate) door: String,
    pub(crate) why: Option<String>,
    pub(crate) cluster: String,
    /// `None`: it is about the cluster as such.
    pub(crate) backend: Option<String>,
    /// `state`, `weight`, `max_in_flight`, `strategy`, `health.KEY`, `sticky.KEY`, `added`,
    /// `removed`.
    pub(crate) field: String,
    pub(crate) before: Value,
    pub(crate) after: Value,
    /// Whether `after` is somebody's word; otherwise file and sources decide again.
    pub(crate) is_override: bool,
    /// Which change it takes back.
    pub(crate) undoes: Option<u64>,
}

/// What it does to the requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Impact {
    /// Which share of the requests of the cluster goes elsewhere than before, by the
    /// weights of those that can be used: 0 to 1. Of several clusters the largest.
    pub(crate) share_moving: f64,
    /// How many requests are in flight at the backends it is about.
    pub(crate) in_flight: u64,
    /// How many backends of the cluster can be used then; of several the fewest.
    pub(crate) usable_left: usize,
    /// All of it in a sentence.
    pub(crate) says: String,
}

impl ChangeRecord {
    /// `dynamic/d1`, or `dynamic`.
    pub(crate) fn subject(&self) -> String {
        match &self.backend {
            Some(backend) => format!("{}/{backend}", self.cluster),
            None => self.cluster.clone(),
        }
    }

    /// Whether it has left the value as it was, and only given the field to the file.
    pub(crate) fn is_given_over(&self) -> bool {
        !self.is_override && self.before == self.after
    }

    /// `anna (token ops)`.
    pub(crate) fn whom(&self) -> String {
        format!("{} ({})", self.author, self.door)
    }
}
