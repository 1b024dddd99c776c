//! From one place to another that has nothing to do with it.

use crate::{hash::Secret, sample, strategy::PickCx};

/// The hash of a request's key, and then others of it: those who share a backend that
/// can't take them don't share the next one, so that its part falls on all others. Entropy
/// instead of a key when there is none.
pub(in crate::strategy) struct Rehash {
    hash: u64,
    attempt: u64,
}

impl Rehash {
    /// How often a key is hashed again. With nine of ten backends down, one key in a
    /// thousand needs more.
    const MOST: u64 = 64;

    #[inline]
    pub(in crate::strategy) fn new(secret: Secret, cx: &PickCx<'_>) -> Self {
        let hash = cx.key().map_or_else(|| cx.entropy(), |key| secret.spread(key));
        Self { hash, attempt: 0 }
    }

    /// How many there were.
    pub(in crate::strategy) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// The next hash; `None` when it is enough.
    #[inline]
    pub(in crate::strategy) fn next(&mut self) -> Option<u64> {
        let hash = match self.attempt {
            0 => self.hash,
            attempt if attempt > Self::MOST => return None,
            attempt => sample::mix(self.hash ^ attempt),
        };
        self.attempt += 1;
        Some(hash)
    }
}
