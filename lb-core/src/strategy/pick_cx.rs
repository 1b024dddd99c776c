//! What a pick may depend on besides the snapshot.

use super::{binding::Binding, prequal::ProbePool, tried::Tried};
use crate::{sample, time::Tick};

/// The circumstances of one pick. A strategy that needs more gets a field here;
/// the [`Picker`](super::Picker) trait stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct PickCx<'a> {
    now: Tick,
    entropy: u64,
    worker: usize,
    key: Option<&'a [u8]>,
    binding: Option<Binding<'a>>,
    /// `None` where it is nothing, so that to ask is one comparison.
    tried: Option<&'a Tried>,
    probes: Option<&'a ProbePool>,
}

impl<'a> PickCx<'a> {
    /// A pick at this time with 64 random bits: from a generator, or
    /// [`mix`](crate::sample::mix) of a counter. The counter itself would not do.
    #[inline]
    #[must_use]
    pub fn new(now: Tick, entropy: u64) -> Self {
        Self { now, entropy, worker: 0, key: None, binding: None, tried: None, probes: None }
    }

    /// Says which of the workers picks: numbers from 0, each used by one thread. What
    /// strategies keep apart for workers they keep by it; all who say none share the
    /// part of worker 0, which is right as well, but slower.
    #[inline]
    #[must_use]
    pub fn on_worker(mut self, number: usize) -> Self {
        self.worker = number;
        self
    }

    /// Gives it the key by which strategies that [need](super::Needs::key) one
    /// pick: the client's address as 4 or 16 octets, or whatever was configured.
    #[inline]
    #[must_use]
    pub fn keyed(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks for the backend to which the client is bound.
    #[must_use]
    pub fn bound_to(mut self, binding: Binding<'a>) -> Self {
        self.binding = Some(binding);
        self
    }

    /// Asks for the backend of this name, to which the client is bound.
    #[must_use]
    pub fn preferring(self, name: &'a str) -> Self {
        self.bound_to(Binding::Name(name))
    }

    /// Excludes what the request has tried.
    #[must_use]
    pub fn avoiding(mut self, tried: &'a Tried) -> Self {
        self.tried = if tried.is_empty() { None } else { Some(tried) };
        self
    }

    /// Gives it what the worker's probes have found, for [`Prequal`](super::Prequal).
    #[must_use]
    pub fn probed(mut self, probes: &'a ProbePool) -> Self {
        self.probes = Some(probes);
        self
    }

    /// When.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Sixty-four random bits, different for each pick.
    #[inline]
    #[must_use]
    pub fn entropy(&self) -> u64 {
        self.entropy
    }

    /// The number of the worker who picks; 0 unless said.
    #[inline]
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// What requests that belong together have in common.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The backend that is asked for. Looked up before the strategy is asked, so a
    /// picker needs not know.
    #[inline]
    pub(crate) fn binding(&self) -> Option<Binding<'a>> {
        self.binding
    }

    /// What the worker's probes have found.
    pub(crate) fn probes(&self) -> Option<&'a ProbePool> {
        self.probes
    }

    /// What to leave out.
    #[inline]
    #[must_use]
    pub fn tried(&self) -> &'a Tried {
        self.tried.unwrap_or(Tried::NOTHING)
    }

    /// Whether nothing is to be left out.
    #[inline]
    pub(crate) fn is_untried(&self) -> bool {
        self.tried.is_none()
    }

    /// Its key, where it has one and nothing is to be left out.
    #[inline]
    pub(super) fn untried_key(&self) -> Option<&'a [u8]> {
        if self.is_untried() { self.key } else { None }
    }

    /// The same pick once more, with other random bits and more to leave out.
    pub(crate) fn again<'b>(&self, tried: &'b Tried, attempt: u64) -> PickCx<'b>
    where
        'a: 'b,
    {
        debug_assert!(!tried.is_empty(), "it is picked for again because of one of them");
        PickCx { entropy: sample::mix(self.entropy ^ attempt), tried: Some(tried), ..*self }
    }
}
