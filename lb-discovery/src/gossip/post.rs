//! What this node writes, and what it believes of what it gets. Pure: the time is an
//! argument.
//!
//! As with announcements, what makes a letter true is checked in the order of what it
//! costs: the rate, the key, the cipher, the clock, the numbers. Of each sender it is
//! remembered which life of it was heard last and how far.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use lb_core::Tick;

use super::{
    body::Body,
    envelope::{Letter, NONCE, Ring},
};
use crate::announce::{
    Moment, Refusal, Refusals,
    complaints::Complaints,
    limits::Limits,
    window::{Order, Window},
};

/// Writes letters, and reads those of others.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) ring: Ring,
    me: SocketAddr,
    boot: u64,
    /// What no other life of any node has at the beginning of its nonces.
    unique: [u8; UNIQUE],
    number: u64,
    max_skew: Duration,
    senders: BTreeMap<SocketAddr, Heard>,
    limits: Limits,
    pub(super) refusals: Arc<Refusals>,
    pub(super) complaints: Complaints,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    boot: u64,
    window: Window,
    sent_ms: u64,
    through: IpAddr,
}

impl Post {
    pub(super) fn new(
        ring: Ring,
        me: SocketAddr,
        boot: u64,
        unique: [u8; UNIQUE],
        max_skew: Duration,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self {
            ring,
            me,
            boot,
            unique,
            number: 0,
            max_skew,
            senders: BTreeMap::new(),
            limits: Limits::default(),
            refusals,
            complaints: Complaints::default(),
        }
    }

    /// A letter, sealed; `None` if it is too long.
    pub(super) fn write(&mut self, body: Body, unix_ms: u64) -> Option<Vec<u8>> {
        self.number += 1;
        let mut nonce = [0; NONCE];
        nonce[..UNIQUE].copy_from_slice(&self.unique);
        nonce[UNIQUE..].copy_from_slice(&self.number.to_be_bytes());
        let (from, boot, number) = (self.me, self.boot, self.number);
        self.ring.seal(&Letter { from, boot, number, sent_ms: unix_ms, body }, nonce)
    }

    /// Opens what came from there. What is refused is counted; whether somebody should
    /// be told of it is the second part of the error.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        from: IpAddr,
        now: Moment,
    ) -> Result<(SocketAddr, Body), (Refusal, bool)> {
        self.judge(bytes, from, now).map_err(|refusal| {
            self.refusals.count(refusal);
            let is_news =
                refusal != Refusal::Replay && self.complaints.add(refusal, from, now.tick);
            (refusal, is_news)
        })
    }

    fn judge(
        &mut self,
        bytes: &[u8],
        from: IpAddr,
        now: Moment,
    ) -> Result<(SocketAddr, Body), Refusal> {
        if !self.limits.admit(from, now.tick) {
            return Err(Refusal::Rate);
        }
        let letter = self.ring.open(bytes)?;
        if letter.from == self.me && letter.boot == self.boot {
            // Its own, from a network that sends back.
            return Err(Refusal::Replay);
        }
        if u128::from(letter.sent_ms.abs_diff(now.unix_ms)) > self.max_skew.as_millis() {
            return Err(Refusal::Skew);
        }
        let window = match self.senders.get(&letter.from) {
            Some(heard) if heard.boot > letter.boot => return Err(Refusal::Stale),
            Some(heard) if heard.boot == letter.boot => {
                let mut window = heard.window;
                if window.take(letter.number) == Order::Replayed {
                    return Err(Refusal::Replay);
                }
                window
            }
            _ => Window::new(letter.number),
        };
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&letter.from) {
            self.forget(now.unix_ms);
            if self.senders.len() >= MAX_SENDERS {
                return Err(Refusal::Full);
            }
        }
        self.limits.know(from);
        let heard = Heard { boot: letter.boot, window, sent_ms: letter.sent_ms, through: from };
        self.senders.insert(letter.from, heard);
        Ok((letter.from, letter.body))
    }

    /// Forgets those whose letters are too old to be repeated.
    fn forget(&mut self, unix_ms: u64) {
        let skew = u64::try_from(self.max_skew.as_millis()).unwrap_or(u64::MAX);
        self.senders.retain(|_, heard| heard.sent_ms.saturating_add(skew) >= unix_ms);
        let present: BTreeSet<_> = self.senders.values().map(|heard| heard.through).collect();
        self.limits.know_only(&present);
    }

    /// Forgets what there was to complain about, and says whether that is news.
    pub(super) fn expire(&mut self, now: Tick) -> bool {
        self.complaints.expire(now)
    }
}

/// How much of a nonce is random.
pub(super) const UNIQUE: usize = NONCE - size_of::<u64>();

const MAX_SENDERS: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::Key;

    const WALL: u64 = 1_790_000_000_000;

    fn post(host: u8, boot: u64, key: u8) -> Post {
        let ring = Ring::new([Key::new([key; Key::LENGTH])]);
        let me = ([10, 0, 0, host], 7946).into();
        let skew = Duration::from_secs(30);
        Post::new(ring, me, boot, [host; UNIQUE], skew, Arc::default())
    }

    fn at(millis: u64) -> Moment {
        Moment { tick: Tick::from_millis(millis), unix_ms: WALL + millis }
    }

    fn read(reader: &mut Post, bytes: &[u8], millis: u64) -> Result<Body, Refusal> {
        let read = reader.read(bytes, [10, 0, 0, 1].into(), at(millis));
        read.map(|(_, body)| body).map_err(|(refusal, _)| refusal)
    }

    #[test]
    fn a_letter_is_read_once_in_any_order_and_within_its_time() {
        let (mut sender, mut reader) = (post(1, 1, 7), post(2, 1, 7));
        let letters: Vec<_> = (0..3).map(|_| sender.write(Body::Ask, WALL).unwrap()).collect();
        for letter in letters.iter().rev() {
            assert_eq!(read(&mut reader, letter, 10), Ok(Body::Ask));
        }
        for letter in &letters {
            assert_eq!(read(&mut reader, letter, 30_000), Err(Refusal::Replay));
            assert_eq!(read(&mut reader, letter, 30_001), Err(Refusal::Skew));
        }
        assert_eq!(reader.refusals.of(Refusal::Replay), 3);
    }

    #[test]
    fn a_life_that_another_one_has_followed_is_not_heard_any_more() {
        let mut reader = post(2, 1, 7);
        let (mut first, mut second) = (post(1, 100, 7), post(1, 101, 7));
        let early = first.write(Body::Ask, WALL).unwrap();
        assert_eq!(read(&mut reader, &second.write(Body::Ask, WALL).unwrap(), 0), Ok(Body::Ask));
        assert_eq!(read(&mut reader, &early, 0), Err(Refusal::Stale));
    }

    #[test]
    fn another_key_is_counted_and_told_of_once() {
        let (mut other, mut reader) = (post(1, 1, 8), post(2, 1, 7));
        let news: Vec<_> = (0..5)
            .map(|_| {
                let letter = other.write(Body::Ask, WALL).unwrap();
                reader.read(&letter, [10, 0, 0, 1].into(), at(0)).unwrap_err()
            })
            .collect();
        assert_eq!(news[0], (Refusal::Key, true));
        assert!(news[1..].iter().all(|news| *news == (Refusal::Key, false)));
        assert_eq!(reader.refusals.of(Refusal::Key), 5);
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let mut sender = post(1, 1, 7);
        let nonces: BTreeSet<_> =
            (0..1_000).map(|_| sender.write(Body::Ask, WALL).unwrap()[12..36].to_vec()).collect();
        assert_eq!(nonces.len(), 1_000);
    }

    #[test]
    fn its_own_letters_come_to_nothing() {
        let mut sender = post(1, 1, 7);
        let own = sender.write(Body::Ask, WALL).unwrap();
        assert_eq!(read(&mut sender, &own, 0), Err(Refusal::Replay));
    }
}
