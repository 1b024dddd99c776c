//! Turns that a worker takes many at a time.
//!
//! The shared cursor counts blocks of 64 turns. A worker takes a block and plays it
//! from a cell of its own, so that only one pick in 64 touches what others write, and
//! only that one divides. A cell is one word: the next turn in the cycle, and how many
//! are left of the block.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{PickCx, per_worker::PerWorker, round_robin::Cursor, schedule::Schedule};
use crate::cluster::Slot;

/// How many turns a worker takes at once, as a power of two.
const BLOCK_BITS: u32 = 6;
const BLOCK: u64 = 1 << BLOCK_BITS;

/// The blocks of one cluster, and where each worker is in his. Kept over rebuilds:
/// were what is left of blocks thrown away, a storm of changes would have every
/// worker play the beginnings of blocks only.
#[derive(Debug)]
pub(super) struct Blocks {
    cursor: Arc<Cursor>,
    cells: PerWorker<AtomicU64>,
}

impl Blocks {
    /// The blocks in `place`, or new ones that start where `entropy` says.
    pub(super) fn keep(place: &mut Option<Arc<Self>>, entropy: u64) -> Arc<Self> {
        let new = || {
            let cursor = Cursor::keep(&mut None, entropy >> BLOCK_BITS);
            Arc::new(Self { cursor, cells: PerWorker::new() })
        };
        Arc::clone(place.get_or_insert_with(new))
    }

    /// Whose turn is next for the worker who picks; `None` when nobody is there.
    #[inline]
    pub(super) fn turn(&self, schedule: &Schedule, cx: &PickCx<'_>) -> Option<Slot> {
        let len = schedule.len() as u64;
        if len == 0 {
            return None;
        }
        let cell = self.cells.of(cx);
        let word = cell.load(Ordering::Relaxed);
        let (mut turn, mut left) = (word >> BLOCK_BITS, word % BLOCK);
        if left == 0 || turn >= len {
            (turn, left) = self.rare(turn, left, len);
        }
        let next = if turn + 1 == len { 0 } else { turn + 1 };
        cell.store(next << BLOCK_BITS | (left - 1), Ordering::Relaxed);
        Some(schedule.at(turn))
    }

    /// Where to go on with an empty block, or in one of a longer cycle, before a rebuild.
    #[cold]
    fn rare(&self, turn: u64, left: u64, len: u64) -> (u64, u64) {
        if left == 0 {
            (self.cursor.take().wrapping_mul(BLOCK) % len, BLOCK)
        } else {
            (turn % len, left)
        }
    }
}
