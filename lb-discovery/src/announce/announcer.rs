//! What a node sends: its record once an interval, and three goodbyes.
//!
//! Where one of twenty datagrams is lost, three in a row are lost once in two hours;
//! twenty nodes would lose one every six minutes. So each is sent twice. The interval varies by a fifth, so that nodes which were started together do not
//! speak together for ever. What cannot be sent is sent the next time; whoever runs an
//! announcer hears of it and decides.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lb_core::sample::mix;
use tokio::{
    net::{UdpSocket, lookup_host},
    time::{Instant, sleep, timeout},
};

use super::{
    datagram::{Datagram, MAX_TTL},
    group::{Group, Interface, any_like, speak},
    key::{Key, KeyId},
    record::{Record, State},
    refusal::Malformed,
};

/// Whom to tell: `host:port`, of which all addresses are told, or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A host or a multicast group, and a port.
    pub to: Box<str>,
    /// Through which interface a group is reached.
    pub interface: Option<Interface>,
}

/// Announces one backend.
#[derive(Debug)]
pub struct Announcer {
    key: Key,
    record: Record,
    targets: Vec<Told>,
    interval: Duration,
    from: Option<IpAddr>,
    boot_id: u64,
    number: u64,
}

#[derive(Debug)]
struct Told {
    target: Target,
    /// Where it was found last,
    addresses: Vec<SocketAddr>,
    /// and when.
    found: Option<Instant>,
}

impl Announcer {
    /// Announces this record to all targets. `boot_id` is fresh entropy.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the record is too long, or the interval.
    pub fn new(
        key: Key,
        record: Record,
        targets: Vec<Target>,
        interval: Duration,
        boot_id: u64,
    ) -> Result<Self, Malformed> {
        let told = |target| Told { target, addresses: Vec::new(), found: None };
        let targets = targets.into_iter().map(told).collect();
        let mut announcer = Self { key, record, targets, interval, from: None, boot_id, number: 0 };
        announcer.datagram(State::Up)?;
        Ok(announcer)
    }

    /// Sends from this address of this machine.
    #[must_use]
    pub fn from(mut self, address: IpAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// What it says.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What its key is called.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key.id()
    }

    /// The longest time between two datagrams: three are sent before the time of the
    /// first is over.
    #[must_use]
    pub fn longest_interval() -> Duration {
        MAX_TTL / 3
    }

    /// Announces it once: two datagrams, since one may be lost. Says whom they could not
    /// be sent to.
    ///
    /// # Errors
    ///
    /// As of [`Self::send`].
    pub async fn beat(&mut self, state: State) -> io::Result<()> {
        let first = self.send(state).await;
        sleep(BETWEEN).await;
        self.send(state).await.and(first)
    }

    /// Sends one datagram to everybody.
    ///
    /// # Errors
    ///
    /// The first one that failed; the others were sent.
    pub async fn send(&mut self, state: State) -> io::Result<()> {
        let datagram = self.datagram(state).map_err(io::Error::other)?;
        let mut failed = None;
        for told in &mut self.targets {
            // A goodbye does not wait for a name: whom it concerns was told before.
            let is_known = state == State::Down && !told.addresses.is_empty();
            if !is_known && let Err(error) = told.find(self.interval).await {
                failed = failed.or(Some(error));
            }
            for address in &told.addresses {
                if let Err(error) = told.send(&datagram, *address, self.from).await {
                    let text = format!("cannot send to {address}: {error}");
                    failed = failed.or_else(|| Some(io::Error::new(error.kind(), text)));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Says goodbye three times, since one may be lost.
    ///
    /// # Errors
    ///
    /// As of [`Self::send`].
    pub async fn leave(&mut self) -> io::Result<()> {
        let mut sent = self.send(State::Down).await;
        for _ in 0..2 {
            sleep(BETWEEN).await;
            sent = self.send(State::Down).await.or(sent);
        }
        sent
    }

    /// How long to wait before the next one.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let fifth = self.interval / 5;
        let part = u32::try_from(mix(self.boot_id ^ self.number) >> 48).unwrap_or_default();
        self.interval - fifth + fifth * 2 * part / u32::from(u16::MAX)
    }

    fn datagram(&mut self, state: State) -> Result<Vec<u8>, Malformed> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.number += 1;
        let datagram = Datagram {
            boot_id: self.boot_id,
            number: self.number,
            sent_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            ttl: self.interval * 3,
            record: Record { state, ..self.record.clone() },
        };
        datagram.seal(&self.key)
    }
}

impl Told {
    /// Asks for its addresses, now and then. Those from before are good enough while nobody answers.
    async fn find(&mut self, patience: Duration) -> io::Result<()> {
        if self.found.is_some_and(|at| at.elapsed() < FOUND_FOR) {
            return Ok(());
        }
        let failed = match timeout(patience, lookup_host(&*self.target.to)).await {
            Ok(Ok(found)) => {
                self.addresses = found.collect();
                self.found = Some(Instant::now());
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::from(io::ErrorKind::TimedOut),
        };
        let text = format!("cannot find {}: {failed}", self.target.to);
        Err(io::Error::new(failed.kind(), text))
    }

    async fn send(&self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let from = from.filter(|from| from.is_ipv4() == to.is_ipv4());
        let socket = speak(from.map_or_else(|| any_like(to), |from| SocketAddr::new(from, 0)))?;
        if to.ip().is_multicast() {
            let interface = self.target.interface.clone();
            Group { address: to.ip(), interface }.reach(&socket)?;
        }
        send_all(&socket, bytes, to).await
    }
}

async fn send_all(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    let sent = socket.send_to(bytes, to).await?;
    if sent == bytes.len() { Ok(()) } else { Err(io::Error::other("it was cut off")) }
}

/// What comes within a burst that is lost is lost with it.
const BETWEEN: Duration = Duration::from_millis(20);

/// A balancer that moves is found again within this time.
const FOUND_FOR: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::{datagram::Sealed, record::Place};

    fn announcer(to: SocketAddr) -> Announcer {
        let target = Target { to: to.to_string().into(), interface: None };
        let record = Record::new("c", Place::Port(80));
        let key = Key::new([7; 32]);
        Announcer::new(key, record, vec![target], Duration::from_secs(1), 1).unwrap()
    }

    #[test]
    fn pauses_are_spread_over_a_fifth_around_the_interval() {
        let mut announcer = announcer(([127, 0, 0, 1], 9).into());
        let pauses: Vec<_> = (0..1_000)
            .map(|number| {
                announcer.number = number;
                announcer.pause().as_millis()
            })
            .collect();
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!((800..820).contains(least) && (1_180..=1_200).contains(most), "{least} {most}");
    }

    #[tokio::test]
    async fn what_is_sent_can_be_opened_and_a_goodbye_comes_three_times() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut announcer = announcer(socket.local_addr().unwrap());
        announcer.send(State::Up).await.unwrap();
        announcer.leave().await.unwrap();
        let mut heard = Vec::new();
        for _ in 0..4 {
            let mut bytes = [0; 1_500];
            let (length, _) = socket.recv_from(&mut bytes).await.unwrap();
            let sealed = Sealed::parse(&bytes[..length]).unwrap();
            let datagram = sealed.open(&Key::new([7; 32])).unwrap();
            assert_eq!(datagram.ttl, Duration::from_secs(3));
            heard.push((datagram.number, datagram.record.state));
        }
        // One was made to see whether the record fits.
        let (up, down) = (State::Up, State::Down);
        assert_eq!(heard, [(2, up), (3, down), (4, down), (5, down)]);
    }

    #[tokio::test]
    async fn a_goodbye_goes_to_where_it_was_found_without_looking_again() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = socket.local_addr().unwrap();
        let mut announcer = announcer(to);
        let target = Target { to: "no-such-host.invalid:1".into(), interface: None };
        announcer.targets = vec![Told { target, addresses: vec![to], found: None }];
        announcer.leave().await.unwrap();
        assert!(socket.recv_from(&mut [0; 1_500]).await.is_ok());
    }

    #[tokio::test]
    async fn one_that_cannot_be_found_is_named_and_the_others_are_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut announcer = announcer(socket.local_addr().unwrap());
        let nowhere = Target { to: "no-such-host.invalid:1".into(), interface: None };
        announcer.targets.insert(0, Told { target: nowhere, addresses: Vec::new(), found: None });
        let error = announcer.send(State::Up).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot find no-such-host.invalid:1: "), "{error}");
        assert!(socket.recv_from(&mut [0; 1_500]).await.is_ok());
    }
}
