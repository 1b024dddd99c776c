//! Which of very many backends this balancer uses.
//!
//! With a thousand balancers before a thousand backends, a million connections are kept
//! for nothing. So each balancer uses a piece of the ring of all backends. Where it
//! begins follows from the balancer's number alone, by the van der Corput sequence: its
//! first k members split the ring more evenly than any that does not know k. This is the
//! heart of *Rocksteadier Subsetting* (Ward, Wankadia, Gupta: *Reinventing Backend
//! Subsetting at Google*, ACM Queue 20 (5), 2022). There each lot of balancers has
//! a ring in an order of its own, so that the neighbours of one that fails are others for
//! each lot; ours have one ring.
//!
//! The beginning is a place *in the list* (fraction × number of backends). When one joins
//! or leaves, it moves by one at most, and so does the end, and whoever is in between
//! comes or goes: of each subset two members change at most. Backends that can't be used
//! are passed over and the piece gets longer, so that it keeps its size.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{Facts, GroupId, Standing};

/// Uses only some of the backends, chosen by the number of the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subset {
    /// How many backends are used, of each tier, and of each side of the zone's border.
    pub size: NonZeroU32,
    /// This balancer's number among its like: 0, 1, 2 …
    pub instance: u32,
}

impl Subset {
    /// Where its piece of a ring of `len` begins.
    fn start(self, len: usize) -> usize {
        // The sequence in base 2: the bits of the number behind the point, the lowest first.
        ((u128::from(self.instance.reverse_bits()) * len as u128) >> 32) as usize
    }
}

/// Whom the subset leaves to other balancers, given where they stand without it. It is
/// one of each tier, and of each side of the zone's border even where panic has made that
/// one group: this is no time to connect to others. O(n log n).
pub(super) fn left_out(
    facts: &[Facts],
    standings: &[Standing],
    subset: Option<Subset>,
) -> Vec<bool> {
    let mut left_out = vec![false; facts.len()];
    let Some(subset) = subset else { return left_out };
    let mut rings: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
    for (index, facts) in facts.iter().enumerate().filter(|(_, facts)| facts.is_called) {
        rings.entry(facts.part()).or_default().push(index);
    }
    let counts = |index: usize| match standings[index] {
        Standing::In | Standing::Panic => true,
        Standing::Standby => facts[index].is_able(),
        _ => false,
    };
    for ring in rings.values_mut() {
        ring.sort_by_key(|index| facts[*index].mark);
        let (end, start) = ring.split_at(subset.start(ring.len()));
        let mut missing = subset.size.get();
        for index in start.iter().chain(end).copied() {
            left_out[index] = missing == 0;
            missing -= u32::from(missing > 0 && counts(index));
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::Health, cluster::eligibility::tests::UP, sample::mix};

    /// The numbers of the backends that this balancer uses.
    fn subset_of(numbers: &[u64], instance: u32, out: &[u64]) -> Vec<u64> {
        let health = |number: &u64| if out.contains(number) { Health::Down } else { Health::Up };
        let facts = |number: &u64| Facts {
            mark: mix(*number),
            is_called: true,
            health: health(number),
            ..UP
        };
        let standing = |number: &u64| match health(number) {
            Health::Down => Standing::Down,
            _ => Standing::In,
        };
        let standings: Vec<Standing> = numbers.iter().map(standing).collect();
        let facts: Vec<Facts> = numbers.iter().map(facts).collect();
        let subset = Subset { size: NonZeroU32::new(10).unwrap(), instance };
        let left_out = left_out(&facts, &standings, Some(subset));
        let used = numbers.iter().zip(left_out).zip(standings);
        used.filter(|((_, left_out), standing)| !left_out && *standing == Standing::In)
            .map(|((number, _), _)| *number)
            .collect()
    }

    #[test]
    fn one_backend_more_or_less_changes_two_members_of_a_subset_at_most() {
        let mut worst = 0;
        let all: Vec<u64> = (0..100).collect();
        for instance in 0..64 {
            let before = subset_of(&all, instance, &[]);
            for gone in 0..100 {
                let less: Vec<u64> = all.iter().copied().filter(|number| *number != gone).collect();
                let after = subset_of(&less, instance, &[]);
                assert_eq!((before.len(), after.len()), (10, 10));
                let lost = before.iter().filter(|number| !after.contains(number)).count();
                worst = worst.max(lost);
            }
        }
        println!("at most {worst} of 10 members change");
        assert!((1..=2).contains(&worst));
    }

    #[test]
    fn backends_are_used_by_about_as_many_balancers_each() {
        let all: Vec<u64> = (0..100).collect();
        for balancers in [10, 20, 37, 64, 100] {
            let mut users = [0_u32; 100];
            for instance in 0..balancers {
                let used = subset_of(&all, instance, &[]);
                used.iter().for_each(|number| users[usize::try_from(*number).unwrap()] += 1);
            }
            let (least, most) = (users.iter().min().unwrap(), users.iter().max().unwrap());
            println!("{balancers} balancers: a backend has {least} to {most}");
            // A piece is a tenth of the ring. The discrepancy of the sequence is at most
            // (log₂ k + 2) ÷ 2 points, at either end of an interval.
            let off = f64::from(balancers).log2() + 2.0;
            let fair = f64::from(balancers) / 10.0;
            assert!(f64::from(*most) <= fair + off && f64::from(*least) >= fair - off);
        }
    }

    #[test]
    fn a_subset_keeps_its_size_and_its_members_when_some_cannot_be_used() {
        let all: Vec<u64> = (0..100).collect();
        let before = subset_of(&all, 3, &[]);
        let after = subset_of(&all, 3, &before[..4]);
        assert_eq!(after.len(), 10);
        assert!(before[4..].iter().all(|number| after.contains(number)));
        assert_eq!(subset_of(&all[..7], 3, &[]), all[..7], "there are no more");
    }
}
