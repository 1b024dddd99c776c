//! Who holds which unit of all weight: the first backend holds as many as it weighs,
//! the second those after, and so on.
//!
//! nginx walks the list of its peers for that. Here a guide says where in the list to
//! begin, so that a look-up takes a step or two whatever the weights are, and the
//! table takes no more room when they are large.

/// Positions by unit.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Where the units of each position end.
    ends: Box<[u64]>,
    /// For each equal part of the units, the position that holds its first.
    guide: Box<[u32]>,
    /// How far a unit is shifted to get the number of its part.
    shift: u32,
}

impl Units {
    /// Of positions with these weights, each at least 1.
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let mut all = 0;
        let ends: Box<[u64]> = weights
            .map(|weight| {
                all += u64::from(weight);
                all
            })
            .collect();
        let mut shift = 0;
        // Two to four parts for each position.
        while all >> shift > 4 * ends.len() as u64 {
            shift += 1;
        }
        let mut guide = Vec::new();
        for (position, end) in (0_u32..).zip(&ends) {
            while (guide.len() as u64) << shift < *end {
                guide.push(position);
            }
        }
        Self { ends, guide: guide.into(), shift }
    }

    /// Whoever holds a unit that is drawn; there must be one.
    pub(super) fn draw(&self, entropy: u64) -> usize {
        self.holder(((u128::from(entropy) * u128::from(self.count())) >> 64) as u64)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Who holds this one, which must be below the count. O(1) on average, O(log n)
    /// where one part belongs to many.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "parts are counted in a usize")]
    pub(super) fn holder(&self, unit: u64) -> usize {
        let part = (unit >> self.shift) as usize;
        let first = self.guide[part] as usize;
        if unit < self.ends[first] {
            return first;
        }
        let last = self.guide.get(part + 1).map_or(self.ends.len(), |last| *last as usize + 1);
        first + self.ends[first..last].partition_point(|end| *end <= unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn holders(weights: &[u32]) -> Vec<usize> {
        let units = Units::new(weights.iter().copied());
        (0..units.count()).map(|unit| units.holder(unit)).collect()
    }

    fn walked(weights: &[u32]) -> Vec<usize> {
        let all = weights.iter().enumerate();
        all.flat_map(|(position, weight)| std::iter::repeat_n(position, *weight as usize)).collect()
    }

    #[test]
    fn every_unit_has_the_holder_that_a_walk_would_find() {
        assert_eq!(holders(&[2, 1, 3]), [0, 0, 1, 2, 2, 2]);
        for weights in [&[1][..], &[65_535, 1, 1, 1, 1, 1, 1, 2, 65_535], &[1; 100], &[7; 9]] {
            assert_eq!(holders(weights), walked(weights));
        }
        for seed in 0..20_u64 {
            let weight =
                |n| u32::try_from(sample::mix(seed << 32 | n) % (1_u64 << (seed % 12))).unwrap();
            let weights: Vec<u32> = (0..50).map(|n| 1 + weight(n)).collect();
            assert_eq!(holders(&weights), walked(&weights));
        }
    }

    #[test]
    fn nobody_holds_nothing() {
        assert_eq!(Units::new(std::iter::empty()).count(), 0);
    }
}
