//! What the outside may say to a worker: that something changed, what it is to
//! become, that it should drain, that it should stop.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::sync::Notify;

use super::plan::Plan;

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
    next: Mutex<Next>,
}

/// What the worker is to become next: one place, no queue.
#[derive(Debug, Default)]
enum Next {
    #[default]
    Nothing,
    Plan(Plan),
    /// The worker has ended.
    Nobody,
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

    /// Has the worker take up a plan, instead of one that it has not yet seen. Without
    /// a worker the plan's sockets are closed again.
    pub(super) fn hand_over(&self, mut plan: Plan) {
        let unused = {
            let mut next = self.next();
            match &mut *next {
                Next::Nobody => Next::Plan(plan),
                Next::Nothing => mem::replace(&mut *next, Next::Plan(plan)),
                Next::Plan(unseen) => {
                    plan.supersede(unseen);
                    mem::replace(&mut *next, Next::Plan(plan))
                }
            }
        };
        drop(unused);
        self.wake();
    }

    /// The plan that was handed over last, once.
    pub(super) fn take_plan(&self) -> Option<Plan> {
        match mem::take(&mut *self.next()) {
            Next::Plan(plan) => Some(plan),
            // Only the worker asks, so there is one.
            Next::Nothing | Next::Nobody => None,
        }
    }

    /// The worker ends: nothing is kept for it any more.
    pub(super) fn end(&self) {
        let unseen = mem::replace(&mut *self.next(), Next::Nobody);
        drop(unseen);
    }

    /// Whether there is a worker.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(*self.next(), Next::Nobody)
    }

    /// Resolves after the next [`wake`](Self::wake), or at once if one came since
    /// the last. Cancel-safe.
    pub(super) async fn woken(&self) -> Stage {
        self.wake.notified().await;
        self.stage()
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serve,
            1 => Stage::Finish,
            2 => Stage::Drain,
            _ => Stage::Stop,
        }
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        // Plans are only moved under the lock.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
