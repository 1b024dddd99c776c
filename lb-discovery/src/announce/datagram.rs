//! One datagram, as it travels.
//!
//! ```text
//! "LBA1" | key id 8 | boot id 8 | number 8 | unix ms 8 | ttl ms 4 | record | HMAC-SHA256 32
//! ```
//!
//! Numbers are big-endian, the record is a text. All before the HMAC is what it is
//! made of. Whoever reads one sees what it *says* before it is known who says it: the
//! cluster leads to the keys, and only [`Sealed::open`] gives out the rest.

use std::time::Duration;

use super::{
    key::{Key, KeyId},
    record::Record,
    refusal::Malformed,
};

/// The largest datagram; larger ones are split on some ways, or lost.
pub const MAX_LENGTH: usize = 1_200;

/// For how long a datagram may hold.
pub const MAX_TTL: Duration = Duration::from_secs(3_600);

const MAGIC: &[u8; 4] = b"LBA1";

/// What one datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Which life of the sender this is: random.
    pub boot_id: u64,
    /// Which datagram of that life.
    pub number: u64,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: u64,
    /// For how long it holds, if no other comes.
    pub ttl: Duration,
    /// What it says of a backend.
    pub record: Record,
}

/// A datagram that has the right form, by whomever.
#[derive(Clone, Debug)]
pub struct Sealed<'a> {
    key_id: KeyId,
    signed: &'a [u8],
    mac: &'a [u8],
    datagram: Datagram,
}

impl Datagram {
    /// Writes and signs it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is too large, or holds too long or not at all.
    pub fn seal(&self, key: &Key) -> Result<Vec<u8>, Malformed> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&key.id().bytes());
        for number in [self.boot_id, self.number, self.sent_ms] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&milliseconds(self.ttl)?.to_be_bytes());
        bytes.extend_from_slice(self.record.to_string().as_bytes());
        bytes.extend_from_slice(&key.sign(&bytes));
        if bytes.len() > MAX_LENGTH { Err(TOO_LONG) } else { Ok(bytes) }
    }
}

impl<'a> Sealed<'a> {
    /// Reads the form.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the reason.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_LENGTH {
            return Err(TOO_LONG);
        }
        let (signed, mac) =
            bytes.split_at_checked(bytes.len().saturating_sub(Key::MAC)).ok_or(TOO_SHORT)?;
        let mut reader = Reader(signed);
        if &reader.take::<4>()? != MAGIC {
            return Err(Malformed("it does not begin like an announcement"));
        }
        let key_id = KeyId::from_bytes(reader.take()?);
        let boot_id = u64::from_be_bytes(reader.take()?);
        let number = u64::from_be_bytes(reader.take()?);
        let sent_ms = u64::from_be_bytes(reader.take()?);
        let ttl = Duration::from_millis(u32::from_be_bytes(reader.take()?).into());
        milliseconds(ttl)?;
        let record = Record::parse(reader.0)?;
        let datagram = Datagram { boot_id, number, sent_ms, ttl, record };
        Ok(Self { key_id, signed, mac, datagram })
    }

    /// Which key it claims to be made with.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which cluster it claims to be for.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.datagram.record.cluster
    }

    /// What it says, if it was made with this key.
    #[must_use]
    pub fn open(&self, key: &Key) -> Option<&Datagram> {
        key.has_signed(self.signed, self.mac).then_some(&self.datagram)
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(*first)
    }
}

fn milliseconds(ttl: Duration) -> Result<u32, Malformed> {
    if ttl > MAX_TTL {
        return Err(Malformed("it holds for more than an hour"));
    }
    match u32::try_from(ttl.as_millis()) {
        Ok(millis @ 1..) => Ok(millis),
        _ => Err(Malformed("it holds for no time")),
    }
}

const TOO_SHORT: Malformed = Malformed("it is cut off");
const TOO_LONG: Malformed = Malformed("it is longer than 1200 bytes");

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;
    use crate::announce::record::{Place, State};

    fn datagram() -> Datagram {
        let record = Record::new("static", Place::Port(80));
        let ttl = Duration::from_secs(3);
        Datagram { boot_id: 1, number: 2, sent_ms: 1_790_000_000_000, ttl, record }
    }

    #[test]
    fn what_was_sealed_is_what_is_opened_with_the_same_key_only() {
        let key = Key::new([7; 32]);
        let bytes = datagram().seal(&key).unwrap();
        assert_eq!(bytes.len(), 40 + "cluster=static port=80".len() + 32);
        let sealed = Sealed::parse(&bytes).unwrap();
        assert_eq!((sealed.key_id(), sealed.cluster()), (key.id(), "static"));
        assert_eq!(sealed.open(&key), Some(&datagram()));
        assert_eq!(sealed.open(&Key::new([8; 32])), None);
    }

    #[test]
    fn a_datagram_that_is_cut_off_anywhere_is_refused() {
        let key = Key::new([7; 32]);
        let bytes = datagram().seal(&key).unwrap();
        for length in 0..bytes.len() {
            let opened = Sealed::parse(&bytes[..length]).ok();
            assert_eq!(opened.as_ref().and_then(|sealed| sealed.open(&key)), None, "{length}");
        }
    }

    #[test]
    fn one_that_is_too_large_or_holds_for_no_time_is_neither_made_nor_read() {
        let key = Key::new([7; 32]);
        for (ttl, reason) in [(0, "no time"), (3_600_001, "more than an hour")] {
            let ttl = Duration::from_millis(ttl);
            let error = Datagram { ttl, ..datagram() }.seal(&key).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let mut long = datagram();
        long.record.name = Some("ö".repeat(128).into());
        long.record.zone = Some("ö".repeat(128).into());
        long.record.cluster = "ö".repeat(128).into();
        assert!(long.seal(&key).unwrap().len() < MAX_LENGTH, "long names fit");
        long.record.zone = Some("\u{1f980}".repeat(128).into());
        long.record.cluster = "\u{1f980}".repeat(128).into();
        assert_eq!(long.seal(&key).unwrap_err(), TOO_LONG);
        assert_eq!(Sealed::parse(&[0; 1_201]).unwrap_err(), TOO_LONG);
    }

    fn some_record() -> impl Strategy<Value = Record> {
        let name = || "[a-z0-9.:=_-]{1,20}";
        let place = prop_oneof![
            (1..u16::MAX).prop_map(Place::Port),
            (1..u16::MAX, 1..200_u8)
                .prop_map(|(port, host)| Place::Address(([10, 0, 0, host], port).into())),
        ];
        let state = prop_oneof![Just(State::Up), Just(State::Draining), Just(State::Down)];
        let more = (1..65_536_u32, any::<u8>(), proptest::option::of(name()), state);
        (name(), place, proptest::option::of(name()), more).prop_map(
            |(cluster, place, name, (weight, tier, zone, state))| Record {
                cluster: cluster.into(),
                place,
                name: name.map(Into::into),
                weight: lb_core::Weight::new(weight).unwrap(),
                tier,
                zone: zone.map(Into::into),
                state,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_datagram_comes_out_as_it_went_in(
            record in some_record(), numbers in any::<[u64; 3]>(), ttl in 1..3_600_000_u64
        ) {
            let [boot_id, number, sent_ms] = numbers;
            let ttl = Duration::from_millis(ttl);
            let datagram = Datagram { boot_id, number, sent_ms, ttl, record };
            let key = Key::new([7; 32]);
            let bytes = datagram.seal(&key).unwrap();
            let sealed = Sealed::parse(&bytes).unwrap();
            prop_assert_eq!(sealed.open(&key), Some(&datagram));
        }

        #[test]
        fn one_bit_that_is_another_opens_nothing(record in some_record(), bit in any::<usize>()) {
            let key = Key::new([7; 32]);
            let mut bytes = Datagram { record, ..datagram() }.seal(&key).unwrap();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let sealed = Sealed::parse(&bytes);
            prop_assert!(sealed.is_err() || sealed.unwrap().open(&key).is_none());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut all = b"LBA1".to_vec();
            all.extend(&bytes);
            let _ = Sealed::parse(&all);
            prop_assert!(Sealed::parse(&bytes).is_err() || bytes.starts_with(b"LBA1"));
        }
    }
}
