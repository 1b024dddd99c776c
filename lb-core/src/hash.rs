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
    pub(crate) fn spread(self, bytes: &[u8]) -> u64 {
        sip::SipHasher13::new_with_key(&self.0).hash(bytes)
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
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
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new([7; 16])), "Secret(..)");
    }
}
