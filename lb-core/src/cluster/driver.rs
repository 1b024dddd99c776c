//! Whoever drives a cluster: how to wake them, and what requests have told him.
//!
//! A request that ended in a way that may change a verdict says so here: a push onto
//! a short list under a lock that is held for nothing else. Only failures do, and
//! only where failures matter; successes, only while somebody waits for one. The
//! list has its room from the start, so a report allocates nothing either.

use std::{
    fmt, mem,
    sync::{Arc, Mutex},
};

use super::lock;
use crate::{backend::IncarnationId, health::Input, time::Tick};

/// A callback that wakes somebody. Called from any thread; must neither block nor
/// panic nor call back into the cluster, but make its owner do so.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How a request ended on one incarnation, and when.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) incarnation: IncarnationId,
    pub(super) input: Input,
    pub(super) at: Tick,
}

pub(super) struct Driver {
    wake: Mutex<Option<Wake>>,
    reports: Mutex<Vec<Report>>,
}

impl Driver {
    /// So many reports are kept until somebody drives. More can't change more: a
    /// verdict needs a few.
    const KEPT: usize = 256;

    pub(super) fn new() -> Arc<Self> {
        let reports = Mutex::new(Vec::with_capacity(Self::KEPT));
        Arc::new(Self { wake: Mutex::default(), reports })
    }

    pub(super) fn wake_by(&self, wake: Wake) {
        let replaced = lock(&self.wake).replace(wake);
        drop(replaced);
        self.wake();
    }

    pub(super) fn wake(&self) {
        let wake = lock(&self.wake).clone();
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Keeps a report, unless there are too many; says whether it did.
    #[cold]
    pub(super) fn report(&self, report: Report) -> bool {
        let before = {
            let mut reports = lock(&self.reports);
            let before = reports.len();
            if before < Self::KEPT {
                reports.push(report);
            }
            before
        };
        // Where there was one before, somebody was woken for it and has not come yet.
        if before == 0 {
            self.wake();
        }
        before < Self::KEPT
    }

    /// All reports, in the order in which they came.
    pub(super) fn take_reports(&self) -> Vec<Report> {
        let mut reports = lock(&self.reports);
        if reports.is_empty() {
            return Vec::new();
        }
        mem::replace(&mut *reports, Vec::with_capacity(Self::KEPT))
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
