//! How a source is doing, as an operator may read it.

use std::{sync::Arc, time::Instant};

use lb_core::Membership;

use crate::{merge::Note, source::Warning};

/// What is known of one source at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What the source is called.
    pub source: Arc<str>,
    /// Since when it has answered without an error; `None` while it does not.
    pub connected_since: Option<Instant>,
    /// The set in force, which outlives errors; `None`: there never was one.
    pub set: Option<Membership>,
    /// When that set came into force; `None` if it was taken over from before.
    pub set_at: Option<Instant>,
    /// A set that removes so many backends that it has to be true for a while
    /// first.
    pub held: Option<Membership>,
    /// The last error, which may be over.
    pub last_error: Option<Failure>,
    /// Which entries could not be used.
    pub warnings: Arc<[Warning]>,
    /// What it was told and did not believe; `None`: it believes whom it asks.
    #[cfg(feature = "announce")]
    pub refusals: Option<Arc<crate::announce::Refusals>>,
}

/// An error and its time.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: Instant,
    /// What, with its causes.
    pub text: Arc<str>,
}

impl Status {
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.into(),
            connected_since: None,
            set: None,
            set_at: None,
            held: None,
            last_error: None,
            warnings: Arc::default(),
            #[cfg(feature = "announce")]
            refusals: None,
        }
    }

    /// Whether the set in force is an old one that goes on to hold because the
    /// source cannot be read.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.set.is_some() && self.connected_since.is_none()
    }

    /// Whether it has said anything yet, be it an error.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.connected_since.is_some() || self.last_error.is_some()
    }

    /// How many backends it has.
    #[must_use]
    pub fn members(&self) -> usize {
        self.set.as_ref().map_or(0, Membership::len)
    }

    /// All that a person should know about it now.
    pub(crate) fn notes(&self) -> impl Iterator<Item = Note> {
        let failure = self.last_error.as_ref().filter(|_| self.connected_since.is_none());
        let failure = failure.map(|failure| {
            let members = self.members();
            Warning::general(if self.set.is_some() {
                format!("{}; its {members} backends are kept", failure.text)
            } else {
                failure.text.to_string()
            })
        });
        let held = self.held.as_ref().map(|_| {
            let members = self.members();
            let text = format!("most of its {members} backends are gone; kept until confirmed");
            Warning::general(text)
        });
        let all = failure.into_iter().chain(held).chain(self.warnings.iter().cloned());
        all.map(|warning| Note { source: Arc::clone(&self.source), warning })
    }
}
