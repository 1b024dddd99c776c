//! Keyed hashes of names, and what is decided by them.

use super::hosts::Host;
use crate::{
    hash::Secret,
    sample,
    strategy::{PickCx, rendezvous},
};

/// By position: a keyed hash of the name, and the configured weight.
#[derive(Debug)]
pub(in crate::strategy) struct Marks {
    secret: Secret,
    marks: Box<[u64]>,
    weights: Box<[u32]>,
}

impl Marks {
    /// Of these hosts. O(n).
    pub(in crate::strategy) fn new(hosts: &[Host], secret: Secret) -> Self {
        let marks = hosts.iter().map(|(name, _)| secret.spread(name.as_bytes())).collect();
        let weights = hosts.iter().map(|(_, weight)| *weight).collect();
        Self { secret, marks, weights }
    }

    /// The hashes.
    pub(in crate::strategy) fn as_slice(&self) -> &[u64] {
        &self.marks
    }

    /// The weights.
    pub(in crate::strategy) fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// Keyed, of what the request brings.
    pub(super) fn hash(&self, cx: &PickCx<'_>) -> u64 {
        cx.key().map_or_else(|| cx.entropy(), |key| self.secret.spread(key))
    }

    /// Whether the keys of this hash are among the first `part` of 2³² that a position
    /// takes. Who is in stays in while the part grows.
    pub(super) fn is_within(&self, part: u64, position: usize, hash: u64) -> bool {
        sample::mix(hash ^ self.marks[position]) >> 32 < part
    }

    /// Whom rendezvous hashing gives of these positions, of those who may. O(n).
    pub(super) fn highest(
        &self,
        hash: u64,
        among: &[u32],
        mut may: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let positions = among.iter().map(|position| *position as usize);
        let those = positions.filter(|position| may(*position));
        let scored = those.map(|position| (position, self.marks[position], self.weights[position]));
        rendezvous::highest(hash, scored)
    }
}
