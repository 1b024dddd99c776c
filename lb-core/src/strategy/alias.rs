//! Weighted draws in constant time.

use crate::{cluster::Slot, sample};

/// An alias table (Walker 1977, built as by Vose 1991): a draw takes one column
/// at random, and in it, by a second draw, either its owner or its alias. In
/// whole numbers, so that a draw is the same on every platform; a share is off by
/// less than 2⁻³². Where all weights are equal, there is nothing to draw but the column.
#[derive(Debug)]
pub(super) struct AliasTable {
    slots: Box<[Slot]>,
    /// Empty when all weights are equal.
    columns: Box<[Column]>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// The owner's part of the column, of 2³².
    part: u32,
    owner: Slot,
    alias: Slot,
}

impl AliasTable {
    /// The table of these slots with these weights. O(n).
    pub(super) fn new(slots: &[Slot], weights: &[u32]) -> Self {
        if weights.iter().all(|weight| *weight == weights[0]) {
            return Self { slots: slots.into(), columns: Box::default() };
        }
        let n = u32::try_from(weights.len()).expect("a cluster has less than 2^32 backends");
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // A column holds `total`; a position brings weight × n of it.
        let mut left: Vec<u64> =
            weights.iter().map(|weight| u64::from(*weight) * u64::from(n)).collect();
        let whole = |slot: &Slot| Column { part: u32::MAX, owner: *slot, alias: *slot };
        let mut columns: Vec<Column> = slots.iter().map(whole).collect();
        let (mut short, mut long): (Vec<u32>, Vec<u32>) =
            (0..n).partition(|position| left[*position as usize] < total);
        while let (Some(poor), Some(rich)) = (short.pop(), long.pop()) {
            let part = (u128::from(left[poor as usize]) << 32) / u128::from(total);
            let column = &mut columns[poor as usize];
            column.part = u32::try_from(part).unwrap_or(u32::MAX);
            column.alias = slots[rich as usize];
            left[rich as usize] -= total - left[poor as usize];
            if left[rich as usize] < total { short.push(rich) } else { long.push(rich) }
        }
        Self { slots: slots.into(), columns: columns.into() }
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// A slot, each by its weight; `None` when there are none. O(1).
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub(super) fn draw(&self, entropy: u64) -> Option<Slot> {
        if self.slots.is_empty() {
            return None;
        }
        let index = sample::index(entropy, self.slots.len());
        let Some(column) = self.columns.get(index) else {
            return Some(self.slots[index]);
        };
        let is_owners = (entropy as u32) < column.part || column.part == u32::MAX;
        Some(if is_owners { column.owner } else { column.alias })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let weights = [5, 1, 3, 1];
        let slots = [3, 2, 1, 0].map(Slot::new);
        let table = AliasTable::new(&slots, &weights);
        let mut counts = [0_u32; 4];
        for counter in 0..100_000 {
            counts[3 - table.draw(sample::mix(counter)).unwrap().index()] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            // Binomial(100000, w/10): sigma is at most 158, so five are below 800.
            assert!(count.abs_diff(weight * 10_000) < 800, "{counts:?}");
        }
    }

    #[test]
    fn equal_weights_are_plain_indices() {
        let table = AliasTable::new(&[5, 6, 7].map(Slot::new), &[7, 7, 7]);
        for counter in 0..100 {
            let entropy = sample::mix(counter);
            assert_eq!(table.draw(entropy), Some(Slot::new(5 + sample::index(entropy, 3))));
        }
        assert_eq!(AliasTable::new(&[], &[]).draw(1), None);
    }
}
