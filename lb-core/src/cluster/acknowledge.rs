//! Who has taken up which snapshot.
//!
//! A published snapshot is not yet the truth: until a worker has taken it up, it
//! picks from the one before. So each handle says which publication it uses, idle
//! workers are woken to say it, and an operator's answer waits until all have.

use std::{
    collections::BTreeMap,
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
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Workers {
    /// A worker that has acknowledged nothing yet.
    pub(super) fn register(&self, wake: Wake) -> Arc<Worker> {
        let worker = Arc::new(Worker { publication: AtomicU64::new(0), wake });
        let mut list = lock(&self.list);
        list.retain(|worker| worker.strong_count() > 0);
        list.push(Arc::downgrade(&worker));
        worker
    }

    /// Wakes the workers that have not got `publication`, and whoever waits.
    pub(super) fn wake_all(&self, publication: u64) {
        for worker in self.present() {
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
        let wakers = std::mem::take(&mut lock(&self.waiting).wakers);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    fn present(&self) -> Vec<Arc<Worker>> {
        lock(&self.list).iter().filter_map(Weak::upgrade).collect()
    }

    fn all_have(&self, publication: u64) -> bool {
        let has = |worker: Arc<Worker>| worker.publication.load(Ordering::Acquire) >= publication;
        self.present().into_iter().all(has)
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
    /// Our place among those who wait.
    ticket: Option<u64>,
}

impl Effective {
    pub(super) fn new(shared: Arc<Shared>, version: Version) -> Self {
        Self { shared, version, publication: None, ticket: None }
    }

    fn is_effective(&mut self) -> bool {
        if self.publication.is_none() {
            let current = self.shared.current.load();
            self.publication = (current.version() >= self.version).then(|| current.publication());
        }
        self.publication.is_some_and(|publication| self.shared.workers.all_have(publication))
    }

    fn wait(&mut self, waker: &Waker) {
        let waker = waker.clone();
        let replaced = {
            let mut waiting = lock(&self.shared.workers.waiting);
            let ticket = *self.ticket.get_or_insert_with(|| {
                waiting.next += 1;
                waiting.next
            });
            waiting.wakers.insert(ticket, waker)
        };
        // Not under the lock: it may be the last hold on a task that waits, too.
        drop(replaced);
    }
}

impl Future for Effective {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_effective() {
            return Poll::Ready(());
        }
        self.wait(cx.waker());
        // It may have become true before the waker was in the list.
        if self.is_effective() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Effective {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = lock(&self.shared.workers.waiting).wakers.remove(&ticket);
            drop(waker);
        }
    }
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effective").field("version", &self.version).finish_non_exhaustive()
    }
}
