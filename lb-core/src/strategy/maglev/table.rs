//! Who has which part of the keys.

use crate::{sample, strategy::keyed::Owners};

/// A Maglev table: every backend has a permutation of the positions, and they take
/// turns in claiming the next free one of theirs, by weight. Everybody has at least
/// one; equal parts differ by one at most, unequal ones from their share by less
/// than there are backends. When a backend leaves, few positions but its own change
/// hands.
#[derive(Debug, Default)]
pub(super) struct Table {
    owners: Owners,
}

/// Sizes: primes, so that every step makes a permutation, and so far apart that a
/// cluster rarely outgrows one, as all keys move then.
const SIZES: [usize; 6] = [65_537, 262_147, 1_048_583, 4_194_319, 16_777_259, 67_108_879];
/// Positions per backend, at least (up to 671,000 backends).
const PER_BACKEND: usize = 100;
const NOBODY: u32 = u32::MAX;

impl Table {
    /// The table of backends with these hashes of their names, and weights.
    /// O(size × log size), expected.
    pub(super) fn new(marks: &[u64], weights: &[u32]) -> Self {
        if marks.is_empty() {
            return Self::default();
        }
        let wanted = marks.len().saturating_mul(PER_BACKEND);
        let size = SIZES.into_iter().find(|size| *size >= wanted).unwrap_or(SIZES[5]);
        let walks = marks.iter().map(|mark| Walk {
            at: sample::index(*mark, size),
            step: sample::index(sample::mix(*mark), size - 1) + 1,
        });
        Self { owners: fill(&mut walks.collect::<Vec<_>>(), weights, size).into() }
    }

    /// Whose this key is. O(1).
    pub(super) fn owner(&self, hash: u64) -> Option<usize> {
        let places = self.owners.len();
        if places == 0 { None } else { self.owners.get(sample::index(hash, places)) }
    }
}

/// A backend's way through its permutation.
struct Walk {
    at: usize,
    step: usize,
}

fn fill(walks: &mut [Walk], weights: &[u32], size: usize) -> Box<[u32]> {
    let mut owners = vec![NOBODY; size];
    for backend in turns(weights, size) {
        let walk = &mut walks[backend as usize];
        while owners[walk.at] != NOBODY {
            walk.at += walk.step;
            if walk.at >= size {
                walk.at -= size;
            }
        }
        owners[walk.at] = backend;
    }
    owners.into()
}

/// Who claims, `count` times. In each round the heaviest claims once; another has
/// its `n`th claim in round n × heaviest ÷ its weight, rounded up.
fn turns(weights: &[u32], count: usize) -> Vec<u32> {
    let backends = u32::try_from(weights.len()).expect("a cluster has less than 2^32 backends");
    let heaviest = u64::from(weights.iter().copied().max().unwrap_or(1));
    if weights.iter().all(|weight| u64::from(*weight) == heaviest) {
        return (0..backends).cycle().take(count).collect();
    }
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut claims: Vec<(u64, u32)> = Vec::new();
    for (backend, weight) in (0..backends).zip(weights) {
        let weight = u64::from(*weight);
        let most = count as u64 * weight / total + 1;
        claims.extend((0..=most).map(|n| ((n * heaviest).div_ceil(weight), backend)));
    }
    claims.sort_unstable();
    claims.into_iter().take(count).map(|(_, backend)| backend).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(table: &Table, backends: usize) -> Vec<usize> {
        let mut counts = vec![0; backends];
        table.owners.iter().for_each(|owner| counts[owner] += 1);
        counts
    }

    fn marks(count: u64) -> Vec<u64> {
        (0..count).map(sample::mix).collect()
    }

    #[test]
    fn all_sizes_are_prime() {
        for size in SIZES {
            let divisor = (2..).take_while(|d| d * d <= size).find(|d| size % d == 0);
            assert_eq!(divisor, None, "{size}");
        }
    }

    /// The table that a unit test of Envoy expects for six hosts and seven
    /// positions. Where the walks start and how they go is xxHash64 of
    /// `127.0.0.1:90` to `:95`, with seeds 0 and 1, worked out elsewhere.
    #[test]
    fn the_table_of_envoy_comes_out() {
        let walks = [(2, 4), (3, 6), (0, 2), (3, 3), (1, 3), (1, 5)];
        let mut walks = walks.map(|(at, step)| Walk { at, step });
        assert_eq!(*fill(&mut walks, &[1; 6], 7), [2, 4, 0, 1, 5, 0, 3]);
    }

    #[test]
    fn there_are_a_hundred_positions_for_each_backend() {
        for (backends, size) in [(1, 65_537), (655, 65_537), (656, 262_147), (3_000, 1_048_583)] {
            let table = Table::new(&marks(backends as u64), &vec![1; backends]);
            assert_eq!(table.owners.len(), size, "{backends}");
        }
    }

    #[test]
    fn equal_backends_differ_by_one_position_at_most() {
        for backends in [1, 2, 3, 10, 100, 655] {
            let table = Table::new(&marks(backends as u64), &vec![3; backends]);
            let counts = counts(&table, backends);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{backends}: {least} to {most}");
        }
    }

    #[test]
    fn parts_follow_the_weights() {
        let weights = [65_535, 1, 100, 7, 7, 3_000, 100];
        let table = Table::new(&marks(7), &weights);
        let total: u32 = weights.iter().sum();
        for (count, weight) in counts(&table, 7).into_iter().zip(weights) {
            let share = 65_537.0 * f64::from(weight) / f64::from(total);
            assert!(count >= 1 && (count as f64 - share).abs() < 7.0, "{count} for {share}");
        }
    }
}
