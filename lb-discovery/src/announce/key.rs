//! The secret that announcements are authenticated with.
//!
//! A key is called by its own hash, so that whoever has the key has its id: a sender
//! needs one value, and no two sides can disagree about which key a name means.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// 32 bytes that a balancer and the nodes it believes have in common.
///
/// ```
/// use lb_discovery::announce::Key;
///
/// let key = Key::new([7; 32]);
/// assert_eq!(key.id().to_string(), "4bb06f8e4e3a7715");
/// assert_eq!(format!("{key:?}"), "Key(4bb06f8e4e3a7715)", "the key is not printed");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    secret: [u8; Self::LENGTH],
    id: KeyId,
}

/// What a key is called in a datagram: the first 8 bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LENGTH]);

impl Key {
    /// The length of a key.
    pub const LENGTH: usize = 32;

    /// The length of what [`Self::sign`] returns.
    pub(crate) const MAC: usize = 32;

    /// A key of these bytes, which should be random.
    #[must_use]
    pub fn new(secret: [u8; Self::LENGTH]) -> Self {
        let mut id = [0; KeyId::LENGTH];
        id.copy_from_slice(&Sha256::digest(secret)[..KeyId::LENGTH]);
        Self { secret, id: KeyId(id) }
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The HMAC-SHA256 of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> [u8; Self::MAC] {
        self.hmac(text).finalize().into_bytes().into()
    }

    /// Whether this is the HMAC of the text. Takes the same time for each answer.
    pub(super) fn has_signed(&self, text: &[u8], mac: &[u8]) -> bool {
        self.hmac(text).verify_slice(mac).is_ok()
    }

    fn hmac(&self, text: &[u8]) -> Hmac<Sha256> {
        // HMAC fills a short key up with zeros to the block of its hash.
        let mut block = [0; 64];
        block[..Self::LENGTH].copy_from_slice(&self.secret);
        let mut hmac = Hmac::<Sha256>::new(&block.into());
        hmac.update(text);
        hmac
    }
}

impl KeyId {
    pub(crate) const LENGTH: usize = 8;

    /// The one that stands before all others.
    pub(super) const MIN: Self = Self([0; Self::LENGTH]);

    pub(crate) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(self) -> [u8; Self::LENGTH] {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        // Test case 3 has a key of 20 bytes, which HMAC fills up with zeros.
        let mut secret = [0; 32];
        secret[..20].fill(0xaa);
        let mac = Key::new(secret).sign(&[0xdd; 50]);
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    }

    #[test]
    fn every_other_bit_of_key_text_or_mac_is_refused() {
        let key = Key::new([1; 32]);
        let mac = key.sign(b"text");
        assert!(key.has_signed(b"text", &mac));
        assert!(!key.has_signed(b"Text", &mac));
        assert!(!key.has_signed(b"text", &mac[..31]));
        assert!(!Key::new([2; 32]).has_signed(b"text", &mac));
        for bit in 0..256 {
            let mut other = mac;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.has_signed(b"text", &other), "bit {bit}");
        }
    }
}
