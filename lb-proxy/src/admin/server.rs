//! Connections: bounded in number and in time.
//!
//! A client gets ten seconds for a request head, idle time before it included, ten for
//! its body and thirty to take what it is sent. And there are only so many at a time, and
//! of one address fewer than of all: nobody can hold the API for himself. One too many is
//! closed; the Unix socket has a count of its own and is not reached from outside.
//!
//! All of it has one thread: what people ask for delays no check and no source.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lb_proxy::config::Admin as Settings;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    runtime::Runtime,
};
use tower_service::Service as _;

use super::{
    access::{Access, Peer},
    api::Api,
    audit::Audit,
    bind::Bound,
    failures::network,
    patient::Patient,
    router::router,
    running::RunningConfig,
    socket::SocketFile,
};
use crate::control::{Desk, LogLevel};

/// Connections of a listener.
const MOST: usize = 128;
/// Of one address.
const MOST_OF_ONE: usize = 32;
const HEAD: Duration = Duration::from_secs(10);
const STALL: Duration = Duration::from_secs(30);
/// After an accept that failed: out of descriptors, say.
const PAUSE: Duration = Duration::from_millis(100);
/// Nobody would think of it.
const LOCKED: &str = "`token` of `[admin]` is gone: nobody changes anything by an address any \
                      more, until a reload brings one or a start makes one; the Unix socket \
                      needs none";

/// The API, served until this is dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    access: Arc<Access>,
    audit: Audit,
    settings: Settings,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests ask for it"))]
    tcp: Option<SocketAddr>,
    #[cfg_attr(not(test), expect(dead_code, reason = "the file goes with it"))]
    socket: Option<SocketFile>,
    /// `None` while it ends.
    runtime: Option<Runtime>,
}

/// What the API knows of the process it is in.
#[derive(Debug)]
pub(crate) struct Process {
    /// What is logged.
    pub(crate) log: LogLevel,
    /// Writes lines into the log.
    pub(crate) say: fn(&str),
}

impl Bound {
    /// Serves this desk.
    pub(crate) fn serve(
        self,
        settings: &Settings,
        desk: Desk,
        config: RunningConfig,
        process: Process,
    ) -> io::Result<Admin> {
        let Self { tcp, socket, access, .. } = self;
        let audit = Audit::new(process.say);
        let (hearing, events) = (audit.clone(), desk.events().clone());
        let closing = audit.clone();
        let router = router(Api::new(desk, config, Arc::clone(&access), audit, process.log));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lb-admin")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        runtime.spawn(hearing.hear(events));
        let address = tcp.as_ref().map(|(_, address)| *address);
        if let Some((listener, _)) = tcp {
            let listener = TcpListener::from_std(listener)?;
            runtime.spawn(serve_tcp(listener, router.clone()));
        }
        let file = match socket {
            Some(socket) => {
                let listener = UnixListener::from_std(socket.listener)?;
                runtime.spawn(serve_socket(listener, router));
                Some(socket.file)
            }
            None => None,
        };
        drop(entered);
        let (settings, runtime) = (settings.clone(), Some(runtime));
        Ok(Admin { access, audit: closing, settings, tcp: address, socket: file, runtime })
    }
}

impl Admin {
    /// Takes up what a reload may change. Returns what its author has to know.
    pub(crate) fn set(&self, settings: &Settings) -> Option<&'static str> {
        let is_locked = self.access.set(settings) && self.settings.listen.is_some();
        let places = |one: &Settings| (one.listen.clone(), one.socket.clone());
        if places(settings) != places(&self.settings) {
            tracing::warn!("where the API is served changes with the next start only");
        }
        if is_locked {
            tracing::warn!("{LOCKED}");
        }
        is_locked.then_some(LOCKED)
    }

    /// Where it is served.
    #[cfg(test)]
    pub(super) fn places(&self) -> (Option<SocketAddr>, Option<std::path::PathBuf>) {
        (self.tcp, self.socket.as_ref().map(|file| file.path().to_owned()))
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.audit.close_all();
    }
}

async fn serve_tcp(listener: TcpListener, router: Router) {
    let places = Places::default();
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let Some(place) = places.take(Some(remote.ip())) else { continue };
        let Ok(local) = stream.local_addr() else { continue };
        let _ = stream.set_nodelay(true);
        let peer = Peer::Address { remote, local };
        tokio::spawn(serve(stream, peer, place, router.clone()));
    }
}

async fn serve_socket(listener: UnixListener, router: Router) {
    let places = Places::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let Some(place) = places.take(None) else { continue };
        // Who connected, as the system says: not what he says himself.
        let Ok(peer) = stream.peer_cred() else { continue };
        tokio::spawn(serve(stream, Peer::Socket { uid: peer.uid() }, place, router.clone()));
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot take a connection to the API");
    tokio::time::sleep(PAUSE).await;
}

async fn serve<S>(stream: S, peer: Peer, place: Place, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let io = TokioIo::new(Patient::new(stream, STALL));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    // A client that goes away is no event.
    let _ = http.serve_connection(io, service).await;
    drop(place);
}

/// How many connections there are.
#[derive(Debug, Default)]
struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection, until it is dropped.
#[derive(Debug)]
struct Place {
    taken: Arc<Mutex<Taken>>,
    address: Option<IpAddr>,
}

impl Places {
    fn take(&self, address: Option<IpAddr>) -> Option<Place> {
        let address = address.map(network);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = |taken: &Taken, address| taken.by_address.get(&address).copied().unwrap_or(0);
        let is_full = taken.all >= MOST
            || address.is_some_and(|address| of_one(&taken, address) >= MOST_OF_ONE);
        if is_full {
            return None;
        }
        taken.all += 1;
        if let Some(address) = address {
            *taken.by_address.entry(address).or_default() += 1;
        }
        Some(Place { taken: Arc::clone(&self.0), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(address) = self.address
            && let Some(count) = taken.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sends_half_a_head_does_not_keep_his_place() {
        let places = Places::default();
        let (ours, mut theirs) = duplex(1024);
        let place = places.take(None).unwrap();
        let start = tokio::time::Instant::now();
        let peer = Peer::Socket { uid: 0 };
        let serving = tokio::spawn(serve(ours, peer, place, Router::new()));
        theirs.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        let _ = theirs.read_to_end(&mut Vec::new()).await;
        serving.await.unwrap();
        assert_eq!(start.elapsed(), HEAD);
        assert_eq!(places.0.lock().unwrap().all, 0);
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::default();
        let address = |number: u32| Some(IpAddr::V4(number.into()));
        let mut held: Vec<Place> =
            (0..MOST_OF_ONE).map(|_| places.take(address(1)).unwrap()).collect();
        assert!(places.take(address(1)).is_none());
        for number in 2.. {
            match places.take(address(number)) {
                Some(place) => held.push(place),
                None => break,
            }
        }
        assert_eq!(held.len(), MOST);
        held.clear();
        let taken = places.0.lock().unwrap();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }
}
