//! A cycle of turns in which every backend has its share and nobody a burst.
//!
//! The order is that of nginx's smooth weighted round-robin: at each turn every
//! backend gains its weight in credit, the one with the most is chosen and pays
//! the sum of all weights. With 5, 1, 1 that gives a a b a c a a. The whole cycle
//! is computed once per snapshot, so that a turn is one table look-up and any
//! number of workers can share it through one counter.
//!
//! Computing it costs (backends × turns). Where that is more than a few
//! milliseconds' worth, the cycle is shortened by rounding weights, and beyond
//! that the order is by deadlines instead. A backend with k turns has the nth of them
//! within the nth of k equal parts of the cycle; of those whose part has begun, the one
//! whose part ends first is next. That there always is such an order, and that looking
//! no further than the next deadline finds it, is known of schedules for real-time tasks
//! (Baruah et al.: *Proportionate Progress*, 1996). It is not nginx's order, but
//! smoother: nobody is ever a whole turn ahead of his share or behind it, where nginx's
//! may be a little more than one.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::remainder::Divisor;
use crate::cluster::Slot;

/// The longest cycle: with larger sums, weights are rounded to fit.
const MAX_TURNS: u64 = 65_536;
/// Backends × turns up to which nginx's order is computed.
const MAX_STEPS: u64 = 2_000_000;

/// One cycle of turns.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: Box<[Slot]>,
    len: Divisor,
}

impl Schedule {
    /// The cycle of these slots with these weights, each at least 1.
    pub(super) fn new(slots: &[Slot], weights: &[u32]) -> Self {
        let order = order(weights);
        let turns = order.iter().map(|position| slots[*position as usize]).collect();
        Self { turns, len: Divisor::new(order.len() as u64) }
    }

    /// How many turns there are; 0 when nobody is there.
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whose turn this is; `None` from [`len`](Self::len) on.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an index")]
    pub(super) fn get(&self, turn: u64) -> Option<Slot> {
        self.turns.get(turn as usize).copied()
    }

    /// Whose turn this is; `None` when nobody is there.
    #[inline]
    pub(super) fn turn(&self, ticket: u64) -> Option<Slot> {
        self.get(self.len.remainder(ticket)?)
    }
}

/// Whose turn it is, by position, for one cycle.
fn order(weights: &[u32]) -> Box<[u32]> {
    let weights = reduced(weights);
    let turns: u64 = weights.iter().sum();
    if turns == weights.len() as u64 {
        // All equal: smooth order is the order of the list.
        positions(weights.len()).collect()
    } else if turns * weights.len() as u64 <= MAX_STEPS {
        smooth(&weights, turns)
    } else {
        by_deadline(&weights, turns)
    }
}

fn positions(len: usize) -> impl Iterator<Item = u32> {
    0..u32::try_from(len).expect("a cluster has less than 2^32 backends")
}

/// The weights without their common divisor, and rounded if they are too large.
pub(super) fn reduced(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, *weight)).max(1);
    let weights: Vec<u64> = weights.iter().map(|weight| u64::from(weight / divisor)).collect();
    let sum: u64 = weights.iter().sum();
    if sum <= MAX_TURNS.max(weights.len() as u64) {
        return weights;
    }
    weights.iter().map(|weight| ((weight * MAX_TURNS + sum / 2) / sum).max(1)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn smooth(weights: &[u64], turns: u64) -> Box<[u32]> {
    let weights: Vec<i64> = weights.iter().map(|weight| weight.cast_signed()).collect();
    let mut credit = vec![0_i64; weights.len()];
    let mut order = Vec::new();
    for _ in 0..turns {
        let mut best = 0;
        for position in 0..weights.len() {
            credit[position] += weights[position];
            if credit[position] > credit[best] {
                best = position;
            }
        }
        credit[best] -= turns.cast_signed();
        order.push(u32::try_from(best).expect("a cluster has less than 2^32 backends"));
    }
    order.into()
}

/// Each turn goes to whoever has to have his next one first, of those who may.
fn by_deadline(weights: &[u64], turns: u64) -> Box<[u32]> {
    // Who may have his next turn from now on.
    let mut waiting = BinaryHeap::new();
    // Who may have his next turn from this one on: the first of them, and after each the next.
    let mut later = vec![None; index(turns) + 1];
    let mut after: Vec<Option<u32>> = vec![None; weights.len()];
    for position in positions(weights.len()) {
        after[position as usize] = later[0].replace(position);
    }
    let mut had = vec![0_u64; weights.len()];
    let mut order = Vec::with_capacity(index(turns));
    for now in 0..turns {
        let mut next = later[index(now)];
        while let Some(position) = next {
            next = after[position as usize];
            let (had, weight) = (had[position as usize], weights[position as usize]);
            waiting.push(Reverse(rank(((had + 1) * turns).div_ceil(weight), weight, position)));
        }
        let Some(Reverse(rank)) = waiting.pop() else { break };
        let position = position_of(rank);
        order.push(position);
        let (had, weight) = (&mut had[position as usize], weights[position as usize]);
        *had += 1;
        let from = &mut later[index((*had * turns / weight).max(now + 1))];
        after[position as usize] = from.replace(position);
    }
    order.into()
}

/// By deadline; of equal ones the heaviest, and then the first. As one number, because
/// building is mostly comparing them.
fn rank(deadline: u64, weight: u64, position: u32) -> u128 {
    // There are no more turns in a cycle than positions or `MAX_TURNS`, and a weight is a
    // number of turns.
    u128::from(deadline) << 64
        | u128::from(u64::from(u32::MAX) - weight) << 32
        | u128::from(position)
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest quarter of the rank")]
fn position_of(rank: u128) -> u32 {
    rank as u32
}

fn index(turn: u64) -> usize {
    usize::try_from(turn).expect("a cycle fits into memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn turns(weights: &[u32]) -> Vec<u32> {
        order(weights).to_vec()
    }

    #[test]
    fn the_classic_example_comes_out_in_nginx_order() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_common_divisor_does_not_lengthen_the_cycle() {
        assert_eq!(turns(&[30, 30, 30]), [0, 1, 2]);
        assert_eq!(turns(&[500, 100, 100]), turns(&[5, 1, 1]));
    }

    #[test]
    fn nobody_has_no_turns() {
        assert_eq!(Schedule::new(&[], &[]).turn(3), None);
    }

    /// How far anybody is off his share at most, and the longest row of turns of one,
    /// over the seam of two cycles as well.
    fn roughness(order: &[u32], weights: &[u64]) -> (f64, usize) {
        let total = order.len() as u64;
        let mut picks = vec![0_u64; weights.len()];
        let mut worst = 0.0_f64;
        for (turn, position) in (1_u64..).zip(order) {
            picks[*position as usize] += 1;
            for (picked, weight) in picks.iter().zip(weights) {
                let ideal = (turn * weight) as f64 / total as f64;
                worst = worst.max((*picked as f64 - ideal).abs());
            }
        }
        assert!(picks.iter().eq(weights), "shares are exact over a cycle");
        let twice = [order, order].concat();
        let rows = twice.chunk_by(|one, other| one == other).map(<[u32]>::len);
        (worst, rows.max().unwrap_or(0).min(order.len()))
    }

    /// What weights other than these do is in the property below.
    #[test]
    fn nobody_is_ever_a_whole_turn_off_in_the_usual_sets() {
        let mut large = vec![1; 50];
        large[0] = 50;
        let sets: [&[u32]; 7] = [
            &[5, 1, 1],
            &[1, 2, 3],
            &[4, 3, 2, 1],
            &[10, 1, 1, 1, 1],
            &[100, 50, 25, 12, 6, 3],
            &[7, 7, 7, 3],
            &large,
        ];
        println!("weights | nginx: off by, longest row | by deadline: off by, longest row");
        for set in sets {
            let weights = reduced(set);
            let total = weights.iter().sum();
            let most = weights.iter().copied().max().unwrap();
            let (off, row) = roughness(&smooth(&weights, total), &weights);
            let (own_off, own_row) = roughness(&by_deadline(&weights, total), &weights);
            println!("{set:?} | {off:.3}, {row} | {own_off:.3}, {own_row}");
            assert!(off < 1.0, "{set:?}: off by {off}");
            assert!(own_off < 1.0, "{set:?}: off by {own_off}");
            let least = index(most.div_ceil(total - most)).max(1);
            assert!(own_row <= least.max(2), "{set:?}: {own_row} in a row, {least} must be");
        }
    }

    #[test]
    fn by_deadline_nobody_is_ever_a_whole_turn_off() {
        for seed in 0..300 {
            let count = 2 + sample::index(sample::mix(seed), 60);
            let most = 1 + sample::index(sample::mix(seed + 1_000), 500);
            let weight = |n: usize| 1 + sample::index(sample::mix(seed << 8 | n as u64), most);
            let weights: Vec<u64> = (0..count).map(|n| weight(n) as u64).collect();
            let total = weights.iter().sum();
            let most = weights.iter().copied().max().unwrap();
            let (off, row) = roughness(&by_deadline(&weights, total), &weights);
            assert!(off < 1.0, "{weights:?}: off by {off}");
            let least = index(most.div_ceil(total - most)).max(1);
            assert!(row <= least.max(2), "{weights:?}: {row} in a row, {least} must be");
        }
    }

    #[test]
    fn large_weights_are_rounded_to_a_cycle_of_bounded_length() {
        let turns = order(&[65_535, 65_534, 1]);
        assert!(turns.len() <= 65_537, "{}", turns.len());
        let third = turns.iter().filter(|position| **position == 2).count();
        assert_eq!(third, 1, "the smallest is not rounded away");
    }
}
