//! What all workers of one proxy know of it.

use std::num::NonZeroUsize;

use super::entropy::Entropy;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Instance {
    /// How many workers there are.
    pub(crate) workers: NonZeroUsize,
    /// Tells this proxy from others, in this process and elsewhere. Not a secret.
    pub(crate) id: u32,
}

impl Instance {
    pub(super) fn new(workers: NonZeroUsize) -> Self {
        Self { workers, id: (Entropy::from_os().next() >> 32) as u32 }
    }
}
