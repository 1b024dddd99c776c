//! Whoever has the least to do. The default.

use std::sync::Arc;

use super::{
    BuildCx, Choice, Needs, PerGroup, PickCx, Picker, Reason, Strategy, blocks::Blocks,
    draws::Draws, schedule::Schedule,
};
use crate::{
    cluster::{Slot, View},
    sample,
};

/// The backend with the fewest requests in flight for its weight, where a failure of a
/// moment ago counts as one ([`View::pressure`]).
///
/// Up to eight backends are simply looked at: the smallest in flight ÷ weight
/// wins. When all are equal they take turns in smooth round-robin order, each
/// [worker](PickCx::on_worker) 64 at a time, so that a cluster with nothing to do is served
/// exactly as by nginx's `least_conn`; when some are, one of those is drawn by weight.
///
/// With more than eight, looking at all of them costs more than it gains.
/// *Idle-first*: backends are drawn by weight until one is idle; after a few draws, any
/// idle one is taken, which a shared bitmap finds (the idea of Join-Idle-Queue, Lu et
/// al. 2011, with one bit for the queue). When nobody is idle, the least loaded of four
/// draws. A backend that fails is not idle until its failures have decayed. Nobody claims
/// what he finds: two workers that look within the few nanoseconds before one of them has
/// counted his request in may take the same one, which a claim would prevent at the price
/// of two more shared writes for each request. O(1) while a tenth are idle,
/// otherwise O(backends ÷ 64); a pick that finds bits of backends that have become busy
/// since they were set clears them, each of which was spared a request.
#[derive(Debug, Default)]
pub struct LeastConn {
    blocks: PerGroup<Option<Arc<Blocks>>>,
    /// Whether the last picker goes by the idle bits.
    idle_first: bool,
}

/// Up to this many backends are compared one by one.
const SCANNED: usize = 8;
/// How many are drawn when nobody is idle.
const DRAWS: u32 = 4;

impl Strategy for LeastConn {
    fn name(&self) -> &'static str {
        "least-conn"
    }

    fn needs(&self) -> Needs {
        if self.idle_first { Needs::idle_bits() } else { Needs::default() }
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        self.idle_first = view.new_set().len() > SCANNED;
        if self.idle_first {
            return Box::new(IdleFirst::new(view));
        }
        let slots: Box<[Slot]> = view.new_set().as_slice().into();
        let weights: Box<[u32]> = slots.iter().map(|slot| view.weight(*slot)).collect();
        let schedule = Schedule::new(&slots, &weights);
        let blocks = Blocks::keep(self.blocks.of(cx.group()), cx.entropy);
        let is_even = weights.windows(2).all(|two| two[0] == two[1]);
        Box::new(Scan { slots, weights, is_even, schedule, blocks })
    }
}

#[derive(Debug)]
struct Scan {
    slots: Box<[Slot]>,
    weights: Box<[u32]>,
    /// Whether all weights are the same: then there is nothing to multiply by.
    is_even: bool,
    schedule: Schedule,
    blocks: Arc<Blocks>,
}

impl Picker for Scan {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let least = if self.is_even {
            self.least(view, cx, |_| 1)
        } else {
            self.least(view, cx, |position| u64::from(self.weights[position]))
        };
        let slot = match least.count_ones() as usize {
            0 => return None,
            1 => self.slots[least.trailing_zeros() as usize],
            count if count == self.slots.len() => self.blocks.turn(&self.schedule, cx)?,
            _ => self.slots[self.draw_among(least, cx.entropy())?],
        };
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}

impl Scan {
    /// Bit i: position i is among the least loaded.
    #[inline]
    fn least(&self, view: View<'_>, cx: &PickCx<'_>, weight_of: impl Fn(usize) -> u64) -> u32 {
        let mut least = 0_u32;
        let (mut busy, mut weight) = (u64::MAX, 1);
        for (position, slot) in self.slots.iter().enumerate() {
            if view.was_tried(*slot, cx) {
                continue;
            }
            let other_busy = view.pressure(*slot, cx.now());
            let other_weight = weight_of(position);
            let (other, best) = (other_busy * weight, busy.saturating_mul(other_weight));
            if other < best {
                least = 0;
                (busy, weight) = (other_busy, other_weight);
            }
            if other <= best {
                least |= 1 << position;
            }
        }
        least
    }

    /// One of the positions in `among`, by weight. Not by the cursor: the turns of
    /// those who are not among them would all fall on whoever comes next.
    fn draw_among(&self, among: u32, entropy: u64) -> Option<usize> {
        let positions = || (0..self.slots.len()).filter(|position| among >> position & 1 != 0);
        let total: usize = positions().map(|position| self.weights[position] as usize).sum();
        let mut left = sample::index(entropy, total);
        positions().find(|position| {
            let weight = self.weights[*position] as usize;
            let found = left < weight;
            left = left.saturating_sub(weight);
            found
        })
    }
}

#[derive(Debug)]
struct IdleFirst {
    draws: Draws,
    /// The slot of each seat; `None` where nobody pickable sits.
    seats: Box<[Option<Slot>]>,
    /// Per block, the seats of pickable backends.
    masks: Box<[u64]>,
}

impl IdleFirst {
    fn new(view: View<'_>) -> Self {
        let draws = Draws::new(view);
        let mut seats = vec![None; view.seat_blocks() * 64];
        let mut masks = vec![0_u64; view.seat_blocks()];
        for slot in draws.slots() {
            let seat = view.seat(*slot);
            seats[seat] = Some(*slot);
            masks[seat / 64] |= 1 << (seat % 64);
        }
        Self { draws, seats: seats.into(), masks: masks.into() }
    }

    /// An idle backend: by weight while draws hit one, else any.
    fn idle(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Slot> {
        let mut entropy = cx.entropy();
        for _ in 0..DRAWS {
            let slot = self.draws.draw(entropy)?;
            if view.is_idle(slot) && !view.was_tried(slot, cx) {
                return Some(slot);
            }
            entropy = sample::mix(entropy);
        }
        self.any_idle(view, cx, entropy)
    }

    /// Any idle backend, all with the same chance: taking the first from some place on
    /// would give the shares of those who are busy to their neighbours.
    fn any_idle(&self, view: View<'_>, cx: &PickCx<'_>, mut entropy: u64) -> Option<Slot> {
        let idle = |block: usize| view.idle_bits(block) & self.masks[block];
        let blocks = 0..self.masks.len();
        // A few may have been tried: then draw again. Whose bit was wrong has no bit any
        // more, so that such draws come to an end without being counted.
        let mut draws = 0;
        for _ in 0..self.draws.slots().len() {
            let count: u32 = blocks.clone().map(|block| idle(block).count_ones()).sum();
            if count == 0 || draws == DRAWS {
                return None;
            }
            let mut left = sample::index(entropy, count as usize);
            entropy = sample::mix(entropy);
            for block in blocks.clone() {
                let here = idle(block);
                if left < here.count_ones() as usize {
                    let slot = self.seats[block * 64 + nth_bit(here, left)]?;
                    let tried = view.was_tried(slot, cx);
                    draws += u32::from(tried);
                    if !tried && view.confirm_idle(slot) {
                        return Some(slot);
                    }
                    break;
                }
                left -= here.count_ones() as usize;
            }
        }
        None
    }
}

impl Picker for IdleFirst {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        if let Some(slot) = self.idle(view, cx) {
            return Some(Choice::new(slot, Reason::Idle));
        }
        let slot = self.draws.least_of(DRAWS, view, cx)?;
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}

/// The position of the `n`th set bit, counted from 0.
fn nth_bit(mut word: u64, n: usize) -> usize {
    for _ in 0..n {
        word &= word - 1;
    }
    word.trailing_zeros() as usize
}
