//! Checks that somebody asks for, now.
//!
//! They are made beside the schedule, which they do not move, and count as evidence like
//! any other. A few at a time: whoever asks more is refused, as backends are not to be
//! hammered by way of us.

use std::sync::{Mutex, PoisonError};

use lb_core::{Cluster, backend::IncarnationId};
use tokio::sync::oneshot;

use super::found::CheckResult;

/// How many may wait or be under way.
const AT_A_TIME: usize = 16;

/// Why a check that was asked for is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotChecked {
    /// Too many were asked for at once.
    #[error("too many checks are asked for at once")]
    Busy,
    /// The backend has left, or its cluster has no checks.
    #[error("nobody checks it: it has left, or its cluster has no checks")]
    Nobody,
}

/// One that is to be made.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) cluster: Cluster,
    pub(super) incarnation: IncarnationId,
    pub(super) answer: oneshot::Sender<CheckResult>,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<Asked>>);

impl Waiting {
    /// Takes one in. Whoever waits hears nothing where nobody checks the backend.
    pub(super) fn add(
        &self,
        cluster: &Cluster,
        incarnation: IncarnationId,
    ) -> Result<oneshot::Receiver<CheckResult>, NotChecked> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= AT_A_TIME {
            return Err(NotChecked::Busy);
        }
        let (answer, answered) = oneshot::channel();
        waiting.push(Asked { cluster: cluster.clone(), incarnation, answer });
        Ok(answered)
    }

    /// At most so many of them that with those `under_way` there are not too many.
    pub(super) fn take(&self, under_way: usize) -> Vec<Asked> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = AT_A_TIME.saturating_sub(under_way).min(waiting.len());
        waiting.drain(..count).collect()
    }
}
