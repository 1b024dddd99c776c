//! Numbered states, and why each came about.

use std::{collections::VecDeque, fmt, sync::Arc};

use crate::{membership::Diff, time::Tick};

/// Which kind of thing caused a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CauseKind {
    /// The cluster was made.
    Start,
    /// A configuration file was read.
    File,
    /// A source reported another set.
    Source,
    /// A person decided.
    Person,
    /// Something was observed of a backend.
    Health,
}

/// Why something changed, as an operator may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    kind: CauseKind,
    text: Arc<str>,
}

impl Cause {
    /// A cause of this kind, in words.
    #[must_use]
    pub fn new(kind: CauseKind, text: impl Into<Arc<str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> CauseKind {
        self.kind
    }

    /// Its words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Names a snapshot: its generation, and how often it was rebuilt without a new
/// cause (because a drain ran out, say).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Counts states that have a cause, from 1.
    pub generation: u64,
    /// Counts rebuilds within the generation, from 0.
    pub revision: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            0 => write!(f, "{}", self.generation),
            revision => write!(f, "{}.{revision}", self.generation),
        }
    }
}

/// One entry of a cluster's journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it was built.
    pub at: Tick,
    /// All that was applied since the generation before.
    pub causes: Vec<Cause>,
    /// What that did to the set of backends.
    pub diff: Diff,
}

/// The last generations.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Generation>,
}

impl Journal {
    const KEPT: usize = 256;

    pub(super) fn push(&mut self, generation: Generation) {
        if self.entries.len() == Self::KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(generation);
    }

    pub(super) fn to_vec(&self) -> Vec<Generation> {
        self.entries.iter().cloned().collect()
    }
}
