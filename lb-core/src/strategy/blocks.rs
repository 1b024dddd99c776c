//! Turns that a worker takes many at a time.
//!
//! The shared cursor counts blocks of 64 turns. A worker takes a block and plays it
//! from a cell of its own, so that only one pick in 64 touches what others write, and
//! only that one divides. A cell is one word: how many turns are left of the block, and
//! below that the next one in the cycle, or its length instead of the first. So going on
//! is one addition, which is what picks in a row wait for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{PickCx, per_worker::PerWorker, round_robin::Cursor, schedule::Schedule};
use crate::cluster::Slot;

/// How many turns a worker takes at once.
const BLOCK: u64 = 64;
/// One turn that is left.
const LEFT: u64 = 1 << 32;
/// The place of the next turn.
const TURN: u64 = LEFT - 1;

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
            let cursor = Cursor::keep(&mut None, entropy / BLOCK);
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
        let mut word = cell.load(Ordering::Relaxed);
        if word < LEFT || word & TURN >= len {
            word = self.rare(word, len);
        }
        cell.store(word - (LEFT - 1), Ordering::Relaxed);
        schedule.get(word & TURN)
    }

    /// Where to go on at the end of the cycle, with an empty block, or in one of a longer
    /// cycle, before a rebuild.
    #[cold]
    fn rare(&self, word: u64, len: u64) -> u64 {
        if word < LEFT {
            self.cursor.take().wrapping_mul(BLOCK) % len + LEFT * BLOCK
        } else if word & TURN == len {
            word - len
        } else {
            (word & TURN) % len + (word & !TURN)
        }
    }
}
