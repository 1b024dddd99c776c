//! Who has taken up which snapshot.
//!
//! A published snapshot is not yet the truth: until a worker has taken it up, it
//! picks from the one before. So each handle says which publication it uses, idle
//! workers are woken to say it, and an operator's answer waits until all have.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::{Shared, Version, Wake, lock};

/// What the write side knows of one handle.
pub(super) struct Worker {
    /// The publication it picks from. Written by the handle, read by waiters;
    /// release/acquire, so that a waiter sees the picks that came before.
    publication: AtomicU64,
    wake: Wake,
}

#[derive(Default)]
pub(super) struct Workers {
    list: Mutex<Vec<Weak<Worker>>>,
    waiting: Mutex<Vec<Waker>>,
}

impl Workers {
    pub(super) fn register(&self, wake: Wake, publication: u64) -> Arc<Worker> {
        let worker = Arc::new(Worker { publication: AtomicU64::new(publication), wake });
        let mut list = lock(&self.list);
        list.retain(|worker| worker.strong_count() > 0);
        list.push(Arc::downgrade(&worker));
        worker
    }

    pub(super) fn wake_all(&self, publication: u64) {
        let workers: Vec<_> = lock(&self.list).iter().filter_map(Weak::upgrade).collect();
        for worker in workers {
            if worker.publication.load(Ordering::Relaxed) < publication {
                (worker.wake)();
            }
        }
        self.wake_waiting();
    }

    pub(super) fn acknowledge(&self, worker: &Worker, publication: u64) {
        worker.publication.store(publication, Ordering::Release);
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for waker in waiting {
            waker.wake();
        }
    }

    fn all_have(&self, publication: u64) -> bool {
        let workers: Vec<_> = lock(&self.list).iter().filter_map(Weak::upgrade).collect();
        workers.iter().all(|worker| worker.publication.load(Ordering::Acquire) >= publication)
    }
}

/// Waits until a change is in force at every worker; see
/// [`Cluster::effective`](super::Cluster::effective).
#[must_use = "a future does nothing unless it is polled"]
pub struct Effective {
    shared: Arc<Shared>,
    version: Version,
    /// The first publication that contains the version, once known.
    publication: Option<u64>,
}

impl Effective {
    pub(super) fn new(shared: Arc<Shared>, version: Version) -> Self {
        Self { shared, version, publication: None }
    }

    fn is_effective(&mut self) -> bool {
        if self.publication.is_none() {
            let current = self.shared.current.load();
            self.publication = (current.version() >= self.version).then(|| current.publication());
        }
        self.publication.is_some_and(|publication| self.shared.workers.all_have(publication))
    }
}

impl Future for Effective {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_effective() {
            return Poll::Ready(());
        }
        lock(&self.shared.workers.waiting).push(cx.waker().clone());
        // It may have become true before the waker was in the list.
        if self.is_effective() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effective").field("version", &self.version).finish_non_exhaustive()
    }
}
