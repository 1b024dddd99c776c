//! How often verdicts changed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::backend::Health;

/// How many transitions a cluster has told, by what they led to. Statistics: whoever
/// reads several gets each as it is at that moment.
#[derive(Debug, Default)]
pub struct TransitionCounts([AtomicU64; 5]);

impl TransitionCounts {
    /// Transitions to this health.
    #[must_use]
    pub fn to(&self, health: Health) -> u64 {
        self.0[health as usize].load(Relaxed)
    }

    pub(crate) fn add(&self, to: Health) {
        self.0[to as usize].fetch_add(1, Relaxed);
    }
}
