//! Values that nobody else can make.
//!
//! 36 bytes, as 48 characters of base64url:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 3 | which key: the head of a MAC of nothing under it |
//! | 8 | when it expires, seconds since 1970, big-endian; all ones: never |
//! | 8 | the derived route under that key, big-endian |
//! | 16 | SipHash-2-4 with 128 bits over all that under that key |
//!
//! 36 is divisible by 3, so that there is only one spelling of a value.
//!
//! A value under a key we do not have may be another balancer's, or made up by the
//! client. It is taken for the former only where that is likely: while there are several
//! keys here, as an exchange goes on then, and if it has not expired and would not live
//! for longer than twice as long as ours. Whoever makes one up can choose nothing that
//! he could not by asking again without a cookie, and not for ever.

use std::time::Duration;

use super::Ring;
use crate::{hash::Secret, strategy::Binding, time::UnixTime};

const VERSION: u8 = 1;
const BYTES: usize = 36;
/// What the MAC covers.
const SIGNED: usize = 20;
const CHARACTERS: usize = BYTES / 3 * 4;
const NEVER: u64 = u64::MAX;

pub(super) fn seal(ring: &Ring, backend: &str, ttl: Option<Duration>, now: UnixTime) -> String {
    let key = ring.signing();
    let expires = ttl.map_or(NEVER, |ttl| now.as_secs().saturating_add(ttl.as_secs()));
    let mut bytes = [0; BYTES];
    bytes[0] = VERSION;
    bytes[1..4].copy_from_slice(&key_id(key));
    bytes[4..12].copy_from_slice(&expires.to_be_bytes());
    bytes[12..SIGNED].copy_from_slice(&ring.route(backend).to_be_bytes());
    let mac = key.mac([b"seal", &bytes[..SIGNED]]);
    bytes[SIGNED..].copy_from_slice(&mac);
    encode(&bytes)
}

pub(super) fn open<'v>(
    ring: &Ring,
    value: &'v [u8],
    ttl: Option<Duration>,
    now: UnixTime,
) -> Option<Binding<'v>> {
    let bytes = decode(value)?;
    if bytes[0] != VERSION {
        return None;
    }
    let number = |from: usize| -> Option<u64> {
        Some(u64::from_be_bytes(bytes[from..from + 8].try_into().ok()?))
    };
    let left = number(4)?.checked_sub(now.as_secs()).filter(|left| *left > 0)?;
    let mut known = ring.keys().iter().filter(|key| key_id(**key) == bytes[1..4]).peekable();
    if known.peek().is_none() {
        let is_likely = ttl.is_none_or(|ttl| left <= ttl.as_secs().saturating_mul(2));
        return (ring.keys().len() > 1 && is_likely).then_some(Binding::Key(value));
    }
    known.find(|key| is_same(&key.mac([b"seal", &bytes[..SIGNED]]), &bytes[SIGNED..]))?;
    number(12).map(Binding::Route)
}

/// When a value says it ends, whoever made it; `None`: never.
pub(super) fn expires(value: &[u8]) -> Option<UnixTime> {
    let bytes = decode(value)?;
    let expires = u64::from_be_bytes(bytes[4..12].try_into().ok()?);
    (expires != NEVER).then(|| UnixTime::from_secs(expires))
}

/// Tells keys apart without telling anything of them.
fn key_id(key: Secret) -> [u8; 3] {
    let [a, b, c, ..] = key.mac([b"key id", b""]);
    [a, b, c]
}

/// Compares in a time that does not depend on where they differ.
fn is_same(one: &[u8; 16], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differing) == 0
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8; BYTES]) -> String {
    let sextets = bytes.chunks_exact(3).flat_map(|three| {
        let word = three.iter().fold(0, |word, byte| word << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| word >> shift & 63)
    });
    sextets.map(|sextet| char::from(ALPHABET[sextet])).collect()
}

fn decode(value: &[u8]) -> Option<[u8; BYTES]> {
    if value.len() != CHARACTERS {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (four, three) in value.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let word = four.iter().try_fold(0, |word, character| Some(word << 6 | sextet(*character)?));
        let [_, decoded @ ..] = u32::to_be_bytes(word?);
        three.copy_from_slice(&decoded);
    }
    Some(bytes)
}

fn sextet(character: u8) -> Option<u32> {
    let sextet = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(sextet))
}
