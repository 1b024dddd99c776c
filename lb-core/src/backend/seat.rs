//! Seats: small stable numbers for incarnations, and one bit each in the idle
//! bitmap.
//!
//! A snapshot's positions change whenever somebody joins or leaves, so shared
//! bitmaps can't be indexed by them: a request that began under the old snapshot
//! would end in somebody else's bit. A seat stays put for the whole life of its
//! incarnation, and is given to another only when the last snapshot that named
//! the incarnation is gone. That needs no protocol: the seat is owned by the
//! incarnation's load, the load by the snapshots, and the snapshots by the
//! workers and the leases. Dropping the last of them frees the seat.
//!
//! # The idle bit
//!
//! Clear means "busy, or failing"; set means "perhaps idle". Requests come and go much
//! faster than anybody looks for an idle backend, so those that come leave the bit as
//! it is, and those that go write it only where it is clear: who looks, looks at the
//! count as well, and clears the bits that turn out to be wrong. But a bit must never
//! stay wrongly *clear*, or the backend would starve. So:
//!
//! * who takes the in-flight count to zero looks at the bit **afterwards**, and sets it
//!   if it is clear, unless a failure of a moment ago still weighs on the backend: then
//!   the next sweep that finds it decayed does;
//! * who clears the bit **afterwards** looks whether the backend is idle, and if so sets
//!   it again. That look is a write to the word of the count, so that it is either after
//!   the end of the last request, and sees zero, or before it, and then that request sees
//!   the cleared bit. A look without a write could be before the end, and the end see
//!   the bit as it was before it was cleared.
//!
//! Every clear is thus followed by a set once the backend is idle and its failures
//! are forgotten, whatever the order in which threads run. `loom` explores it in `load::races`.

use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};

/// Sixty-four seats that share one word of each bitmap.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Block {
    /// Written by who finds that a bit is wrong, while `tracked`: seldom.
    idle: AtomicU64,
    /// Whether anybody reads `idle`. Written by the builder, read at the end of
    /// each request; on the line of `idle` because the two are used together.
    tracked: AtomicBool,
    /// Set bit: nobody sits there. Set by whoever drops the last reference,
    /// cleared by the builder alone.
    vacant: AtomicU64,
}

impl Block {
    fn new(tracked: bool) -> Self {
        Self {
            idle: AtomicU64::new(0),
            tracked: AtomicBool::new(tracked),
            vacant: AtomicU64::new(u64::MAX),
        }
    }

    /// The idle bits.
    pub(crate) fn idle(&self) -> u64 {
        self.idle.load(Ordering::Relaxed)
    }
}

/// One seat, occupied as long as this lives.
#[derive(Debug)]
pub(crate) struct Seat {
    block: Arc<Block>,
    number: u32,
}

impl Seat {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    fn mask(&self) -> u64 {
        1 << (self.number % u64::BITS)
    }

    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        self.block.tracked.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.block.idle() & self.mask() != 0
    }

    pub(crate) fn set_idle(&self) {
        self.block.idle.fetch_or(self.mask(), Ordering::AcqRel);
    }

    pub(crate) fn clear_idle(&self) {
        self.block.idle.fetch_and(!self.mask(), Ordering::AcqRel);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clear_idle();
        self.block.vacant.fetch_or(self.mask(), Ordering::Release);
    }
}

/// All seats of a cluster. Owned by the builder; grows, never shrinks.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    blocks: Vec<Arc<Block>>,
    tracked: bool,
}

impl Seats {
    /// Takes the first free seat.
    #[expect(clippy::cast_possible_truncation, reason = "2^32 backends do not fit into memory")]
    pub(crate) fn take(&mut self) -> Seat {
        let free = self.blocks.iter().position(|block| block.vacant.load(Ordering::Acquire) != 0);
        let index = free.unwrap_or_else(|| {
            self.blocks.push(Arc::new(Block::new(self.tracked)));
            self.blocks.len() - 1
        });
        let block = &self.blocks[index];
        let bit = block.vacant.load(Ordering::Acquire).trailing_zeros();
        block.vacant.fetch_and(!(1 << bit), Ordering::AcqRel);
        Seat { block: Arc::clone(block), number: index as u32 * u64::BITS + bit }
    }

    /// Turns the upkeep of idle bits on or off.
    pub(crate) fn track(&mut self, tracked: bool) {
        self.tracked = tracked;
        for block in &self.blocks {
            block.tracked.store(tracked, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_tracked(&self) -> bool {
        self.tracked
    }

    pub(crate) fn blocks(&self) -> Box<[Arc<Block>]> {
        self.blocks.iter().map(Arc::clone).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_given_again_only_after_it_was_left() {
        let mut seats = Seats::default();
        let first = seats.take();
        let second = seats.take();
        assert_eq!((first.number(), second.number()), (0, 1));
        drop(first);
        assert_eq!(seats.take().number(), 0);
    }

    #[test]
    fn the_table_grows_by_blocks_of_64() {
        let mut seats = Seats::default();
        let taken: Vec<_> = (0..130).map(|_| seats.take()).collect();
        assert_eq!(seats.blocks().len(), 3);
        assert_eq!(
            taken.iter().map(Seat::number).collect::<Vec<_>>(),
            (0..130).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_seat_that_is_left_is_not_idle() {
        let mut seats = Seats::default();
        let seat = seats.take();
        seat.set_idle();
        drop(seat);
        assert_eq!(seats.blocks()[0].idle(), 0);
    }
}
