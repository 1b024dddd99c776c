//! Envoy's Maglev table, bit by bit.

use super::table::Walk;
use crate::{
    cluster::View,
    hash::xx64,
    strategy::{
        BuildCx, Needs, PickCx, Picker, Strategy,
        keyed::{self, Host, Hosts, NOBODY, Owners, Recipe},
        remainder::Divisor,
    },
};

/// [`Maglev`](super::Maglev) with the table of Envoy (`MaglevLbConfig` with its usual
/// size of 65,537, read in `maglev_lb.cc`), for fleets where some balancers are Envoys.
///
/// A host is hashed by its address with xxHash64, and so is a key, which Envoy's hash
/// policy must take from the same bytes. Who can't take a request is met again where
/// Envoy's retries would go. Where we part: Envoy leaves hosts that are down out of its
/// table, so that other keys than theirs move. In our table they stay.
///
/// Nothing is secret here: anybody can find keys that meet. Loads are not bounded unless
/// said. A request without a key is drawn by weight.
#[derive(Debug)]
pub(in crate::strategy) struct EnvoyMaglev(Recipe<Table>);

/// Envoy's usual size.
const SIZE: usize = 65_537;
/// How often a key is hashed again.
const REHASHES: u64 = 64;

impl EnvoyMaglev {
    /// Bounded by so many times a share, or not.
    pub(in crate::strategy) fn bounded(factor: Option<f64>) -> Self {
        Self(Recipe::default().bounded(factor))
    }
}

impl Strategy for EnvoyMaglev {
    fn name(&self) -> &'static str {
        "maglev"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let hosts = Hosts::by_sorted_address(view);
        self.0.picker(&hosts, view, cx, |_, _| Table::new(&hosts.list, SIZE))
    }
}

#[derive(Debug)]
struct Table {
    owners: Owners,
    size: Divisor,
}

impl Table {
    /// Of hosts in the order of their addresses.
    fn new(hosts: &[Host], size: usize) -> Self {
        let owners = if hosts.is_empty() { Box::default() } else { fill(hosts, size) };
        Self { owners: owners.into(), size: Divisor::new(size as u64) }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is below the size of the table")]
    fn owner(&self, hash: u64) -> Option<usize> {
        self.owners.get(self.size.remainder(hash)? as usize)
    }
}

/// In each round everybody claims a place whose weight times the number of the round has
/// reached his target, which then rises by the largest weight. In floating point, as a
/// part of the sum of all, because Envoy does so: its roundings are part of the table.
fn fill(hosts: &[Host], size: usize) -> Box<[u32]> {
    let total: f64 = hosts.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let weights: Vec<f64> = hosts.iter().map(|(_, weight)| f64::from(*weight) / total).collect();
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    let mut targets = vec![0.0_f64; hosts.len()];
    let mut walks: Vec<Walk> = hosts.iter().map(|(address, _)| walk(address, size)).collect();
    let mut owners = vec![NOBODY; size];
    let mut left = size;
    for round in 1_u32.. {
        for ((host, walk), (weight, target)) in
            (0..).zip(&mut walks).zip(weights.iter().zip(&mut targets))
        {
            if f64::from(round) * weight < *target {
                continue;
            }
            *target += heaviest;
            walk.claim(host, &mut owners);
            left -= 1;
            if left == 0 {
                return owners.into();
            }
        }
    }
    owners.into()
}

/// From the hash of an address, in steps by another one.
fn walk(address: &str, size: usize) -> Walk {
    let modulo = |seed, divisor: usize| remainder(xx64(address.as_bytes(), seed), divisor as u64);
    Walk { at: modulo(0, size), step: modulo(1, size - 1) + 1 }
}

#[expect(clippy::cast_possible_truncation, reason = "it is below the size of a table")]
fn remainder(hash: u64, divisor: u64) -> usize {
    (hash % divisor) as usize
}

struct Attempts {
    hash: u64,
    number: u64,
}

impl keyed::Table for Table {
    type Walk<'k> = Attempts;

    #[inline]
    fn walk(&self, cx: &PickCx<'_>) -> Attempts {
        let hash = cx.key().map_or_else(|| cx.entropy(), |key| xx64(key, 0));
        Attempts { hash, number: 0 }
    }

    #[inline]
    fn next(&self, attempts: &mut Attempts) -> Option<usize> {
        if attempts.number > REHASHES {
            return None;
        }
        // The first is the hash itself.
        let hash = attempts.hash ^ attempts.number.wrapping_neg();
        attempts.number += 1;
        self.owner(hash)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        self.owner(xx64(key, 0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_table_is_envoys() {
        let file = include_str!("../../../tests/vectors/envoy_maglev_ring.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let mut places = 0;
        for row in file["maglev"].as_array().unwrap() {
            let list = |name: &str| row[name].as_array().unwrap().iter();
            let weights = list("weights").map(|it| u32::try_from(it.as_u64().unwrap()).unwrap());
            let names = list("hosts_hash_key").map(|it| it.as_str().unwrap().into());
            let hosts: Vec<Host> = names.zip(weights).collect();
            let size = usize::try_from(row["table_size"].as_u64().unwrap()).unwrap();
            let table = Table::new(&hosts, size);
            let expected: Vec<usize> = list("assignment")
                .map(|it| usize::try_from(it.as_u64().unwrap()).unwrap())
                .collect();
            assert_eq!(table.owners.iter().collect::<Vec<_>>(), expected, "{row}");
            places += expected.len();
        }
        println!("envoy maglev: {places} places exact");
        assert_eq!(places, 7);
    }

    /// Worked out by hand from Envoy's rule: with weights 3 and 1 the second claims in
    /// rounds 1, 3, 6, and not in 1, 4, 7.
    #[test]
    fn a_light_host_claims_as_early_as_with_envoy() {
        let hosts = [(std::sync::Arc::from("a"), 3), (std::sync::Arc::from("b"), 1)];
        for (size, light) in [(2, 1), (3, 1), (5, 2), (7, 2), (11, 3)] {
            let table = Table::new(&hosts, size);
            let count = table.owners.iter().filter(|owner| *owner == 1).count();
            assert_eq!(count, light, "{size}");
        }
    }

    #[test]
    fn a_key_is_met_where_envoy_looks_for_it_and_then_where_it_retries() {
        let hosts: Vec<Host> = (0..9).map(|n| (format!("10.0.0.{n}:80").into(), 1 + n)).collect();
        let table = Table::new(&hosts, SIZE);
        let cx = PickCx::new(crate::Tick::ZERO, 0).keyed(b"a key");
        let mut attempts = keyed::Table::walk(&table, &cx);
        let hash = xx64(b"a key", 0);
        for attempt in 0..=REHASHES {
            let hash = if attempt == 0 { hash } else { hash ^ (u64::MAX - attempt + 1) };
            let owner = table.owners.get(remainder(hash, SIZE as u64));
            assert_eq!(keyed::Table::next(&table, &mut attempts), owner);
        }
        assert_eq!(keyed::Table::next(&table, &mut attempts), None);
    }
}
