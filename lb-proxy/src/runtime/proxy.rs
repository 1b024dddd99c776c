//! Starting and ending a proxy.

use std::{
    io, mem,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicUsize, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    builder::Builder,
    control::{Control, Stage},
    service::Service,
    start_error::StartError,
    worker::{self, Plan, PlannedListener},
};
use crate::{listen::bind, observe::AccessLog};

/// A reverse proxy in this process.
///
/// It brings its own threads and needs no runtime around it:
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
///
/// use lb_core::{Backend, Cluster, Membership};
/// use lb_proxy::{ClusterSettings, ListenerSettings, Proxy, Route, RouteTable, Service};
///
/// let backends = ["127.0.0.1:9001", "127.0.0.1:9002"].map(Backend::new);
/// let cluster = Cluster::builder("web").membership(Membership::new(backends)?).build();
/// let service = Service {
///     listeners: vec![ListenerSettings::new("127.0.0.1:0".parse()?)],
///     routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
///     clusters: vec![ClusterSettings::new(cluster)],
///     access_log: None,
/// };
/// let running = Proxy::start(service, NonZeroUsize::MIN)?;
/// println!("http://{}/", running.addresses()[0]);
/// running.stop_now();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Proxy;

impl Proxy {
    /// Binds all listeners and starts `workers` threads, and one that builds
    /// snapshots when a cluster changes.
    ///
    /// From then on the proxy is the one that
    /// [drives](lb_core::Cluster::drive) the clusters of `service`: what is
    /// [applied](lb_core::Cluster::apply) to them takes effect by itself.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left behind then.
    pub fn start(service: Service, workers: NonZeroUsize) -> Result<Running, StartError> {
        check_routes(&service)?;
        let mut plans = plans(service, workers)?;
        let clusters =
            plans[0].service.clusters.iter().map(|settings| settings.cluster.clone()).collect();
        let addresses = addresses(&plans[0])?;
        let builder = Builder::start(clusters).map_err(StartError::Thread)?;
        let (alive, finished) = watch::channel(workers.get());
        let mut running = Running {
            addresses,
            controls: plans.iter().map(|plan| Arc::clone(&plan.control)).collect(),
            finished,
            threads: Vec::new(),
            access_log: plans[0].service.access_log.clone(),
            _builder: builder,
        };
        for (number, plan) in plans.drain(..).enumerate() {
            let thread = start_worker(number, plan, Alive(alive.clone()));
            // An error drops `running`, which ends those that were started.
            running.threads.push(thread.map_err(StartError::Thread)?);
        }
        Ok(running)
    }
}

/// A proxy that serves. Dropping it is [`stop_now`](Running::stop_now), and waits
/// for the threads to end.
#[derive(Debug)]
pub struct Running {
    addresses: Box<[SocketAddr]>,
    controls: Box<[Arc<Control>]>,
    finished: watch::Receiver<usize>,
    threads: Vec<JoinHandle<()>>,
    access_log: Option<AccessLog>,
    _builder: Builder,
}

impl Running {
    /// Where it listens, in the order of the listeners it was given. A port that
    /// was 0 is the one the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no new connections, lets requests in flight finish, and resolves
    /// when all connections are closed: by themselves, or after the longest
    /// `timeout.shutdown` of the listeners.
    ///
    /// Needs no particular runtime. Cancel-safe; the drain goes on, and another
    /// call waits for the same end.
    pub async fn drain(&self) {
        self.advance(Stage::Drain);
        self.ended().await;
    }

    /// The same without the limit of `timeout.shutdown`. A later
    /// [`drain`](Self::drain) sets it after all.
    pub async fn drain_without_limit(&self) {
        self.advance(Stage::Finish);
        self.ended().await;
    }

    /// Cuts everything off.
    pub fn stop_now(&self) {
        self.advance(Stage::Stop);
    }

    /// Resolves when all workers have ended, for whatever reason. Cancel-safe.
    pub async fn ended(&self) {
        // An error means that all senders are gone, and with them all workers.
        let _ = self.finished.clone().wait_for(|alive| *alive == 0).await;
    }

    fn advance(&self, stage: Stage) {
        self.controls.iter().for_each(|control| control.advance(stage));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_now();
        for thread in mem::take(&mut self.threads) {
            // A panic has been reported by its thread.
            let _ = thread.join();
        }
        if let Some(log) = &self.access_log {
            log.flush();
        }
    }
}

/// Says that a worker has ended, even if it panics.
struct Alive(watch::Sender<usize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

fn check_routes(service: &Service) -> Result<(), StartError> {
    let count = service.clusters.len();
    match service.routes.routes().iter().find(|route| route.cluster >= count) {
        None => Ok(()),
        Some(route) => {
            let (prefix, cluster) = (route.prefix.clone(), route.cluster);
            Err(StartError::Route { prefix, cluster, count })
        }
    }
}

/// Binds everything, and divides it among the workers.
fn plans(service: Service, workers: NonZeroUsize) -> Result<Vec<Plan>, StartError> {
    let service = Arc::new(service);
    let shutdown = service.listeners.iter().map(|listener| listener.timeouts.shutdown).max();
    let mut plans: Vec<Plan> = (0..workers.get())
        .map(|_| Plan {
            listeners: Vec::new(),
            service: Arc::clone(&service),
            control: Arc::default(),
            shutdown: shutdown.unwrap_or(Duration::ZERO),
        })
        .collect();
    for settings in &service.listeners {
        let places = Arc::<AtomicUsize>::default();
        let address = settings.bind;
        let sockets = bind(address, workers).map_err(|error| StartError::bind(address, error))?;
        for (plan, socket) in plans.iter_mut().zip(sockets) {
            let (settings, places) = (settings.clone(), Arc::clone(&places));
            plan.listeners.push(PlannedListener { socket, settings, places });
        }
    }
    Ok(plans)
}

fn addresses(plan: &Plan) -> Result<Box<[SocketAddr]>, StartError> {
    let address = |listener: &PlannedListener| {
        let address = listener.settings.bind;
        let bound = listener.socket.local_addr();
        bound.map_err(|error| StartError::bind(address, error))
    };
    plan.listeners.iter().map(address).collect()
}

fn start_worker(number: usize, plan: Plan, alive: Alive) -> io::Result<JoinHandle<()>> {
    let (report, reported) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(format!("lb-worker-{number}")).spawn(move || {
        let _alive = alive;
        worker::run(plan, |started| drop(report.send(started)));
    })?;
    match reported.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the worker ended while starting")),
    }
}
