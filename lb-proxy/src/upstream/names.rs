//! Looking up the names of backends, one lookup per name at a time.
//!
//! A lookup blocks a thread, for as long as the resolver likes. If each connection
//! had its own, a slow resolver and a burst of requests would take hundreds of
//! threads. So those who want the same name share a lookup and what it found,
//! which is good for a [second](FRESH): failures, too.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use lb_core::Tick;
use tokio::sync::Notify;

use crate::runtime::clock::Clock;

/// How long an answer is taken for granted.
const FRESH: Duration = Duration::from_secs(1);

/// The names one worker has looked up.
#[derive(Debug)]
pub(crate) struct Names {
    clock: Rc<Clock>,
    known: RefCell<HashMap<HostPort, Rc<Name>>>,
}

#[derive(Debug, Default)]
struct Name {
    running: Cell<bool>,
    found: RefCell<Option<(Tick, Found)>>,
    done: Notify,
}

type HostPort = (Box<str>, u16);

/// An error is kept as its parts: it cannot be cloned.
type Found = Result<Rc<[SocketAddr]>, (io::ErrorKind, Rc<str>)>;

impl Names {
    pub(crate) fn new(clock: Rc<Clock>) -> Self {
        Self { clock, known: RefCell::default() }
    }

    /// What a name stands for. Cancel-safe: a lookup goes on for others.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> io::Result<Rc<[SocketAddr]>> {
        let name = self.name(host, port);
        loop {
            if let Some((since, found)) = &*name.found.borrow()
                && self.clock.now().since(*since) < FRESH
            {
                let failed = |(kind, text): &(io::ErrorKind, Rc<str>)| {
                    io::Error::new(*kind, text.to_string())
                };
                return found.as_ref().map(Rc::clone).map_err(failed);
            }
            if !name.running.replace(true) {
                let (host, name, clock) = (host.into(), Rc::clone(&name), Rc::clone(&self.clock));
                tokio::task::spawn_local(async move { name.look_up(host, port, &clock).await });
            }
            name.done.notified().await;
        }
    }

    fn name(&self, host: &str, port: u16) -> Rc<Name> {
        let now = self.clock.coarse();
        let is_fresh = |name: &Name| {
            let found = name.found.borrow();
            found.as_ref().is_some_and(|(since, _)| now.since(*since) < FRESH)
        };
        let mut known = self.known.borrow_mut();
        // Names that nobody asks for any more are forgotten.
        known.retain(|_, name| name.running.get() || is_fresh(name));
        Rc::clone(known.entry((host.into(), port)).or_default())
    }
}

impl Name {
    async fn look_up(&self, host: Box<str>, port: u16, clock: &Clock) {
        let found = tokio::net::lookup_host((&*host, port)).await;
        let found = found
            .map(|addresses| addresses.collect())
            .map_err(|error| (error.kind(), error.to_string().into()));
        *self.found.borrow_mut() = Some((clock.now(), found));
        self.running.set(false);
        self.done.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    #[test]
    fn those_who_want_the_same_name_share_a_lookup() {
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let names = Names::new(Rc::new(Clock::new()));
            let (one, two) =
                tokio::join!(names.resolve("localhost", 80), names.resolve("localhost", 80));
            let three = names.resolve("localhost", 80).await.unwrap();
            assert!(Rc::ptr_eq(&one.unwrap(), &three) && Rc::ptr_eq(&two.unwrap(), &three));
            assert!(three.iter().any(|address| address.ip().is_loopback()));
            let other = names.resolve("localhost", 81).await.unwrap();
            assert!(other.iter().all(|address| address.port() == 81));
        });
    }

    #[test]
    fn a_failed_lookup_is_an_error_for_everybody() {
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let names = Names::new(Rc::new(Clock::new()));
            // No resolver is asked for what cannot be a name.
            for _ in 0..2 {
                assert!(names.resolve("not\0a name", 80).await.is_err());
            }
        });
    }
}
