//! HAProxy's `map-based` table: as many places as there is weight, shared out by a
//! smooth round robin of its own.
//!
//! HAProxy gives each server its weight in credit at each place, and the place to the
//! first of those with the most credit *in whole rounds*, who pays a round, the sum of
//! all weights. That takes (servers × places) steps, half a second for a thousand servers
//! of different weights. Here servers are kept in a set per whole round, and only those
//! are touched at a place whose credit has become a round more: one on average.

use std::sync::Arc;

use super::{Hashing, MISSES};
use crate::{
    sample,
    strategy::{
        PickCx,
        keyed::{Owners, Table},
        remainder::Divisor,
        schedule,
    },
};

/// Who has which place; kept between builds.
#[derive(Debug, Default)]
pub(super) struct Places {
    weights: Vec<u32>,
    owners: Arc<Owners>,
}

impl Places {
    /// The places of servers with these weights.
    pub(super) fn of(&mut self, weights: &[u32]) -> Arc<Owners> {
        if self.weights != weights {
            let narrow = |weight| usize::try_from(weight).expect("a rounded weight fits");
            let reduced: Vec<usize> = schedule::reduced(weights).into_iter().map(narrow).collect();
            self.owners = Arc::new(owners(&reduced).into_iter().collect());
            self.weights = weights.to_vec();
        }
        Arc::clone(&self.owners)
    }
}

/// A map, and how keys are hashed.
#[derive(Debug)]
pub(super) struct Map {
    hashing: Hashing,
    owners: Arc<Owners>,
    places: Divisor,
}

impl Map {
    pub(super) fn new(hashing: Hashing, owners: Arc<Owners>) -> Self {
        let places = Divisor::new(owners.len() as u64);
        Self { hashing, owners, places }
    }
}

#[derive(Debug)]
pub(super) struct Walk {
    hash: u32,
    attempt: usize,
}

impl Table for Map {
    type Walk<'k> = Walk;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Walk {
        Walk { hash: self.hashing.of(cx), attempt: 0 }
    }

    #[inline]
    fn next(&self, walk: &mut Walk) -> Option<usize> {
        // HAProxy makes another map without those that are down; ours is hashed again, each time
        // from the key's own hash, so that no attempt waits for the last.
        let hash = match walk.attempt {
            0 => walk.hash,
            MISSES.. => return None,
            attempt => (sample::mix(u64::from(walk.hash) << 32 | attempt as u64) >> 32) as u32,
        };
        walk.attempt += 1;
        self.owner(hash)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        self.owner(self.hashing.of_key(key)?)
    }
}

impl Map {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is below the number of places")]
    fn owner(&self, hash: u32) -> Option<usize> {
        self.owners.get(self.places.remainder(hash.into())? as usize)
    }
}

/// Who has which place, for weights without a common divisor.
fn owners(weights: &[usize]) -> Vec<u32> {
    let rounds_due = RoundsDue::new(weights);
    // Who has one round less than nothing, who has nothing, who has one, and so on.
    let mut levels = [Set::of_none(weights.len()), Set::of_all(weights.len())].to_vec();
    let mut level = vec![1_usize; weights.len()];
    let mut order = Vec::new();
    for place in 0..weights.iter().sum() {
        for server in rounds_due.at(place) {
            levels[level[*server]].remove(*server);
            level[*server] += 1;
            if level[*server] == levels.len() {
                levels.push(Set::of_none(weights.len()));
            }
            levels[level[*server]].insert(*server);
        }
        let richest = levels.iter().rposition(|level| level.first().is_some());
        let first = richest.and_then(|richest| levels[richest].first());
        let server = first.expect("everybody is on some level");
        levels[level[server]].remove(server);
        level[server] -= 1;
        levels[level[server]].insert(server);
        order.push(u32::try_from(server).expect("a cluster has less than 2^32 backends"));
    }
    order
}

/// At which places a server's credit becomes a round more.
struct RoundsDue {
    /// Servers, by place.
    servers: Vec<usize>,
    /// Where those of each place begin; one more at the end.
    starts: Vec<usize>,
}

impl RoundsDue {
    fn new(weights: &[usize]) -> Self {
        let sum: usize = weights.iter().sum();
        // After n places a server has n × weight: k rounds after ⌈k × sum ÷ weight⌉.
        let due = |weight: usize| (1..=weight).map(move |k| (k * sum).div_ceil(weight) - 1);
        let mut starts = vec![0; sum + 1];
        weights.iter().flat_map(|weight| due(*weight)).for_each(|place| starts[place + 1] += 1);
        (0..sum).for_each(|place| starts[place + 1] += starts[place]);
        let mut next = starts.clone();
        let mut servers = vec![0; sum];
        for (server, weight) in weights.iter().enumerate() {
            for place in due(*weight) {
                servers[next[place]] = server;
                next[place] += 1;
            }
        }
        Self { servers, starts }
    }

    fn at(&self, place: usize) -> &[usize] {
        &self.servers[self.starts[place]..self.starts[place + 1]]
    }
}

/// Some of the servers, as bits.
#[derive(Clone)]
struct Set(Vec<u64>);

impl Set {
    fn of_none(servers: usize) -> Self {
        Self(vec![0; servers.div_ceil(64)])
    }

    fn of_all(servers: usize) -> Self {
        let mut all = Self::of_none(servers);
        (0..servers).for_each(|server| all.insert(server));
        all
    }

    fn insert(&mut self, server: usize) {
        self.0[server / 64] |= 1 << (server % 64);
    }

    fn remove(&mut self, server: usize) {
        self.0[server / 64] &= !(1 << (server % 64));
    }

    fn first(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some(word * 64 + self.0[word].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by looking at each server for each place.
    fn looked_at_one_by_one(weights: &[usize]) -> Vec<u32> {
        let sum: usize = weights.iter().sum();
        let sum = sum.cast_signed();
        let mut credit = vec![0; weights.len()];
        let place = |_| {
            let (mut best, mut most) = (None, 0);
            for (server, weight) in weights.iter().enumerate() {
                credit[server] += weight.cast_signed();
                let rounds = (credit[server] + sum) / sum;
                if best.is_none() || rounds > most {
                    (best, most) = (Some(server), rounds);
                }
            }
            credit[best.unwrap()] -= sum;
            u32::try_from(best.unwrap()).unwrap()
        };
        (0..sum).map(place).collect()
    }

    #[test]
    fn places_go_to_whom_haproxy_gives_them() {
        assert_eq!(owners(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(owners(&[]), [0_u32; 0]);
        for seed in 0..200_u64 {
            let servers = 1 + sample::mix(seed) % 90;
            let entropy = |server| sample::mix(seed << 32 | server);
            let heaviest = usize::try_from(1 + seed % 30).unwrap();
            let weight = |server| 1 + sample::index(entropy(server), heaviest);
            let weights: Vec<usize> = (0..servers).map(weight).collect();
            assert_eq!(owners(&weights), looked_at_one_by_one(&weights), "{weights:?}");
        }
    }

    #[test]
    fn a_map_is_made_again_only_for_other_weights() {
        let mut places = Places::default();
        let first = places.of(&[1, 2]);
        assert!(Arc::ptr_eq(&first, &places.of(&[1, 2])));
        assert!(!Arc::ptr_eq(&first, &places.of(&[2, 1])));
    }

    #[test]
    fn a_map_has_a_bounded_length() {
        let places = Places::default().of(&[65_535, 65_534, 1]);
        assert!(places.len() <= 65_537, "{}", places.len());
    }
}
