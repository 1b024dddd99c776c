//! HAProxy's hash functions, bit by bit (`src/hash.c` and `full_hash` there).

use crate::{hash::crc32, strategy::HashFunction};

/// A number for these bytes.
pub(super) fn hash(function: HashFunction, bytes: &[u8]) -> u32 {
    match function {
        HashFunction::Sdbm => sdbm(bytes),
        HashFunction::Djb2 => djb2(bytes),
        HashFunction::Wt6 => wt6(bytes),
        HashFunction::Crc32 => crc32(bytes),
        HashFunction::None => number(bytes),
    }
}

/// sdbm multiplies by 65,599 (as two shifts and a subtraction) and adds.
fn sdbm(bytes: &[u8]) -> u32 {
    polynomial::<65_599>(0, bytes)
}

fn djb2(bytes: &[u8]) -> u32 {
    polynomial::<33>(5_381, bytes)
}

/// What comes of multiplying by `X` and adding a byte, for each byte; four of them at
/// once, so that they need not wait for each other.
fn polynomial<const X: u32>(start: u32, bytes: &[u8]) -> u32 {
    let after = |hash: u32, byte: u8| hash.wrapping_mul(X).wrapping_add(byte.into());
    let fourth = X.wrapping_pow(4);
    let (fours, rest) = bytes.as_chunks::<4>();
    let hash = fours.iter().fold(start, |hash, four| {
        hash.wrapping_mul(fourth).wrapping_add(four.iter().copied().fold(0, after))
    });
    rest.iter().copied().fold(hash, after)
}

fn wt6(bytes: &[u8]) -> u32 {
    let (mut one, mut other) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut step, mut other_step) = (6, 18);
    for byte in bytes {
        one = !(one ^ u32::from(*byte));
        other = !other.wrapping_add(u32::from(*byte));
        (one, other) = (other.rotate_left(step), one.rotate_left(other_step));
        let steps = ((one >> 16) ^ other) & 0xffff;
        (step, other_step) = (steps & 31, steps >> 11);
    }
    one ^ other
}

/// The decimal number that the bytes begin with, 0 if there is none: as HAProxy does,
/// kept within 64 bits with a sign, of which the lower half is taken.
#[expect(clippy::cast_possible_truncation, reason = "that is what HAProxy does")]
fn number(bytes: &[u8]) -> u32 {
    let is_negative = bytes.first() == Some(&b'-');
    let digits = if is_negative { &bytes[1..] } else { bytes.strip_prefix(b"+").unwrap_or(bytes) };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_u64, |value, digit| {
        // Once it is out of bounds it stays there, as it was far above them.
        value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    });
    if is_negative {
        value.min(i64::MIN.unsigned_abs()).wrapping_neg() as u32
    } else {
        value.min(i64::MAX.unsigned_abs()) as u32
    }
}

/// Bob Jenkins' integer mix, and a prime: `avalanche`, and the places of points.
pub(super) fn avalanche(value: u32) -> u32 {
    let mut a = value;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = (a ^ 0xc761_c23c) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_published_functions() {
        assert_eq!(hash(HashFunction::Djb2, b""), 5_381);
        assert_eq!(hash(HashFunction::Djb2, b"a"), 177_670);
        assert_eq!(hash(HashFunction::Djb2, b"hello world"), 894_552_257);
        assert_eq!(hash(HashFunction::Sdbm, b""), 0);
        assert_eq!(hash(HashFunction::Sdbm, b"ab"), 97 * 65_599 + 98);
        assert_eq!(hash(HashFunction::Crc32, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_number_is_read_as_haproxy_reads_it() {
        let number = |text: &str| hash(HashFunction::None, text.as_bytes());
        assert_eq!(number("42"), 42);
        assert_eq!(number("+42 and more"), 42);
        assert_eq!(number("-1"), u32::MAX);
        assert_eq!(number("4294967297"), 1);
        assert_eq!(number("text"), 0);
        assert_eq!(number(""), 0);
        assert_eq!(number("99999999999999999999999"), u32::MAX, "2^63 - 1 at most");
        assert_eq!(number("-99999999999999999999999"), 0, "-2^63 at least");
    }

    #[test]
    fn an_avalanche_loses_nothing() {
        // Its steps can be undone, so different values stay different.
        let mut values: Vec<u32> = (0..100_000).map(|n| avalanche(n * 42_949)).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 100_000);
    }
}
