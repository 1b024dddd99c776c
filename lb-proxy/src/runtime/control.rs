//! What the outside may say to a worker: that something changed, that it should
//! drain, that it should stop.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// How far a worker has been told to go. Only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Stage {
    Serve,
    /// Drain, for as long as it takes.
    Finish,
    /// Drain, for at most `timeout.shutdown`.
    Drain,
    Stop,
}

/// Written by anybody, read by one worker.
#[derive(Debug, Default)]
pub(super) struct Control {
    stage: AtomicU8,
    wake: Notify,
}

impl Control {
    pub(super) fn advance(&self, stage: Stage) {
        // The notification below orders it: a woken worker sees the stage.
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.wake();
    }

    /// Has the worker look around. Never blocks.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Resolves after the next [`wake`](Self::wake), or at once if one came since
    /// the last. Cancel-safe.
    pub(super) async fn woken(&self) -> Stage {
        self.wake.notified().await;
        self.stage()
    }

    fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serve,
            1 => Stage::Finish,
            2 => Stage::Drain,
            _ => Stage::Stop,
        }
    }
}
