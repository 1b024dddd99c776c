//! nginx's hash of a key.

use std::sync::Arc;

use super::{
    BuildCx, Needs, PickCx, Picker, RoundRobin, Strategy,
    keyed::{Bound, ByKey, Hosts, Table},
    remainder::Divisor,
    units::Units,
};
use crate::{
    cluster::View,
    hash::{crc32, crc32_shift},
};

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
        let parts = Arc::new(Parts { sum: Divisor::new(units.count()), units });
        Box::new(ByKey::theirs(parts, &hosts.slots, turns, view).bounded(self.bound, view))
    }
}

/// Each one's part of the values that a hash can have, modulo the sum of weights.
#[derive(Debug)]
struct Parts {
    units: Units,
    sum: Divisor,
}

#[derive(Debug)]
struct Walk<'k> {
    key: &'k [u8],
    /// Its own checksum.
    checksum: u32,
    hash: u32,
    attempt: usize,
    attempts: usize,
}

impl Table for Parts {
    type Walk<'k> = Walk<'k>;

    #[inline]
    fn walk<'k>(&self, cx: &PickCx<'k>) -> Walk<'k> {
        let key = cx.key().unwrap_or_default();
        // What the request tried were hits when it was sent there.
        let attempts = if key.is_empty() { 0 } else { 1 + MISSES + cx.tried().len() };
        Walk { key, checksum: crc32(key), hash: 0, attempt: 0, attempts }
    }

    #[inline]
    fn next(&self, walk: &mut Walk<'_>) -> Option<usize> {
        if walk.attempt == walk.attempts {
            return None;
        }
        let bits = bits(walk.attempt, walk.key, walk.checksum);
        walk.attempt += 1;
        walk.hash = walk.hash.wrapping_add(bits);
        self.sum.remainder(u64::from(walk.hash)).map(|unit| self.units.holder(unit))
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        let hash = if key.is_empty() { return None } else { counting(crc32(key)) };
        self.sum.remainder(u64::from(hash)).map(|unit| self.units.holder(unit))
    }
}

/// What of the checksum of an attempt counts, of a key with this checksum.
#[inline]
fn bits(attempt: usize, key: &[u8], checksum: u32) -> u32 {
    let changed = CHANGED.get(key.len()).and_then(|by_attempt| by_attempt.get(attempt));
    match changed {
        Some(changed) => counting(checksum) ^ u32::from(*changed),
        None => counting(numbered(attempt, key)),
    }
}

const fn counting(checksum: u32) -> u32 {
    (checksum >> 16) & 0x7fff
}

/// The checksum of the key with the number of the attempt before it, from the second on.
fn numbered(attempt: usize, key: &[u8]) -> u32 {
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

/// What a number before the key changes in its checksum depends on the length of the key
/// alone: checksums are linear. By that length and the attempt, of the bits that count.
static CHANGED: [[u16; 32]; 65] = changed();

#[expect(clippy::cast_possible_truncation, reason = "digits, and fifteen bits")]
const fn changed() -> [[u16; 32]; 65] {
    let mut all = [[0; 32]; 65];
    let mut attempt = 1;
    while attempt < 32 {
        let tens = b'0' + (attempt / 10) as u8;
        let mut register = if attempt < 10 { u32::MAX } else { fed(u32::MAX, tens) };
        register = !fed(register, b'0' + (attempt % 10) as u8);
        let mut length = 0;
        while length < all.len() {
            all[length][attempt] = counting(register) as u16;
            register = fed(register, 0);
            length += 1;
        }
        attempt += 1;
    }
    all
}

/// The register of a CRC-32 after one more byte.
const fn fed(register: u32, byte: u8) -> u32 {
    crc32_shift(register ^ byte as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_numbered_in_decimal() {
        let key: Vec<u8> = (0..100_u8).map(|n| n.wrapping_mul(37)).collect();
        for length in 0..key.len() {
            let key = &key[..length];
            let own = crc32fast::hash(key);
            assert_eq!(bits(0, key, own), counting(own));
            for attempt in [1, 9, 10, 20, 31, 32, 99, 1_020] {
                let text = [attempt.to_string().as_bytes(), key].concat();
                assert_eq!(bits(attempt, key, own), counting(crc32fast::hash(&text)));
            }
        }
    }
}
