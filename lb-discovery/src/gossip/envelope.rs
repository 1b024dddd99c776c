//! One datagram of gossip, as it travels.
//!
//! ```text
//! "LBG1" | key id 8 | nonce 24 | XChaCha20-Poly1305 of a letter
//! ```
//!
//! Magic word and key id are authenticated with it. Nobody without a key can read or
//! make one. The cipher's key is derived, so that a key may be used for announcements
//! as well. Where there is no key at all, a letter is sent as it is, after `LBG0`; one
//! who has keys reads no such letter.
//!
//! With two keys the first one seals and both open, so that a key can be replaced one
//! node after the other: add the new one as second everywhere, then swap them, then
//! remove the old one.

use std::{fmt, net::SocketAddr};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use serde::{Deserialize, Serialize};

use super::body::Body;
use crate::announce::{Key, KeyId, Refusal};

/// The largest datagram; larger ones are split on some ways, or lost.
pub(super) const MAX_LENGTH: usize = 1_400;

/// The keys that a node and its like have in common.
#[derive(Clone, Default)]
pub struct Ring(Vec<(Key, XChaCha20Poly1305)>);

/// What a datagram says, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    /// Where the sender is reached.
    pub(super) from: SocketAddr,
    /// When it was started, in milliseconds since 1970.
    pub(super) boot: u64,
    /// Which letter of that life.
    pub(super) number: u64,
    /// When it was sent, in milliseconds since 1970.
    pub(super) sent_ms: u64,
    pub(super) body: Body,
}

impl Ring {
    /// The first of these keys seals, all of them open. Without any, nothing is sealed.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let with_cipher = |key: Key| {
            let cipher = XChaCha20Poly1305::new(&key.sign(PURPOSE).into());
            (key, cipher)
        };
        Self(keys.into_iter().map(with_cipher).collect())
    }

    /// Whether whoever can send is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the key is called that seals.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        self.0.first().map(|(key, _)| key.id())
    }

    /// Writes and seals a letter; `None` if it is too long. The nonce must be used once.
    pub(super) fn seal(&self, letter: &Letter, nonce: [u8; NONCE]) -> Option<Vec<u8>> {
        let Some((key, cipher)) = self.0.first() else {
            return postcard::to_extend(letter, PLAIN.to_vec()).ok().filter(|bytes| fits(bytes));
        };
        let plain = postcard::to_allocvec(letter).ok()?;
        let mut bytes = Vec::with_capacity(MAX_LENGTH);
        bytes.extend_from_slice(SEALED);
        bytes.extend_from_slice(&key.id().bytes());
        let payload = Payload { msg: &plain, aad: &bytes };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        fits(&bytes).then_some(bytes)
    }

    /// Opens a datagram and reads what it says.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`], [`Refusal::Key`] or [`Refusal::Mac`].
    pub(super) fn open(&self, bytes: &[u8]) -> Result<Letter, Refusal> {
        if bytes.len() > MAX_LENGTH {
            return Err(Refusal::Malformed);
        }
        if let Some(plain) = bytes.strip_prefix(PLAIN) {
            return if self.is_empty() { read(plain) } else { Err(Refusal::Key) };
        }
        let rest = bytes.strip_prefix(SEALED).ok_or(Refusal::Malformed)?;
        let (id, rest) = rest.split_first_chunk().ok_or(Refusal::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Refusal::Malformed)?;
        let id = KeyId::from_bytes(*id);
        let (_, cipher) = self.0.iter().find(|(key, _)| key.id() == id).ok_or(Refusal::Key)?;
        let payload = Payload { msg: sealed, aad: &bytes[..SEALED.len() + KeyId::LENGTH] };
        let plain = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Refusal::Mac)?;
        read(&plain)
    }
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|(key, _)| key).eq(other.0.iter().map(|(key, _)| key))
    }
}

impl Eq for Ring {}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

/// Reads a letter and writes it again, twice: what fuzzers compare.
#[cfg(all(feature = "file", any(test, feature = "fuzz")))]
pub(crate) fn read_letter(plain: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let letter = read(plain).ok()?;
    let again = postcard::to_allocvec(&letter).ok()?;
    let twice = postcard::to_allocvec(&read(&again).ok()?).ok()?;
    Some((again, twice))
}

/// A node hears what any bytes say, sealed or not.
#[cfg(all(feature = "file", any(test, feature = "fuzz")))]
pub(crate) fn open_and_hear(input: &[u8]) {
    use super::{node::Node, profile::Profile};

    for (ring, magic) in [(Ring::default(), PLAIN), (Ring::new([Key::new([7; 32])]), SEALED)] {
        if let Ok(letter) = ring.open(&[&magic[..], input].concat()) {
            let (me, now) = (SocketAddr::from(([10, 0, 0, 1], 7946)), lb_core::Tick::ZERO);
            let mut node = Node::new(me, 1, Profile::Fast, Vec::new(), 1, now);
            node.hear(letter.from, letter.body, now);
            node.turn(now);
            for (_, body) in node.take_letters() {
                let letter = Letter { from: me, boot: 1, number: 1, sent_ms: 1, body };
                assert!(ring.seal(&letter, [0; NONCE]).is_some(), "what it says fits");
            }
        }
    }
}

fn read(plain: &[u8]) -> Result<Letter, Refusal> {
    match postcard::take_from_bytes(plain) {
        Ok((letter, [])) => Ok(letter),
        _ => Err(Refusal::Malformed),
    }
}

fn fits(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_LENGTH
}

pub(super) const NONCE: usize = 24;

const SEALED: &[u8; 4] = b"LBG1";
const PLAIN: &[u8; 4] = b"LBG0";
const PURPOSE: &[u8] = b"lb gossip 1, XChaCha20-Poly1305";

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;
    use crate::gossip::body::{Digest, Entry, Version};

    fn ring(keys: &[u8]) -> Ring {
        Ring::new(keys.iter().map(|key| Key::new([*key; Key::LENGTH])))
    }

    fn letter(body: Body) -> Letter {
        Letter { from: ([10, 0, 0, 1], 7946).into(), boot: 1, number: 2, sent_ms: 3, body }
    }

    #[test]
    fn the_first_key_seals_and_both_open() {
        let sealed = ring(&[1, 2]).seal(&letter(Body::Ask), [9; NONCE]).unwrap();
        for reader in [[1, 2], [2, 1], [1, 3]] {
            assert_eq!(ring(&reader).open(&sealed), Ok(letter(Body::Ask)));
        }
        assert_eq!(ring(&[2, 3]).open(&sealed), Err(Refusal::Key));
        assert_eq!(ring(&[]).open(&sealed), Err(Refusal::Key));
        assert_eq!(ring(&[1, 2]).key_id(), Some(Key::new([1; 32]).id()));
    }

    #[test]
    fn without_keys_letters_are_plain_and_whoever_has_keys_reads_none() {
        let plain = ring(&[]).seal(&letter(Body::Here), [9; NONCE]).unwrap();
        assert_eq!(ring(&[]).open(&plain), Ok(letter(Body::Here)));
        assert_eq!(ring(&[1]).open(&plain), Err(Refusal::Key));
    }

    #[test]
    fn one_bit_that_is_another_or_one_byte_less_opens_nothing() {
        let ring = ring(&[1]);
        let sealed = ring.seal(&letter(Body::Swim(vec![5; 40])), [9; NONCE]).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open(&other).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(ring.open(&sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn nothing_is_sent_that_is_longer_than_a_datagram_may_be() {
        let ring = ring(&[1]);
        assert!(ring.seal(&letter(Body::Swim(vec![5; 1_250])), [9; NONCE]).is_some());
        assert_eq!(ring.seal(&letter(Body::Swim(vec![5; 1_400])), [9; NONCE]), None);
        assert_eq!(ring.open(&[0; MAX_LENGTH + 1]), Err(Refusal::Malformed));
        let long = SocketAddr::from(([u16::MAX; 8], u16::MAX));
        let version = Version { node: long, boot: u64::MAX, number: u64::MAX };
        let (until, versions) = (Some(long), vec![version; crate::gossip::body::VERSIONS]);
        let digest = Body::Digest(Digest { after: until, until, versions });
        assert!(ring.seal(&letter(digest), [9; NONCE]).is_some(), "the longest digest");
        let entry = |length: usize| Entry { version, record: Some("x".repeat(length).into()) };
        for length in [0, 1, 100, 500, 700, 1_100] {
            let bodies = Body::entries(vec![entry(length); 20]);
            assert!(bodies.into_iter().all(|body| ring.seal(&letter(body), [9; NONCE]).is_some()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let plain = [&PLAIN[..], &bytes].concat();
            if let Ok(letter) = ring(&[]).open(&plain) {
                let again = ring(&[]).seal(&letter, [9; NONCE]).unwrap();
                prop_assert_eq!(ring(&[]).open(&again), Ok(letter));
            }
            prop_assert!(ring(&[1]).open(&[&SEALED[..], &bytes].concat()).is_err());
        }
    }
}
