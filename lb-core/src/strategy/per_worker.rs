//! What a strategy keeps apart for each worker.
//!
//! A picker is shared by all workers, so what it remembers from one pick to the next
//! is in atomics. Where those are written by every pick, each worker gets some of
//! its own, on cache lines that nobody else writes, and a relaxed load and a relaxed
//! store do. The numbers of workers are the caller's and may be any; the cells are so
//! many that there is one for each worker on most machines. Two workers in one cell
//! may lose each other's writes. So what lies there must be a hint, or something that
//! may be used twice: nothing that has to add up.

use super::PickCx;

/// One `T` for each worker, on two cache lines of its own: processors fetch them in pairs.
#[derive(Debug)]
pub(super) struct PerWorker<T> {
    cells: Box<[Cell<T>; CELLS]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Cell<T>(T);

impl<T: Default> PerWorker<T> {
    pub(super) fn new() -> Self {
        Self { cells: Box::new(std::array::from_fn(|_| Cell(T::default()))) }
    }
}

/// Must be a power of two, so that the remainder costs nothing.
const CELLS: usize = 64;

impl<T> PerWorker<T> {
    /// What is kept for the worker who picks; whoever has not said his number is
    /// worker 0.
    #[inline]
    pub(super) fn of(&self, cx: &PickCx<'_>) -> &T {
        &self.cells[cx.worker() % CELLS].0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::time::Tick;

    #[test]
    fn workers_have_cells_of_their_own_whatever_their_numbers_are() {
        let cells = PerWorker::<AtomicU64>::new();
        let cell = |worker| cells.of(&PickCx::new(Tick::ZERO, 0).on_worker(worker));
        (0..CELLS).for_each(|worker| cell(worker).store(worker as u64, Ordering::Relaxed));
        assert!((0..CELLS).all(|worker| cell(worker).load(Ordering::Relaxed) == worker as u64));
        assert_eq!(cell(CELLS + 3).load(Ordering::Relaxed), 3);
        assert_eq!(cells.of(&PickCx::new(Tick::ZERO, 0)).load(Ordering::Relaxed), 0);
        assert_eq!(size_of::<Cell<AtomicU64>>(), 128);
    }
}
