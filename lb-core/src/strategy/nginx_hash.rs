//! nginx's hash of a key.

use std::sync::Arc;

use super::{
    BuildCx, Needs, PickCx, Picker, RoundRobin, Strategy,
    keyed::{Bound, ByKey, Hosts, Table},
    units::Units,
};
use crate::cluster::View;

/// By key, exactly as nginx's `hash KEY`.
///
/// Fifteen bits of the key's CRC-32, modulo the sum of all weights, say in the order of
/// the list whose it is. So most keys move when a weight changes, or who is there, and
/// with sums of weights beyond some thousands backends get unequal shares, beyond 32,768
/// the last ones nothing: that is nginx's as well.
///
/// All backends of the tier have their part, whether they can be used or not, so that one
/// that comes and goes takes nobody's keys but its own with it. A key whose backend can't
/// take the request is hashed on, with the number of the attempt before it, and after more
/// than twenty misses it is the next one's turn in round robin; at once for a request
/// without a key, or with an empty one. Where the sum of weights is a power of two, keys of
/// one length all move by the same few bits, so that a failed backend's load falls on two
/// or three others.
///
/// Slow starts are not for it: nginx's table has only whole weights.
/// [Bounds](super::BoundedLoad) on loads are not nginx's, and off unless said.
///
/// This is for those who need nginx's mapping. Anybody can compute its hash, and find keys
/// that meet on one backend; [`Maglev`](super::Maglev) hashes with a secret and moves few
/// keys.
///
/// O(1) per pick, on average over the weights; O(log n) at worst.
#[derive(Debug, Default)]
pub struct NginxHash {
    bound: Option<Bound>,
    /// Whose turn it is after too many misses.
    round_robin: RoundRobin,
}

/// After more misses, round robin.
const MISSES: usize = 20;

impl NginxHash {
    /// Lets a backend have at most this times its share, by weight, of what is in flight,
    /// rounded up; `None`: any.
    #[must_use]
    pub fn bounded(mut self, factor: Option<f64>) -> Self {
        self.bound = factor.map(Bound::new);
        self
    }
}

impl Strategy for NginxHash {
    fn name(&self) -> &'static str {
        "hash"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let turns = self.round_robin.build(view, cx);
        let hosts = Hosts::by_address(view);
        let units = Units::new(hosts.list.iter().map(|(_, weight)| *weight));
        let parts = Arc::new(Parts(units));
        Box::new(ByKey::theirs(parts, hosts.slots, turns).bounded(self.bound, view))
    }
}

/// Each one's part of the values that a hash can have, modulo the sum of weights.
#[derive(Debug)]
struct Parts(Units);

#[derive(Debug)]
struct Walk<'k> {
    key: &'k [u8],
    hash: u32,
    attempt: usize,
    attempts: usize,
}

impl Table for Parts {
    type Walk<'k> = Walk<'k>;

    fn walk<'k>(&self, cx: &PickCx<'k>) -> Walk<'k> {
        let key = cx.key().unwrap_or_default();
        // What the request tried were hits when it was sent there.
        let attempts = if key.is_empty() { 0 } else { 1 + MISSES + cx.tried().len() };
        Walk { key, hash: 0, attempt: 0, attempts }
    }

    fn next(&self, walk: &mut Walk<'_>) -> Option<usize> {
        if walk.attempt == walk.attempts {
            return None;
        }
        let checksum = checksum(walk.attempt, walk.key);
        walk.attempt += 1;
        walk.hash = walk.hash.wrapping_add((checksum >> 16) & 0x7fff);
        u64::from(walk.hash).checked_rem(self.0.count()).map(|unit| self.0.holder(unit))
    }
}

/// Of the key, with the number of the attempt before it from the second on.
fn checksum(attempt: usize, key: &[u8]) -> u32 {
    if attempt == 0 {
        return crc32fast::hash(key);
    }
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = attempt;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).expect("a digit is below 10");
        rest /= 10;
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&digits[start..]);
    checksum.update(key);
    checksum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_numbered_in_decimal() {
        assert_eq!(checksum(0, b"key"), crc32fast::hash(b"key"));
        assert_eq!(checksum(9, b"key"), crc32fast::hash(b"9key"));
        assert_eq!(checksum(1_020, b"key"), crc32fast::hash(b"1020key"));
    }
}
