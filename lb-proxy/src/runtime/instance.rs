//! What tells one proxy from others.

use super::entropy::Entropy;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Instance {
    /// Tells this proxy from others, in this process and elsewhere. Not a secret.
    pub(crate) id: u32,
}

impl Instance {
    pub(super) fn new() -> Self {
        Self { id: (Entropy::from_os().next() >> 32) as u32 }
    }
}
