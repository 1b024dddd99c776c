//! Weighted draws in constant time.

use crate::sample;

/// An alias table (Walker 1977, built as by Vose 1991): a draw takes one column
/// at random, and in it, by a second draw, either its owner or its alias. In
/// whole numbers, so that a draw is the same on every platform; a share is off by
/// less than 2⁻³².
#[derive(Debug)]
pub(super) struct AliasTable {
    columns: Box<[Column]>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// The owner's part of the column, of 2³².
    part: u32,
    alias: u32,
}

impl AliasTable {
    /// The table for these weights. O(n).
    pub(super) fn new(weights: &[u32]) -> Self {
        let n = u32::try_from(weights.len()).expect("a cluster has less than 2^32 backends");
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // A column holds `total`; a position brings weight × n of it.
        let mut left: Vec<u64> =
            weights.iter().map(|weight| u64::from(*weight) * u64::from(n)).collect();
        let mut columns: Vec<Column> =
            (0..n).map(|own| Column { part: u32::MAX, alias: own }).collect();
        let (mut short, mut long): (Vec<u32>, Vec<u32>) =
            (0..n).partition(|position| left[*position as usize] < total);
        while let (Some(poor), Some(rich)) = (short.pop(), long.pop()) {
            let part = (u128::from(left[poor as usize]) << 32) / u128::from(total);
            columns[poor as usize] =
                Column { part: u32::try_from(part).unwrap_or(u32::MAX), alias: rich };
            left[rich as usize] -= total - left[poor as usize];
            if left[rich as usize] < total { short.push(rich) } else { long.push(rich) }
        }
        Self { columns: columns.into() }
    }

    /// A position, each by its weight; `None` when there are none. O(1).
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub(super) fn draw(&self, entropy: u64) -> Option<usize> {
        if self.columns.is_empty() {
            return None;
        }
        let index = sample::index(entropy, self.columns.len());
        let column = self.columns[index];
        let owner = (entropy as u32) < column.part || column.part == u32::MAX;
        Some(if owner { index } else { column.alias as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let weights = [5, 1, 3, 1];
        let table = AliasTable::new(&weights);
        let mut counts = [0_u32; 4];
        for counter in 0..100_000 {
            counts[table.draw(sample::mix(counter)).unwrap()] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            // Binomial(100000, w/10): sigma is at most 158, so five are below 800.
            assert!(count.abs_diff(weight * 10_000) < 800, "{counts:?}");
        }
    }

    #[test]
    fn equal_weights_are_plain_indices() {
        let table = AliasTable::new(&[7, 7, 7]);
        for counter in 0..100 {
            let entropy = sample::mix(counter);
            assert_eq!(table.draw(entropy), Some(sample::index(entropy, 3)));
        }
        assert_eq!(AliasTable::new(&[]).draw(1), None);
    }
}
