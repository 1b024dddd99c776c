//! Where to connect, for backends that are known by name.
//!
//! A look-up blocks a thread for as long as the resolver likes, whoever still waits
//! for it. If each check had its own, a resolver that hangs would take all threads
//! there are for that, and every backend with a name down. But a resolver that hangs
//! or fails says nothing about a backend. So checks share one look-up per name, few
//! of them run at a time, and the last addresses hold until there are others.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use lb_core::Tick;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{
    runtime::clock::now,
    upstream::{Address, AddressError},
};

/// How long what was found, or not, is taken for granted.
const FRESH: Duration = Duration::from_secs(1);
/// How long to wait for other addresses than those from before.
const PATIENCE: Duration = Duration::from_millis(100);
/// Look-ups under way at a time.
const AT_A_TIME: usize = 32;

/// Asks the resolver.
type Ask = dyn Fn(Box<str>) -> Answer + Send + Sync;
type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// All names that are looked up.
pub(super) struct Names {
    known: HashMap<Box<str>, Weak<Name>>,
    resolver: Arc<Resolver>,
}

struct Resolver {
    ask: Box<Ask>,
    permits: Semaphore,
}

/// Where a backend is checked.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Socket(SocketAddr),
    Named(Arc<Name>, u16),
    Nowhere(AddressError),
}

/// A name, for as long as somebody is checked under it.
pub(super) struct Name {
    host: Box<str>,
    resolver: Arc<Resolver>,
    known: watch::Sender<Known>,
}

#[derive(Default)]
struct Known {
    is_asked: bool,
    /// When the last look-up ended.
    since: Option<Tick>,
    /// What the last one that found something found.
    addresses: Option<Arc<[IpAddr]>>,
    /// Why the last one found nothing.
    error: Option<Arc<str>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::asking(Box::new(|host| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((&*host, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        }))
    }
}

impl Names {
    fn asking(ask: Box<Ask>) -> Self {
        let resolver = Arc::new(Resolver { ask, permits: Semaphore::new(AT_A_TIME) });
        Self { known: HashMap::new(), resolver }
    }

    /// Where `address` is. Looks nothing up yet.
    pub(super) fn place(&mut self, address: &str) -> Place {
        match address.parse() {
            Ok(Address::Socket(address)) => Place::Socket(address),
            Ok(Address::Name { host, port }) => Place::Named(self.name(host), port),
            Err(error) => Place::Nowhere(error),
        }
    }

    fn name(&mut self, host: Box<str>) -> Arc<Name> {
        if let Some(name) = self.known.get(&host).and_then(Weak::upgrade) {
            return name;
        }
        self.known.retain(|_, name| name.strong_count() > 0);
        let (resolver, known) = (Arc::clone(&self.resolver), watch::Sender::default());
        let name = Arc::new(Name { host: host.clone(), resolver, known });
        self.known.insert(host, Arc::downgrade(&name));
        name
    }
}

impl Place {
    /// Where to connect. Waits for a look-up no longer than `patience`, and hardly at
    /// all if one before has found something. An error is the end of a sentence.
    pub(super) async fn addresses(&self, patience: Duration) -> Result<Vec<SocketAddr>, Arc<str>> {
        match self {
            Self::Socket(address) => Ok(vec![*address]),
            Self::Named(name, port) => {
                let addresses = name.addresses(patience).await?;
                Ok(addresses.iter().map(|address| (*address, *port).into()).collect())
            }
            Self::Nowhere(error) => Err(error.to_string().into()),
        }
    }
}

impl Name {
    async fn addresses(self: &Arc<Self>, patience: Duration) -> Result<Arc<[IpAddr]>, Arc<str>> {
        let mut known = self.known.subscribe();
        self.look_up_if_stale();
        let has_earlier = known.borrow().addresses.is_some();
        let patience = if has_earlier { patience.min(PATIENCE) } else { patience };
        let _ = timeout(patience, known.wait_for(|known| !known.is_asked)).await;
        let known = known.borrow();
        match (&known.addresses, &known.error) {
            (Some(addresses), _) => Ok(Arc::clone(addresses)),
            (None, Some(error)) => Err(format!("cannot look up {}: {error}", self.host).into()),
            (None, None) => {
                Err(format!("looking up {} takes longer than {patience:?}", self.host).into())
            }
        }
    }

    fn look_up_if_stale(self: &Arc<Self>) {
        let begins = self.known.send_if_modified(|known| {
            let is_fresh = known.since.is_some_and(|since| now().since(since) < FRESH);
            let begins = !known.is_asked && !is_fresh;
            known.is_asked |= begins;
            begins
        });
        if begins {
            let name = Arc::clone(self);
            tokio::spawn(async move { name.look_up().await });
        }
    }

    async fn look_up(&self) {
        let permit = self.resolver.permits.acquire().await;
        let found = (self.resolver.ask)(self.host.clone()).await;
        drop(permit);
        self.known.send_modify(|known| {
            known.is_asked = false;
            known.since = Some(now());
            match found {
                Ok(addresses) if addresses.is_empty() => known.error = Some("no address".into()),
                Ok(addresses) => known.addresses = Some(addresses.into()),
                Err(error) => known.error = Some(error.to_string().into()),
            }
        });
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a resolver does now.
    #[derive(Clone, Copy)]
    enum Mood {
        Finds(u8),
        Fails,
        Hangs,
    }

    struct Moody {
        mood: Arc<Mutex<Mood>>,
        asked: Arc<AtomicUsize>,
        names: Names,
    }

    impl Moody {
        fn new(mood: Mood) -> Self {
            let (mood, asked) = (Arc::new(Mutex::new(mood)), Arc::<AtomicUsize>::default());
            let (moods, count) = (Arc::clone(&mood), Arc::clone(&asked));
            let ask = move |_: Box<str>| -> Answer {
                count.fetch_add(1, Ordering::Relaxed);
                let mood = *moods.lock().unwrap();
                Box::pin(async move {
                    match mood {
                        Mood::Finds(last) => Ok(vec![IpAddr::from([10, 0, 0, last])]),
                        Mood::Fails => Err(io::Error::other("no such name")),
                        Mood::Hangs => pending().await,
                    }
                })
            };
            Self { mood, asked, names: Names::asking(Box::new(ask)) }
        }

        fn is(&self, mood: Mood) {
            *self.mood.lock().unwrap() = mood;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    /// What is known of `place` is not fresh any more.
    fn age(place: &Place) {
        let Place::Named(name, _) = place else { panic!("{place:?}") };
        name.known.send_modify(|known| known.since = None);
    }

    async fn found(place: &Place) -> String {
        match place.addresses(SECOND).await {
            Ok(addresses) => format!("{addresses:?}"),
            Err(why) => why.to_string(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn earlier_addresses_hold_while_the_resolver_fails_or_hangs() {
        let mut resolver = Moody::new(Mood::Finds(1));
        let place = resolver.names.place("web:80");
        assert_eq!(found(&place).await, "[10.0.0.1:80]");
        for mood in [Mood::Fails, Mood::Hangs] {
            resolver.is(mood);
            age(&place);
            assert_eq!(found(&place).await, "[10.0.0.1:80]");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_addresses_are_used_at_once() {
        let mut resolver = Moody::new(Mood::Finds(1));
        let place = resolver.names.place("web:80");
        found(&place).await;
        resolver.is(Mood::Finds(2));
        assert_eq!(found(&place).await, "[10.0.0.1:80]", "it is fresh");
        age(&place);
        assert_eq!(found(&place).await, "[10.0.0.2:80]");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_hangs_is_looked_up_once_for_all_who_are_checked_under_it() {
        let mut resolver = Moody::new(Mood::Hangs);
        let places = ["web:80", "web:81", "WEB:80"].map(|address| resolver.names.place(address));
        for place in places.iter().cycle().take(600) {
            assert_eq!(found(place).await, "looking up web takes longer than 1s");
        }
        assert_eq!(resolver.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_hang_take_few_threads() {
        let mut resolver = Moody::new(Mood::Hangs);
        for n in 0..100 {
            let place = resolver.names.place(&format!("web{n}:80"));
            found(&place).await;
        }
        assert_eq!(resolver.asked(), AT_A_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_found_is_told() {
        let mut resolver = Moody::new(Mood::Fails);
        let place = resolver.names.place("web:80");
        assert_eq!(found(&place).await, "cannot look up web: no such name");
        assert_eq!(found(&resolver.names.place("10.0.0.1:80")).await, "[10.0.0.1:80]");
        assert_eq!(resolver.asked(), 1);
        drop(place);
        resolver.names.place("other:80");
        assert_eq!(resolver.names.known.len(), 1, "who is not checked any more is forgotten");
    }
}
