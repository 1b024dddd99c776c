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
//! that the order is by midpoints instead: a backend with k turns has them at the
//! k middles of k equal parts of the cycle (the method of Webster and Sainte-Laguë
//! for seats in parliaments). That is not nginx's order, but as smooth: in either,
//! nobody is ever one and a half turns ahead of his share or behind it.

use crate::cluster::Slot;

/// The longest cycle: with larger sums, weights are rounded to fit.
const MAX_TURNS: u64 = 65_536;
/// Backends × turns up to which nginx's order is computed.
const MAX_STEPS: u64 = 2_000_000;

/// One cycle of turns.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: Box<[Slot]>,
}

impl Schedule {
    /// The cycle of these slots with these weights, each at least 1.
    pub(super) fn new(slots: &[Slot], weights: &[u32]) -> Self {
        let turns = order(weights);
        Self { turns: turns.iter().map(|position| slots[*position as usize]).collect() }
    }

    /// How many turns there are; 0 when nobody is there.
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whose turn this is, of those below [`len`](Self::len).
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an index")]
    pub(super) fn at(&self, turn: u64) -> Slot {
        self.turns[turn as usize]
    }

    /// Whose turn this is; `None` when nobody is there.
    #[inline]
    pub(super) fn turn(&self, ticket: u64) -> Option<Slot> {
        if self.turns.is_empty() {
            return None;
        }
        Some(self.at(ticket % self.turns.len() as u64))
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
        midpoints(&weights)
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

/// Orders all turns by (2k + 1) ÷ (2 × weight), compared without division.
fn midpoints(weights: &[u64]) -> Box<[u32]> {
    let mut turns: Vec<(u64, u32)> = Vec::new();
    for (position, weight) in positions(weights.len()).zip(weights) {
        // 2^32 fits (2k + 1) << 32 for 65,536 turns and leaves ties to the order.
        turns.extend((0..*weight).map(|k| (((2 * k + 1) << 32) / (2 * weight), position)));
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, position)| position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn in_both_orders_nobody_is_ever_one_and_a_half_turns_off() {
        let weights: Vec<u32> = (1..=40).map(|i| i * i % 37 + 1).collect();
        let reduced = reduced(&weights);
        let total: u64 = reduced.iter().sum();
        for order in [smooth(&reduced, total), midpoints(&reduced)] {
            assert_eq!(order.len() as u64, total);
            let mut picks = vec![0_u64; weights.len()];
            let mut worst = 0.0_f64;
            for (turn, position) in (1_u64..).zip(&order) {
                picks[*position as usize] += 1;
                for (picked, weight) in picks.iter().zip(&reduced) {
                    let ideal = (turn * weight) as f64 / total as f64;
                    worst = worst.max((*picked as f64 - ideal).abs());
                }
            }
            assert!(picks.iter().eq(&reduced), "shares are exact over a cycle");
            assert!(worst < 1.5, "off the ideal by {worst}");
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
