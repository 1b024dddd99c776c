//! Clients, backends and proxies for the tests. Nothing here sleeps to wait for
//! something; what does not happen within [`PATIENCE`] fails the test.

mod client;
mod message;
mod origin;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use client::Client;
use lb_core::{Backend, Cluster, Membership, Weight, strategy::RoundRobin};
use lb_proxy::{ClusterSettings, ListenerSettings, Proxy, Route, RouteTable, Running, Service};
pub(crate) use message::Message;
pub(crate) use origin::{OK, Origin, Peer};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy in front of some backends.
pub(crate) struct Proxied {
    pub(crate) running: Running,
    pub(crate) cluster: Cluster,
    pub(crate) address: SocketAddr,
}

/// A proxy with one worker and default settings.
pub(crate) fn proxy(backends: &[SocketAddr]) -> Proxied {
    proxy_with(backends, |_| {})
}

/// A proxy whose settings were changed.
pub(crate) fn proxy_with(backends: &[SocketAddr], change: impl FnOnce(&mut Service)) -> Proxied {
    let cluster = Cluster::builder("test")
        .strategy(RoundRobin::default())
        .membership(membership(backends))
        .build();
    let mut service = Service {
        listeners: vec![ListenerSettings::new(([127, 0, 0, 1], 0).into())],
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: vec![ClusterSettings::new(cluster.clone())],
        access_log: None,
    };
    change(&mut service);
    start(service, cluster, NonZeroUsize::MIN)
}

/// A proxy with several workers, and weights for the backends.
pub(crate) fn proxy_of(workers: usize, backends: &[(SocketAddr, u32)]) -> Proxied {
    let backend = |(address, weight): &(SocketAddr, u32)| {
        Backend::new(address.to_string()).weighted(Weight::new(*weight).unwrap())
    };
    let cluster = Cluster::builder("test")
        .strategy(RoundRobin::default())
        .membership(Membership::new(backends.iter().map(backend)).unwrap())
        .build();
    let service = Service {
        listeners: vec![ListenerSettings::new(([127, 0, 0, 1], 0).into())],
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: vec![ClusterSettings::new(cluster.clone())],
        access_log: None,
    };
    start(service, cluster, NonZeroUsize::new(workers).unwrap())
}

fn start(service: Service, cluster: Cluster, workers: NonZeroUsize) -> Proxied {
    let running = Proxy::start(service, workers).unwrap();
    let address = running.addresses()[0];
    Proxied { running, cluster, address }
}

pub(crate) fn membership(backends: &[SocketAddr]) -> Membership {
    Membership::new(backends.iter().map(|address| Backend::new(address.to_string()))).unwrap()
}

impl Proxied {
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends one request over a new connection and returns the answer.
    pub(crate) fn ask(&self, request: &str) -> Message {
        let mut client = self.client();
        client.send(request);
        client.answer(request)
    }

    pub(crate) fn get(&self) -> Message {
        self.ask(GET)
    }

    /// Requests that backends are busy with, and that are held for clients.
    pub(crate) fn load(&self) -> (u32, u32) {
        let snapshot = self.cluster.snapshot();
        let view = snapshot.view();
        view.slots().fold((0, 0), |(busy, held), slot| {
            (busy + view.in_flight(slot), held + view.held(slot))
        })
    }
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Waits until something is true.
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Bytes that look random and are the same in every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length.div_ceil(8))
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(length)
        .collect()
}

impl Proxied {
    /// With one client, for tests that need only that.
    pub(crate) fn into_client(self) -> (Self, Client) {
        let client = self.client();
        (self, client)
    }
}
