//! Which listeners a proxy has, and which of them the next service has, too.
//!
//! A listener is known by the address it was asked to bind: same address, same
//! listener, whatever its other settings. Port 0 is an address like any other, and
//! where one occurs several times, the first is the first, the second the second.
//!
//! All that is new is bound before anything is changed, so that a service that cannot
//! be had costs the present one nothing. What makes this safe between processes, the
//! trial in [`bind`], would find our own sockets where a listener only changes from
//! one interface to all; there it is left out.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicUsize},
};

use super::{
    plan::{ListenerId, OpenedListener},
    progress::{Progress, Version},
    start_error::StartError,
};
use crate::listen::{ListenerSettings, bind, bind_beside};

/// What a reload did to the listeners, by the addresses they really have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerChanges {
    /// They listen as before, with their new settings.
    pub kept: Vec<SocketAddr>,
    /// They are new.
    pub opened: Vec<SocketAddr>,
    /// They listen no more.
    pub closed: Vec<SocketAddr>,
}

/// The listeners of the present service, in its order.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: Vec<BoundListener>,
    /// Where workers may still listen that have not taken up this version yet.
    closing: Vec<(Version, SocketAddr)>,
    ids: u64,
}

#[derive(Debug, Clone, Copy)]
struct BoundListener {
    id: ListenerId,
    asked: SocketAddr,
    address: SocketAddr,
}

/// What the listeners will be when this is put into force.
#[derive(Debug)]
pub(super) struct NextListeners {
    open: Vec<BoundListener>,
    changes: ListenerChanges,
    opened: Vec<Vec<OpenedListener>>,
}

/// What the listeners are now.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) listeners: Arc<[ListenerId]>,
    pub(super) changes: ListenerChanges,
    /// For each worker the sockets that are new to it.
    pub(super) opened: Vec<Vec<OpenedListener>>,
}

impl Listeners {
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.open.iter().map(|listener| listener.address).collect()
    }

    /// Binds what is new in `wanted`, once per worker. On an error nothing is left
    /// behind.
    pub(super) fn prepare(
        &mut self,
        wanted: &[ListenerSettings],
        workers: NonZeroUsize,
        progress: &Progress,
    ) -> Result<NextListeners, StartError> {
        self.closing.retain(|(version, _)| !progress.have_all(*version));
        let asked: Vec<_> = wanted.iter().map(|settings| settings.bind).collect();
        let before: Vec<_> = self.open.iter().map(|listener| listener.asked).collect();
        let same = find_same(&before, &asked);
        let address = |at: usize| self.open[at].address;
        let closed = (0..before.len()).filter(|at| !same.contains(&Some(*at)));
        let mut next = NextListeners {
            open: Vec::new(),
            changes: ListenerChanges {
                kept: same.iter().flatten().copied().map(address).collect(),
                opened: Vec::new(),
                closed: closed.map(address).collect(),
            },
            opened: (0..workers.get()).map(|_| Vec::new()).collect(),
        };
        for (settings, same) in wanted.iter().zip(same) {
            let listener = match same {
                Some(at) => self.open[at],
                None => self.open(settings, &mut next, workers)?,
            };
            next.open.push(listener);
        }
        Ok(next)
    }

    fn open(
        &mut self,
        settings: &ListenerSettings,
        next: &mut NextListeners,
        workers: NonZeroUsize,
    ) -> Result<BoundListener, StartError> {
        let asked = settings.bind;
        let collides = |ours: &SocketAddr| collide(*ours, asked);
        let mut closing = self.closing.iter().map(|(_, address)| address);
        let changes = &mut next.changes;
        let closes = closing.any(collides) || changes.closed.iter().any(collides);
        let stays = changes.kept.iter().chain(&changes.opened).any(collides);
        let bind = if closes && !stays { bind_beside } else { bind };
        let failed = |error| StartError::bind(asked, error);
        let sockets = bind(asked, workers).map_err(failed)?;
        let address = sockets[0].local_addr().map_err(failed)?;
        changes.opened.push(address);
        self.ids += 1;
        let (id, places) = (ListenerId(self.ids), Arc::<AtomicUsize>::default());
        for (opened, socket) in next.opened.iter_mut().zip(sockets) {
            let (settings, places) = (settings.clone(), Arc::clone(&places));
            opened.push(OpenedListener { id, address, socket, settings, places });
        }
        Ok(BoundListener { id, asked, address })
    }

    /// Puts what was prepared into force, as this version.
    pub(super) fn commit(&mut self, next: NextListeners, version: Version) -> Committed {
        let NextListeners { open, changes, opened } = next;
        self.open = open;
        self.closing.extend(changes.closed.iter().map(|address| (version, *address)));
        let listeners = self.open.iter().map(|listener| listener.id).collect();
        Committed { listeners, changes, opened }
    }
}

/// For each address that is wanted, which of those before it is.
fn find_same(before: &[SocketAddr], wanted: &[SocketAddr]) -> Vec<Option<usize>> {
    let mut found = vec![None; wanted.len()];
    for (at, address) in before.iter().enumerate() {
        let free =
            |(wanted, found): (&SocketAddr, &Option<usize>)| wanted == address && found.is_none();
        if let Some(place) = wanted.iter().zip(&found).position(free) {
            found[place] = Some(at);
        }
    }
    found
}

/// Whether the system takes two addresses for one where their sockets do not agree to
/// share it. The families are apart.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && overlap
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(of: &[&str]) -> Vec<SocketAddr> {
        of.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_listener_is_known_by_its_address_wherever_it_stands() {
        let before = addresses(&["1.1.1.1:80", "1.1.1.1:81", "[::1]:80"]);
        let wanted = addresses(&["[::1]:80", "1.1.1.2:80", "1.1.1.1:80"]);
        assert_eq!(find_same(&before, &wanted), [Some(2), None, Some(0)]);
        assert_eq!(find_same(&[], &wanted), [None; 3]);
        assert_eq!(find_same(&before, &[]), []);
    }

    #[test]
    fn ports_that_the_system_chose_are_known_by_their_position_per_interface() {
        let before = addresses(&["1.1.1.1:0", "2.2.2.2:0", "1.1.1.1:0"]);
        let wanted = addresses(&["2.2.2.2:0", "1.1.1.1:0", "2.2.2.2:0"]);
        assert_eq!(find_same(&before, &wanted), [Some(1), Some(0), None]);
        let wanted = addresses(&["1.1.1.1:0", "1.1.1.1:0", "1.1.1.1:0"]);
        assert_eq!(find_same(&before, &wanted), [Some(0), Some(2), None]);
    }

    #[test]
    fn all_interfaces_collide_with_each_of_their_family() {
        let collide = |one: &str, other: &str| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(collide(one, other), collide(other, one));
            collide(one, other)
        };
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collide("[::]:80", "[::1]:80"));
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collide("0.0.0.0:80", "127.0.0.1:81"));
        assert!(!collide("0.0.0.0:80", "[::1]:80"));
    }

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    fn prepared(listeners: &mut Listeners, of: &[SocketAddr]) -> Result<NextListeners, StartError> {
        let wanted: Vec<_> = of.iter().map(|address| ListenerSettings::new(*address)).collect();
        listeners.prepare(&wanted, ONE, &Progress::new(1))
    }

    #[test]
    fn what_cannot_be_had_leaves_nothing_behind() {
        let (mut listeners, mut others) = (Listeners::default(), Listeners::default());
        let free = addresses(&["127.0.0.1:0"]);
        let theirs = prepared(&mut others, &free).unwrap();
        let theirs = (others.commit(theirs, 1), others.addresses());
        let ours = prepared(&mut listeners, &free).unwrap();
        let ours = listeners.commit(ours, 1);
        let wanted = [free[0], free[0], theirs.1[0]];
        let refused = prepared(&mut listeners, &wanted).unwrap_err();
        assert!(matches!(refused, StartError::Bind { address, .. } if address == theirs.1[0]));
        assert_eq!(listeners.addresses(), ours.changes.opened);
        let same = prepared(&mut listeners, &free).unwrap();
        assert_eq!(same.changes.kept, ours.changes.opened);
        assert!(same.opened[0].is_empty());
    }

    #[test]
    fn a_listener_may_go_from_one_interface_to_all_while_it_is_still_open() {
        let mut listeners = Listeners::default();
        let first = prepared(&mut listeners, &addresses(&["127.0.0.1:0"])).unwrap();
        let _sockets = listeners.commit(first, 1);
        let address = listeners.addresses()[0];
        let all = SocketAddr::from(([0, 0, 0, 0], address.port()));
        let next = prepared(&mut listeners, &[all]).unwrap();
        assert_eq!((&next.changes.closed, &next.changes.opened), (&vec![address], &vec![all]));
        let _sockets = (_sockets, listeners.commit(next, 2));
        // No worker has closed the first one yet.
        assert!(prepared(&mut listeners, &[address]).is_ok());
        // Nobody may be on an address twice for that.
        assert!(prepared(&mut listeners, &[address, address]).is_err());
    }
}
