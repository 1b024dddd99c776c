//! A socket that announcements arrive at, for all clusters that are announced to there.
//!
//! It has no task of its own: whichever of its sources is asked reads what has
//! arrived, for all of them. So nothing runs that nobody waits for, and the socket is
//! closed with the last source.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use lb_core::Tick;
use tokio::{net::UdpSocket, sync::Notify, time::Instant};

use super::{
    datagram::{MAX_LENGTH, Sealed},
    group::{Group, listen},
    receiver::{Moment, Receiver},
    refusal::Refusal,
};
use crate::source::SourceError;

/// All inboxes of a process, so that sources at the same address share one, also those
/// of a configuration before and the one after.
#[derive(Clone, Debug, Default)]
pub struct Inboxes(Arc<Mutex<BTreeMap<SocketAddr, Weak<Inbox>>>>);

/// One socket, and who is told what arrives.
#[derive(Debug)]
pub(super) struct Inbox {
    bind: SocketAddr,
    start: Instant,
    open: Mutex<Open>,
    readers: Mutex<Vec<Weak<Reader>>>,
}

#[derive(Debug, Default)]
struct Open {
    socket: Option<Arc<UdpSocket>>,
    joined: BTreeSet<Group>,
}

/// The part of a source that others can reach.
#[derive(Debug)]
pub(super) struct Reader {
    receiver: Mutex<Receiver>,
    /// Somebody else has read something for it.
    pub(super) told: Notify,
}

impl Inboxes {
    pub(super) fn at(&self, bind: SocketAddr) -> Arc<Inbox> {
        let mut all = lock(&self.0);
        all.retain(|_, inbox| inbox.strong_count() > 0);
        if let Some(inbox) = all.get(&bind).and_then(Weak::upgrade) {
            return inbox;
        }
        let inbox = Arc::new(Inbox {
            bind,
            start: Instant::now(),
            open: Mutex::default(),
            readers: Mutex::default(),
        });
        all.insert(bind, Arc::downgrade(&inbox));
        inbox
    }
}

impl Inbox {
    /// Adds somebody who is told. It begins with what the last one of its cluster
    /// knows.
    pub(super) fn register(&self, mut receiver: Receiver) -> Arc<Reader> {
        let mut readers = lock(&self.readers);
        readers.retain(|reader| reader.strong_count() > 0);
        let living: Vec<_> = readers.iter().filter_map(Weak::upgrade).collect();
        for reader in living.iter().rev() {
            let other = reader.receiver();
            if other.cluster() == receiver.cluster() {
                receiver.adopt(&other);
                break;
            }
        }
        let reader = Arc::new(Reader { receiver: Mutex::new(receiver), told: Notify::new() });
        readers.push(Arc::downgrade(&reader));
        reader
    }

    /// The socket, opened if need be, which hears these groups.
    pub(super) fn socket(&self, groups: &[Group]) -> Result<Arc<UdpSocket>, SourceError> {
        let mut open = lock(&self.open);
        let socket = match &open.socket {
            Some(socket) => Arc::clone(socket),
            None => {
                let socket = listen(self.bind, !groups.is_empty()).map_err(|error| {
                    SourceError::new(format!("cannot listen on udp {}", self.bind)).because(error)
                })?;
                Arc::clone(open.socket.insert(Arc::new(socket)))
            }
        };
        for group in groups.iter().filter(|group| !open.joined.contains(group)) {
            group
                .join(&socket)
                .map_err(|error| SourceError::new(format!("cannot hear {group}")).because(error))?;
        }
        open.joined.extend(groups.iter().cloned());
        Ok(socket)
    }

    /// Where it listens, once it does.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        lock(&self.open).socket.as_ref()?.local_addr().ok()
    }

    /// Hands out what has arrived, for a while at most. Says whether that was all.
    pub(super) fn read(&self, socket: &UdpSocket) -> io::Result<bool> {
        let mut bytes = [0; MAX_LENGTH + 1];
        let readers: Vec<_> = lock(&self.readers).iter().filter_map(Weak::upgrade).collect();
        for _ in 0..AT_ONCE {
            match socket.try_recv_from(&mut bytes) {
                Ok((length, from)) => {
                    hand_out(&readers, &bytes[..length], from.ip().to_canonical(), self.now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // What a datagram sent earlier came to; nothing is sent here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    pub(super) fn now(&self) -> Moment {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        let tick = Tick::ZERO + Instant::now().saturating_duration_since(self.start);
        Moment { tick, unix_ms }
    }

    pub(super) fn instant(&self, at: Tick) -> Instant {
        self.start + at.since(Tick::ZERO)
    }
}

/// What is nobody's is counted by everybody.
fn hand_out(readers: &[Arc<Reader>], bytes: &[u8], from: IpAddr, now: Moment) {
    let refuse = |refusal| {
        for reader in readers {
            reader.receiver().refuse(refusal, from, now.tick);
            reader.told.notify_one();
        }
    };
    let Ok(sealed) = Sealed::parse(bytes) else { return refuse(Refusal::Malformed) };
    let mut is_taken = false;
    for reader in readers {
        let mut receiver = reader.receiver();
        if receiver.cluster() == sealed.cluster() {
            is_taken = true;
            // Counted there.
            let _ = receiver.hear(&sealed, from, now);
            reader.told.notify_one();
        }
    }
    if !is_taken {
        refuse(Refusal::Cluster);
    }
}

impl Reader {
    pub(super) fn receiver(&self) -> MutexGuard<'_, Receiver> {
        lock(&self.receiver)
    }
}

/// A panic while it was held leaves what was there before, or one datagram more.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many datagrams are read before anything else is done.
const AT_ONCE: usize = 64;
