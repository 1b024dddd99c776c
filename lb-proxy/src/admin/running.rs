//! The settings that are served, each with the line that says so.
//!
//! The file on the disk may be another one by now, so they are kept when it is read, and
//! count from when it is served.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use lb_proxy::config::Setting;

/// All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningConfig(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    served: ArcSwap<Vec<Setting>>,
    /// Of the file that was read last, which may yet be refused.
    read: Mutex<Vec<Setting>>,
}

impl RunningConfig {
    /// Keeps what was read.
    pub(crate) fn read(&self, settings: Vec<Setting>) {
        *self.0.read.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// What was read last is served from now on.
    pub(crate) fn served(&self) {
        let read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.served.store(Arc::new(read));
    }

    pub(super) fn settings(&self) -> Arc<Vec<Setting>> {
        self.0.served.load_full()
    }
}
