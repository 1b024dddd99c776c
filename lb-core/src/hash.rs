//! Keyed hashing.
//!
//! What decides where a client goes by something the client says must be keyed:
//! whoever knows the hash can choose keys that all go to one backend. SipHash
//! (Aumasson, Bernstein: *SipHash: a fast short-input PRF*, 2012) is made for that:
//! with 2 and 4 rounds where a value is handed out and could be guessed at, with 1
//! and 3 where only a table position depends on it.

use std::fmt;

use siphasher::{sip, sip128};
use twox_hash::XxHash64;

/// Sixteen secret bytes. Balancers with the same secret decide alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// These bytes, which should be random.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The secret of those who have not been given one: all balancers that call
    /// something `name` agree without being told. Whoever knows the name knows
    /// it, so it keeps nobody from anything; a configured one does.
    #[must_use]
    pub fn derived_from(name: &str) -> Self {
        Self(*b"lb: not a secret").derive(b"name", name)
    }

    /// Another secret, for one `use_` and `name`.
    pub(crate) fn derive(self, use_: &[u8; 4], name: &str) -> Self {
        Self(self.mac([use_, name.as_bytes()]))
    }

    /// SipHash-1-3 of `bytes`, for table positions.
    #[inline]
    pub(crate) fn spread(self, bytes: &[u8]) -> u64 {
        match <&[u8; 4]>::try_from(bytes) {
            Ok(four) => self.spread_four(*four),
            Err(_) => sip::SipHasher13::new_with_key(&self.0).hash(bytes),
        }
    }

    /// The same of an IPv4 address, which is one round and three.
    #[inline]
    fn spread_four(self, bytes: [u8; 4]) -> u64 {
        let ([low, high], _) = self.0.as_chunks::<8>() else {
            unreachable!("sixteen bytes are twice eight")
        };
        let (low, high) = (u64::from_le_bytes(*low), u64::from_le_bytes(*high));
        let word = 4 << 56 | u64::from(u32::from_le_bytes(bytes));
        let mut state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573 ^ word,
        ];
        round(&mut state);
        state[0] ^= word;
        state[2] ^= 0xff;
        (0..3).for_each(|_| round(&mut state));
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }

    /// SipHash-2-4 of `bytes`, for values that are handed out.
    pub(crate) fn route(self, bytes: &[u8]) -> u64 {
        sip::SipHasher24::new_with_key(&self.0).hash(bytes)
    }

    /// SipHash-2-4 with 128 bits of both parts one after the other. The first says
    /// what it is for; none is the beginning of another.
    pub(crate) fn mac(self, parts: [&[u8]; 2]) -> [u8; 16] {
        use std::hash::Hasher;
        let mut hasher = sip128::SipHasher24::new_with_key(&self.0);
        parts.into_iter().for_each(|part| hasher.write(part));
        sip128::Hasher128::finish128(&hasher).as_bytes()
    }
}

/// Of SipHash.
#[inline]
fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *c = c.wrapping_add(*d);
    *b = b.rotate_left(13) ^ *a;
    *d = d.rotate_left(16) ^ *c;
    *a = a.rotate_left(32).wrapping_add(*d);
    *c = c.wrapping_add(*b);
    *d = d.rotate_left(21) ^ *a;
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// CRC-32, for mappings that other programs must agree with. What is shorter than 16 bytes,
/// as addresses are, is looked up here: to get ready for more takes longer than that.
#[inline]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    if bytes.len() >= 16 {
        return crc32fast::hash(bytes);
    }
    let at = |table: usize, register: u32| CRC[table][(register & 0xff) as usize];
    let (fours, rest) = bytes.as_chunks::<4>();
    let register = fours.iter().fold(u32::MAX, |register, four| {
        let word = register ^ u32::from_le_bytes(*four);
        at(3, word) ^ at(2, word >> 8) ^ at(1, word >> 16) ^ at(0, word >> 24)
    });
    !rest
        .iter()
        .fold(register, |register, byte| at(0, register ^ u32::from(*byte)) ^ (register >> 8))
}

/// What becomes of a byte in the register of a CRC-32, by how many others come after it.
static CRC: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut register = byte;
        let mut table = 0;
        while table < 4 {
            register = crc32_shift(register);
            tables[table][byte as usize] = register;
            table += 1;
        }
        byte += 1;
    }
    tables
};

/// The register of a CRC-32 eight bits later.
pub(crate) const fn crc32_shift(mut register: u32) -> u32 {
    let mut bit = 0;
    while bit < 8 {
        register = register >> 1 ^ if register & 1 == 0 { 0 } else { 0xedb8_8320 };
        bit += 1;
    }
    register
}

/// xxHash64, for mappings that other programs must agree with. Not keyed: anybody can
/// find values that meet.
pub(crate) fn xx64(bytes: &[u8], seed: u64) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vectors of the reference implementation: key 00 01 … 0f, input
    /// of 0 and 15 bytes 00 01 ….
    #[test]
    fn it_is_siphash() {
        let key: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(Secret::new(key).route(&input), 0xa129_ca61_49be_45e5);
        assert_eq!(Secret::new(key).route(b""), 0x726f_db47_dd0e_0e31);
        let mac = Secret::new(key).mac([b"", b""]);
        assert_eq!(mac[..4], [0xa3, 0x81, 0x7f, 0x04]);
    }

    #[test]
    fn what_is_short_is_hashed_as_everything_is() {
        for number in 0..10_000_u64 {
            let words = [number, number + 1, number + 2].map(crate::sample::mix);
            let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
            let key: [u8; 16] = bytes[..16].try_into().unwrap();
            let four = &bytes[16..20];
            let spread = sip::SipHasher13::new_with_key(&key).hash(four);
            assert_eq!(Secret::new(key).spread(four), spread);
            let short = &bytes[..usize::try_from(number % 20).unwrap()];
            assert_eq!(crc32(short), crc32fast::hash(short));
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new([7; 16])), "Secret(..)");
    }
}
