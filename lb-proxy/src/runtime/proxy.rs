//! Starting, reloading and ending a proxy.

use std::{
    io, mem,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use lb_core::Cluster;

use super::{
    builder::Builder,
    control::{Control, Stage},
    instance::Instance,
    listeners::{Committed, ListenerChanges, Listeners, NextListeners},
    plan::Plan,
    progress::{Progress, Version},
    reloaded::Reloaded,
    service::Service,
    start_error::StartError,
    worker,
};
use crate::observe::{Board, Counters, Observer};

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
        let progress = Progress::new(workers.get());
        let mut present = Present::new(Instance::new());
        let listeners = present.listeners.prepare(&service.listeners, workers, &progress)?;
        let builder = Builder::start().map_err(StartError::Thread)?;
        builder.drive_only(clusters(&service));
        let (plans, _) = present.replace(service, listeners);
        let mut running = Running {
            controls: (0..workers.get()).map(|_| Arc::default()).collect(),
            progress,
            present: Mutex::new(present),
            threads: Vec::new(),
            builder,
        };
        for (number, plan) in plans.into_iter().enumerate() {
            let thread = running.start_worker(number, plan);
            // An error drops `running`, which ends those that were started.
            running.threads.push(thread.map_err(StartError::Thread)?);
        }
        Ok(running)
    }
}

/// A proxy that serves. Dropping it is [`stop_now`](Running::stop_now), and waits
/// for the threads to end.
///
/// A worker that panics, or a task of it that nothing works without, ends: its
/// connections are cut off, which is logged, and the others go on to serve.
#[derive(Debug)]
pub struct Running {
    controls: Box<[Arc<Control>]>,
    progress: Progress,
    present: Mutex<Present>,
    threads: Vec<JoinHandle<()>>,
    builder: Builder,
}

/// The service in force, as far as the next one has to know it.
#[derive(Debug)]
struct Present {
    instance: Instance,
    version: Version,
    listeners: Listeners,
    board: Arc<Board>,
}

impl Present {
    fn new(instance: Instance) -> Self {
        let (version, listeners, board) = Default::default();
        Self { instance, version, listeners, board }
    }

    /// Makes this the present service. Returns a plan for each worker that `listeners`
    /// were prepared for.
    fn replace(
        &mut self,
        service: Service,
        listeners: NextListeners,
    ) -> (Vec<Plan>, ListenerChanges) {
        self.version += 1;
        let Committed { listeners, changes, opened } =
            self.listeners.commit(listeners, self.version);
        self.board.logs_to(service.access_log.as_ref());
        service.clusters.iter().for_each(|settings| self.board.takes_up(&settings.cluster));
        let (instance, version, service) = (self.instance, self.version, Arc::new(service));
        let plan = |opened| {
            let (service, listeners) = (Arc::clone(&service), Arc::clone(&listeners));
            let board = Arc::clone(&self.board);
            Plan { version, service, instance, listeners, opened, board }
        };
        (opened.into_iter().map(plan).collect(), changes)
    }
}

impl Running {
    /// Where it listens, in the order of the listeners it was given last. A port that
    /// was 0 is the one the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.present().listeners.addresses()
    }

    /// How many workers it was started with. A reload does not change that.
    #[must_use]
    pub fn workers(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.controls.len()).unwrap_or(NonZeroUsize::MIN)
    }

    /// Serves another service from now on, without losing a connection.
    ///
    /// All that can fail is done first; then each worker takes the service up between
    /// two events. A request goes by one service from start to end. What stays:
    ///
    /// * A **cluster** that is in both, the same [`Cluster`](lb_core::Cluster) and not
    ///   one of the same name, keeps its state and its idle connections, with other
    ///   settings if need be. One that is not in `service` any more is given up with
    ///   its last request, and driven by nobody from now on; it may come back.
    /// * A **listener** with the same [`bind`](crate::ListenerSettings::bind) goes on
    ///   to listen; of several with one address and port 0 the first is the first, and
    ///   so on. Its clients stay connected. New settings hold for new connections; for
    ///   others from their next request, except `limits.header` and `limits.headers`.
    ///   One that is gone serves whoever has connected, finishes what is in flight, and
    ///   closes its connections within its last `timeouts.shutdown`.
    ///
    /// If services come faster than workers take them up, the last one counts; what is
    /// between may never be served, and its [`Reloaded`] resolves with the last.
    ///
    /// Blocks for some system calls per new listener.
    ///
    /// # Errors
    ///
    /// [`StartError`]; the service before is in force then, as if nothing had been.
    pub fn reload(&self, service: Service) -> Result<Reloaded, StartError> {
        let reloaded = self.try_reload(service);
        self.present().board.reloaded(reloaded.is_ok());
        reloaded
    }

    /// Counts a reload that was given up before there was a service, because of a
    /// mistake in a file, say.
    pub fn reload_rejected(&self) {
        self.present().board.reloaded(false);
    }

    /// What was counted since the start. The workers are not disturbed.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.present().board.read()
    }

    /// Sees what goes on, beside the workers, until its end and longer.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(Arc::clone(&self.present().board))
    }

    fn try_reload(&self, service: Service) -> Result<Reloaded, StartError> {
        check_routes(&service)?;
        let mut present = self.present();
        let is_served =
            |control: &&Arc<Control>| control.stage() == Stage::Serve && control.is_alive();
        let controls: Vec<_> = self.controls.iter().filter(is_served).collect();
        let workers = NonZeroUsize::new(controls.len()).ok_or(StartError::Ending)?;
        let listeners = present.listeners.prepare(&service.listeners, workers, &self.progress)?;
        self.builder.drive_only(clusters(&service));
        let (plans, changes) = present.replace(service, listeners);
        for (control, plan) in controls.into_iter().zip(plans) {
            control.hand_over(plan);
        }
        Ok(Reloaded::new(changes, self.progress.wait_for_all(present.version)))
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
        self.progress.wait_for_end().await;
    }

    fn advance(&self, stage: Stage) {
        self.controls.iter().for_each(|control| control.advance(stage));
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_worker(&self, number: usize, plan: Plan) -> io::Result<JoinHandle<()>> {
        let (report, reported) = mpsc::sync_channel(1);
        let (control, progress) = (Arc::clone(&self.controls[number]), self.progress.clone());
        let life = Life { control, progress, number };
        let thread =
            thread::Builder::new().name(format!("lb-worker-{number}")).spawn(move || {
                let taken_up = |version| life.progress.reached(number, version);
                let started = |started| drop(report.send(started));
                worker::run(number, plan, &life.control, started, taken_up);
            })?;
        match reported.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the worker ended while starting")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_now();
        for thread in mem::take(&mut self.threads) {
            // A panic has been reported by its thread.
            let _ = thread.join();
        }
        let log = self.present().board.log();
        if let Some(log) = log {
            log.flush();
        }
    }
}

/// Says that a worker has ended, even if it panics.
struct Life {
    control: Arc<Control>,
    progress: Progress,
    number: usize,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.control.end();
        self.progress.ended(self.number);
    }
}

fn check_routes(service: &Service) -> Result<(), StartError> {
    let count = service.clusters.len();
    match service.routes.routes().iter().find(|route| route.cluster >= count) {
        None => Ok(()),
        Some(route) => {
            let (name, cluster) = (route.name.clone(), route.cluster);
            Err(StartError::Route { name, cluster, count })
        }
    }
}

fn clusters(service: &Service) -> Vec<Cluster> {
    service.clusters.iter().map(|settings| settings.cluster.clone()).collect()
}
