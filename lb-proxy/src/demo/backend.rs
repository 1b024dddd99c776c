//! A running demo backend: one thread, one single-threaded runtime.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    sync::oneshot,
};

use super::{connection::serve, options::DemoOptions};

/// Connections that may wait to be accepted: load tests open many at once.
const BACKLOG: i32 = 4096;

/// A running demo backend. Stops when it is dropped.
#[derive(Debug)]
pub struct DemoBackend {
    name: String,
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Statistics, written by the backend's thread, read by anybody.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) connections: AtomicU64,
}

impl DemoBackend {
    pub(super) fn start(options: DemoOptions) -> io::Result<Self> {
        let listener = listen(options.bind)?;
        let address = listener.local_addr()?;
        let name = options.name.clone();
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("demo {name}")).spawn(move || {
            // A runtime that runs local tasks has to be made on its own thread.
            let Ok(runtime) =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
            else {
                return;
            };
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, address, options, shared) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { name, address, counters, stop: Some(stop), thread: Some(thread) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has taken.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counters.requests.load(Ordering::Relaxed)
    }

    /// How many connections it has taken.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::Relaxed)
    }

    /// Stops at once; connections end in the middle of what they were doing.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for DemoBackend {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A demo is stopped and started again; its old connections must not block the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    options: DemoOptions,
    counters: Arc<Counters>,
) {
    let site = Rc::new(super::answer::Site::new(&options, address, counters));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let number = site.counters().connections.fetch_add(1, Ordering::Relaxed);
                tokio::task::spawn_local(serve(
                    stream,
                    number,
                    Rc::clone(&site),
                    options.close_idle,
                ));
            }
            // Out of descriptors, mostly: others have to end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
