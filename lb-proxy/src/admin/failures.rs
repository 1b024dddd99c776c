//! Who guesses tokens is made to wait.
//!
//! Five wrong tokens a minute from one peer; after that nothing it says is looked at
//! until the minute is over, a right token neither: else an answer would still tell
//! right from wrong. So whoever shares an address with a guesser waits with him; the
//! Unix socket, which needs no token, stays open.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong tokens of one peer that are answered in a [`WINDOW`].
const MOST: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Peers that are remembered. Beyond, the oldest is forgotten.
const PEERS: usize = 4096;

/// How often whom has failed.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Failed>>);

#[derive(Debug, Clone, Copy)]
struct Failed {
    since: Instant,
    count: u32,
}

impl Failures {
    /// How long this peer has to wait.
    pub(super) fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let failed = *self.lock().get(&network(peer))?;
        let left = WINDOW.checked_sub(now.saturating_duration_since(failed.since))?;
        (failed.count >= MOST && !left.is_zero()).then_some(left)
    }

    /// Notes a wrong token.
    pub(super) fn add(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.lock();
        if peers.len() >= PEERS {
            peers.retain(|_, failed| now.saturating_duration_since(failed.since) < WINDOW);
        }
        if peers.len() >= PEERS
            && let Some(oldest) = peers.iter().min_by_key(|(_, one)| one.since).map(|(ip, _)| *ip)
        {
            peers.remove(&oldest);
        }
        let failed = peers.entry(network(peer)).or_insert(Failed { since: now, count: 0 });
        if now.saturating_duration_since(failed.since) >= WINDOW {
            *failed = Failed { since: now, count: 0 };
        }
        failed.count += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has one IPv6 address has 2⁶⁴ of them, and who is on this machine has all of
/// 127.0.0.0/8.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_wrong_token_of_a_minute_is_not_looked_at() {
        let (failures, start) = (Failures::default(), Instant::now());
        let peer: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..MOST {
            assert_eq!(failures.wait(peer, start), None);
            failures.add(peer, start);
        }
        let neighbour = "2001:db8::2".parse().unwrap();
        assert_eq!(failures.wait(neighbour, start), Some(WINDOW), "of the same network");
        assert_eq!(failures.wait("2001:db8:0:1::1".parse().unwrap(), start), None);
        assert_eq!(failures.wait(peer, start + WINDOW), None);
        failures.add(peer, start + WINDOW);
        assert_eq!(failures.wait(peer, start + WINDOW), None, "it begins again");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (failures, start) = (Failures::default(), Instant::now());
        for number in 0..u32::try_from(PEERS).unwrap() + 100 {
            let later = start + Duration::from_micros(u64::from(number));
            failures.add(IpAddr::V4(number.into()), later);
        }
        assert_eq!(failures.lock().len(), PEERS);
        assert!(!failures.lock().contains_key(&IpAddr::V4(0.into())), "the oldest goes first");
    }
}
