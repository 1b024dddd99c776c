//! What a pick may depend on besides the snapshot.

use super::tried::Tried;
use crate::{sample, time::Tick};

/// The circumstances of one pick. A strategy that needs more gets a field here;
/// the [`Picker`](super::Picker) trait stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct PickCx<'a> {
    now: Tick,
    entropy: u64,
    preferred: Option<&'a str>,
    tried: &'a Tried,
}

impl<'a> PickCx<'a> {
    /// A pick at this time with 64 random bits.
    #[must_use]
    pub fn new(now: Tick, entropy: u64) -> Self {
        Self { now, entropy, preferred: None, tried: Tried::NOTHING }
    }

    /// Asks for the backend of this name, to which the client is bound.
    #[must_use]
    pub fn preferring(mut self, name: &'a str) -> Self {
        self.preferred = Some(name);
        self
    }

    /// Excludes what the request has tried.
    #[must_use]
    pub fn avoiding(mut self, tried: &'a Tried) -> Self {
        self.tried = tried;
        self
    }

    /// When.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Sixty-four random bits, different for each pick.
    #[must_use]
    pub fn entropy(&self) -> u64 {
        self.entropy
    }

    /// The name of the backend that is asked for.
    #[must_use]
    pub fn preferred(&self) -> Option<&'a str> {
        self.preferred
    }

    /// What to leave out.
    #[must_use]
    pub fn tried(&self) -> &'a Tried {
        self.tried
    }

    /// The same pick once more, with other random bits and more to leave out.
    pub(crate) fn again<'b>(&self, tried: &'b Tried, attempt: u64) -> PickCx<'b> {
        PickCx::new(self.now, sample::mix(self.entropy ^ attempt)).avoiding(tried)
    }
}
