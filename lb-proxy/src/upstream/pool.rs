//! Connections to backends that wait for their next request.
//!
//! One pool per cluster and worker, a shelf per backend, found by the backend's
//! seat. The last one put on a shelf is the first one taken: the others grow
//! old and are let go, so that a pool shrinks after a peak. A connection belongs
//! to an *incarnation*: a new backend on an old seat finds an empty shelf, and
//! what comes back after its backend has left is let go.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use lb_core::{Tick, backend::IncarnationId};

use super::connection::UpstreamConnection;
use crate::runtime::clock::Clock;

/// Most that wait per backend and worker.
const PER_BACKEND: usize = 256;
/// Most that wait per worker, over all clusters; the oldest of the cluster that
/// wants to add one goes first.
const PER_WORKER: usize = 1024;

#[derive(Debug)]
pub(crate) struct Pool {
    clock: Rc<Clock>,
    keep: Cell<Duration>,
    shelves: RefCell<Vec<Shelf>>,
    /// How many wait in this worker.
    total: Rc<Cell<usize>>,
}

#[derive(Debug, Default)]
struct Shelf {
    whose: Option<IncarnationId>,
    /// Oldest first.
    idle: VecDeque<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<UpstreamConnection>,
    since: Tick,
}

impl Pool {
    /// A pool that keeps nothing for long yet. `total` is that of the worker.
    pub(crate) fn new(clock: Rc<Clock>, total: Rc<Cell<usize>>) -> Self {
        Self { clock, keep: Cell::default(), shelves: RefCell::default(), total }
    }

    /// How long a connection may wait; also for those that do.
    pub(crate) fn keep_for(&self, time: Duration) {
        self.keep.set(time);
    }

    /// Takes a connection that looks alive. It may be closed by the backend
    /// before the request is written; that cannot be known here.
    pub(crate) fn take(
        &self,
        seat: usize,
        whose: IncarnationId,
    ) -> Option<Box<UpstreamConnection>> {
        loop {
            let mut idle = {
                let mut shelves = self.shelves.borrow_mut();
                let shelf = shelves.get_mut(seat).filter(|shelf| shelf.whose == Some(whose))?;
                shelf.idle.pop_back()?
            };
            self.total.set(self.total.get() - 1);
            if idle.connection.is_alive() {
                idle.connection.mark_reused();
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection that is ready for another request, unless its backend
    /// has left meanwhile. That is asked only where the shelf belongs to nobody or
    /// to another: who leaves loses it.
    pub(crate) fn put(
        &self,
        seat: usize,
        whose: IncarnationId,
        lives: impl FnOnce() -> bool,
        connection: Box<UpstreamConnection>,
    ) {
        connection.timer.park();
        let idle = Idle { connection, since: self.clock.coarse() };
        // Let go of after the borrow: what drops a connection may drop a task.
        let mut gone = Vec::new();
        {
            let mut shelves = self.shelves.borrow_mut();
            if shelves.len() <= seat {
                shelves.resize_with(seat + 1, Shelf::default);
            }
            let shelf = &mut shelves[seat];
            if shelf.whose != Some(whose) {
                if !lives() {
                    return;
                }
                shelf.whose = Some(whose);
                gone.extend(shelf.idle.drain(..));
            }
            shelf.idle.push_back(idle);
            if shelf.idle.len() > PER_BACKEND {
                gone.extend(shelf.idle.pop_front());
            } else if self.total.get() >= PER_WORKER {
                gone.extend(pop_oldest(&mut shelves));
            }
        }
        self.total.set(self.total.get() + 1 - gone.len());
    }

    /// Lets go of all that wait for one backend.
    pub(crate) fn purge(&self, seat: usize, whose: IncarnationId) {
        self.retain(|at, shelf, _| at != seat || shelf != whose);
    }

    /// Lets go of what waits for incarnations that are gone.
    pub(crate) fn retain_incarnations(&self, lives: impl Fn(IncarnationId) -> bool) {
        self.retain(|_, whose, _| lives(whose));
        for shelf in self.shelves.borrow_mut().iter_mut() {
            shelf.whose = shelf.whose.filter(|whose| lives(*whose));
        }
    }

    /// Lets go of what waited too long or was closed.
    pub(crate) fn sweep(&self) {
        let (now, keep) = (self.clock.coarse(), self.keep.get());
        self.retain(|_, _, idle| now.since(idle.since) < keep && idle.connection.is_alive());
    }

    fn retain(&self, mut stays: impl FnMut(usize, IncarnationId, &mut Idle) -> bool) {
        let mut gone = Vec::new();
        for (seat, shelf) in self.shelves.borrow_mut().iter_mut().enumerate() {
            let Some(whose) = shelf.whose else { continue };
            let mut at = 0;
            while at < shelf.idle.len() {
                if stays(seat, whose, &mut shelf.idle[at]) {
                    at += 1;
                } else {
                    gone.extend(shelf.idle.remove(at));
                }
            }
        }
        self.total.set(self.total.get() - gone.len());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let waiting: usize = self.shelves.get_mut().iter().map(|shelf| shelf.idle.len()).sum();
        self.total.set(self.total.get() - waiting);
    }
}

fn pop_oldest(shelves: &mut [Shelf]) -> Option<Idle> {
    let waiting = shelves.iter_mut().filter(|shelf| !shelf.idle.is_empty());
    waiting.min_by_key(|shelf| shelf.idle[0].since)?.idle.pop_front()
}
