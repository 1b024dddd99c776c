//! Who has which part of the keys.

use crate::{
    sample,
    strategy::keyed::{NOBODY, Owners, size_for},
};

/// A Maglev table: every backend has a permutation of the positions, and they take
/// turns in claiming the next free one of theirs, by weight. Everybody has at least
/// one; equal parts differ by one at most, unequal ones from their share by less
/// than there are backends. When a backend leaves, few positions but its own change
/// hands.
#[derive(Debug, Default)]
pub(super) struct Table {
    owners: Owners,
}

impl Table {
    /// The table of backends with these hashes of their names, and weights.
    /// O(size × log size), expected.
    pub(super) fn new(marks: &[u64], weights: &[u32]) -> Self {
        Self::of_size(size_for(marks.len()), marks, weights)
    }

    fn of_size(size: usize, marks: &[u64], weights: &[u32]) -> Self {
        if marks.is_empty() {
            return Self::default();
        }
        let walks = marks.iter().map(|mark| Walk {
            at: sample::index(*mark, size),
            step: sample::index(sample::mix(*mark), size - 1) + 1,
        });
        Self { owners: fill(&mut walks.collect::<Vec<_>>(), weights, size).into() }
    }

    /// Whose this key is. O(1).
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> Option<usize> {
        let places = self.owners.len();
        if places == 0 { None } else { self.owners.get(sample::index(hash, places)) }
    }
}

/// A backend's way through its permutation.
pub(super) struct Walk {
    pub(super) at: usize,
    pub(super) step: usize,
}

impl Walk {
    /// Takes the next place that is free. There must be one.
    pub(super) fn claim(&mut self, backend: u32, owners: &mut [u32]) {
        while owners[self.at] != NOBODY {
            self.at += self.step;
            if self.at >= owners.len() {
                self.at -= owners.len();
            }
        }
        owners[self.at] = backend;
    }
}

fn fill(walks: &mut [Walk], weights: &[u32], size: usize) -> Box<[u32]> {
    let mut owners = vec![NOBODY; size];
    for backend in turns(weights, size) {
        walks[backend as usize].claim(backend, &mut owners);
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
    let mut claims: Vec<(usize, u32)> = Vec::new();
    for (backend, weight) in (0..backends).zip(weights) {
        let weight = u64::from(*weight);
        let most = count as u64 * weight / total + 1;
        claims.extend((0..=most).map(|n| (round(n * heaviest, weight), backend)));
    }
    // By round, and in a round by backend, as they are: there are few rounds.
    let rounds = claims.iter().map(|(round, _)| round + 1).max().unwrap_or(0);
    let mut ends = vec![0; rounds];
    claims.iter().for_each(|(round, _)| ends[*round] += 1);
    let mut end = 0;
    for count in &mut ends {
        end += std::mem::replace(count, end);
    }
    let mut ordered = vec![0; claims.len()];
    for (round, backend) in claims {
        ordered[ends[round]] = backend;
        ends[round] += 1;
    }
    ordered.truncate(count);
    ordered
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "there are fewer rounds than places and weight"
)]
fn round(claim: u64, weight: u64) -> usize {
    claim.div_ceil(weight) as usize
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
    fn equal_backends_differ_by_one_position_at_most() {
        for backends in [1, 2, 3, 10, 100, 655] {
            let table = Table::new(&marks(backends as u64), &vec![3; backends]);
            let counts = counts(&table, backends);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{backends}: {least} to {most}");
        }
    }

    #[test]
    fn turns_go_by_round_and_then_by_backend() {
        // In rounds 0, 1, 2, …; 0, 3, 6, …; 0, 2, 3, 5, ….
        let expected = [0, 1, 2, 0, 0, 2, 0, 1, 2, 0, 0, 2];
        assert_eq!(turns(&[3, 1, 2], 12), expected);
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

    /// Of tables of this size: the parts that change when `leave` of 1,000 backends do, in
    /// percent, and of those the part that belonged to somebody who stays.
    fn changes(size: usize, leave: usize) -> (f64, f64) {
        let marks = marks(1_000);
        let before = Table::of_size(size, &marks, &[1; 1_000]);
        // Any of them: every n-th.
        let goes = |backend: usize| backend.is_multiple_of(1_000 / leave);
        let staying: Vec<usize> = (0..1_000).filter(|backend| !goes(*backend)).collect();
        let rest: Vec<u64> = staying.iter().map(|backend| marks[*backend]).collect();
        let after = Table::of_size(size, &rest, &vec![1; rest.len()]);
        let (mut changed, mut needless) = (0, 0);
        for (before, after) in before.owners.iter().zip(after.owners.iter()) {
            changed += u32::from(before != staying[after]);
            needless += u32::from(before != staying[after] && !goes(before));
        }
        let percent = |count| 100.0 * f64::from(count) / size as f64;
        (percent(changed), percent(needless))
    }

    /// As measured with independent programs; the paper has them as a plot (figure 12).
    #[test]
    fn as_much_changes_as_with_other_maglevs_when_some_of_a_thousand_leave() {
        let published = [
            (65_537, [(1, 0.66), (10, 3.3), (50, 8.2), (100, 13.5)]),
            (655_373, [(1, 0.43), (10, 1.6), (50, 5.9), (100, 11.1)]),
        ];
        for (size, rows) in published {
            for (leave, expected) in rows {
                let (changed, needless) = changes(size, leave);
                println!(
                    "{size} places, {leave} of 1000 leave: {changed:.2} % change \
                     (published {expected} %), {needless:.2} % needlessly"
                );
                assert!((changed - expected).abs() <= 0.3, "{size}, {leave}: {changed}");
            }
        }
    }
}
