//! Looking up the names of backends, one look-up per name at a time.
//!
//! A look-up blocks a thread, for as long as the resolver likes. If each connection
//! had its own, a slow resolver and a burst of requests would take hundreds of
//! threads. So those who want the same name share a look-up and what it found,
//! which is good for a [second](FRESH): failures, too.
//!
//! A resolver that hangs or fails says nothing about a backend. So the last addresses
//! hold until there are others; each look-up is given a little [time](PATIENCE) to find
//! some, once and not by each who waits for it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use lb_core::Tick;
use tokio::{sync::Notify, time::timeout};

use super::address::Address;
use crate::runtime::clock::Clock;

/// How long what was found, or not, is taken for granted.
const FRESH: Duration = Duration::from_secs(1);
/// How long a look-up may take before the addresses from before are used.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a name is remembered that nobody asks for. Connections may live for hours
/// before another is wanted.
const REMEMBERED: Duration = Duration::from_hours(24);

/// Asks the resolver.
type Ask = dyn Fn(Box<str>, u16) -> Answer;
type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;

/// The names one worker has looked up.
pub(crate) struct Names {
    clock: Rc<Clock>,
    ask: Box<Ask>,
    known: RefCell<HashMap<HostPort, Rc<Name>>>,
}

#[derive(Default)]
struct Name {
    /// When the last who wanted it came.
    wanted: Cell<Tick>,
    /// When the look-up began that is under way.
    asked: Cell<Option<Tick>>,
    /// When the last look-up ended.
    since: Cell<Option<Tick>>,
    /// What the last one that found something found.
    addresses: RefCell<Option<Rc<[SocketAddr]>>>,
    /// Why the last one found nothing.
    error: RefCell<Option<Error>>,
    done: Notify,
}

type HostPort = (Box<str>, u16);

/// The parts of an error, which cannot be cloned.
type Error = (io::ErrorKind, Rc<str>);

impl Names {
    pub(crate) fn new(clock: Rc<Clock>) -> Self {
        let ask = |host: Box<str>, port| -> Answer {
            Box::pin(async move { Ok(tokio::net::lookup_host((&*host, port)).await?.collect()) })
        };
        Self::asking(clock, Box::new(ask))
    }

    pub(super) fn asking(clock: Rc<Clock>, ask: Box<Ask>) -> Self {
        Self { clock, ask, known: RefCell::default() }
    }

    /// What a name stands for, or has stood for; never nothing. Waits for as long as the
    /// resolver likes where nothing was ever found. Cancel-safe: a look-up goes on for
    /// others.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> io::Result<Rc<[SocketAddr]>> {
        let now = self.clock.now();
        let name = self.name(host, port, now);
        if name.asked.get().is_none() && !name.is_fresh(now) {
            name.asked.set(Some(now));
            let answer = (self.ask)(host.into(), port);
            let (name, clock) = (Rc::clone(&name), Rc::clone(&self.clock));
            tokio::task::spawn_local(async move { name.learn(answer.await, clock.now()) });
        }
        if let Some(began) = name.asked.get() {
            let done = name.done.notified();
            let has_earlier = name.addresses.borrow().is_some();
            match PATIENCE.checked_sub(now.since(began)) {
                _ if !has_earlier => done.await,
                Some(left) => drop(timeout(left, done).await),
                None => {}
            }
        }
        name.found()
    }

    /// Whether a backend's address is a name for which no address was ever found.
    pub(crate) fn lacks(&self, address: &str) -> bool {
        let Ok(Address::Name { host, port }) = address.parse() else { return false };
        let known = self.known.borrow();
        known.get(&(host, port)).is_none_or(|name| name.addresses.borrow().is_none())
    }

    fn name(&self, host: &str, port: u16, now: Tick) -> Rc<Name> {
        let mut known = self.known.borrow_mut();
        let host_port = (host.into(), port);
        if !known.contains_key(&host_port) {
            let is_wanted = |name: &Name| now.since(name.wanted.get()) < REMEMBERED;
            known.retain(|_, name| name.asked.get().is_some() || is_wanted(name));
        }
        let name = known.entry(host_port).or_default();
        name.wanted.set(now);
        Rc::clone(name)
    }
}

impl Name {
    fn is_fresh(&self, now: Tick) -> bool {
        self.since.get().is_some_and(|since| now.since(since) < FRESH)
    }

    fn learn(&self, answer: io::Result<Vec<SocketAddr>>, now: Tick) {
        match answer {
            Ok(addresses) if addresses.is_empty() => {
                *self.error.borrow_mut() = Some((io::ErrorKind::NotFound, "no address".into()));
            }
            Ok(addresses) => *self.addresses.borrow_mut() = Some(addresses.into()),
            Err(error) => {
                *self.error.borrow_mut() = Some((error.kind(), error.to_string().into()));
            }
        }
        self.since.set(Some(now));
        self.asked.set(None);
        self.done.notify_waiters();
    }

    fn found(&self) -> io::Result<Rc<[SocketAddr]>> {
        if let Some(addresses) = &*self.addresses.borrow() {
            return Ok(Rc::clone(addresses));
        }
        Err(match &*self.error.borrow() {
            Some((kind, text)) => io::Error::new(*kind, text.to_string()),
            None => io::ErrorKind::NotFound.into(),
        })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.borrow().keys()).finish()
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

    /// A resolver that finds, fails or hangs as it is told, and counts.
    #[derive(Clone)]
    struct Moody {
        mood: Rc<Cell<Mood>>,
        asked: Rc<Cell<usize>>,
    }

    #[derive(Clone, Copy)]
    enum Mood {
        Finds(u8),
        FindsNothing,
        Fails,
        Hangs,
    }

    impl Moody {
        fn names(mood: Mood) -> (Self, Names) {
            let moody = Self { mood: Rc::new(Cell::new(mood)), asked: Rc::default() };
            let resolver = moody.clone();
            let ask = move |_: Box<str>, port: u16| -> Answer {
                resolver.asked.set(resolver.asked.get() + 1);
                let mood = resolver.mood.get();
                Box::pin(async move {
                    match mood {
                        Mood::Finds(last) => Ok(vec![([10, 0, 0, last], port).into()]),
                        Mood::FindsNothing => Ok(Vec::new()),
                        Mood::Fails => Err(io::Error::other("no such name")),
                        Mood::Hangs => std::future::pending().await,
                    }
                })
            };
            (moody, Names::asking(Rc::new(Clock::new()), Box::new(ask)))
        }
    }

    /// What is known of `web` is not fresh any more.
    fn age(names: &Names) {
        names.known.borrow()[&("web".into(), 80)].since.set(None);
    }

    async fn found(names: &Names) -> String {
        match timeout(Duration::from_secs(60), names.resolve("web", 80)).await {
            Ok(Ok(addresses)) => format!("{addresses:?}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "nothing in time".to_owned(),
        }
    }

    fn with_paused_time(test: impl Future<Output = ()>) {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true);
        runtime.build_local(LocalOptions::default()).unwrap().block_on(test);
    }

    #[test]
    fn earlier_addresses_hold_while_the_resolver_fails_or_hangs() {
        with_paused_time(async {
            let (resolver, names) = Moody::names(Mood::Finds(1));
            assert!(names.lacks("web:80"));
            assert_eq!(found(&names).await, "[10.0.0.1:80]");
            for mood in [Mood::Fails, Mood::FindsNothing, Mood::Hangs] {
                resolver.mood.set(mood);
                age(&names);
                assert_eq!(found(&names).await, "[10.0.0.1:80]");
            }
            // The one that hangs is not joined by others, who wait for it but shortly.
            let began = tokio::time::Instant::now();
            for _ in 0..10 {
                assert_eq!(found(&names).await, "[10.0.0.1:80]");
            }
            assert!(began.elapsed() < 20 * PATIENCE);
            assert_eq!(resolver.asked.get(), 4);
            assert!(!names.lacks("web:80") && !names.lacks("10.0.0.1:80"));
        });
    }

    #[test]
    fn other_addresses_are_used_at_once() {
        with_paused_time(async {
            let (resolver, names) = Moody::names(Mood::Finds(1));
            found(&names).await;
            resolver.mood.set(Mood::Finds(2));
            assert_eq!(found(&names).await, "[10.0.0.1:80]", "it is fresh");
            age(&names);
            assert_eq!(found(&names).await, "[10.0.0.2:80]");
        });
    }

    #[test]
    fn what_was_never_found_is_waited_for() {
        with_paused_time(async {
            let (resolver, names) = Moody::names(Mood::Fails);
            assert_eq!(found(&names).await, "no such name");
            resolver.mood.set(Mood::Hangs);
            age(&names);
            assert_eq!(found(&names).await, "nothing in time");
            assert!(names.lacks("web:80"));
        });
    }

    #[test]
    fn a_name_is_remembered_while_others_are_looked_up() {
        with_paused_time(async {
            let (resolver, names) = Moody::names(Mood::Finds(1));
            found(&names).await;
            age(&names);
            names.resolve("other", 80).await.unwrap();
            resolver.mood.set(Mood::Fails);
            assert_eq!(found(&names).await, "[10.0.0.1:80]");
        });
    }
}
