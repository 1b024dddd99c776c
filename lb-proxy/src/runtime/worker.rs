//! One worker: a thread with everything it needs to serve alone.
//!
//! A worker has its own runtime, listening sockets, connection pools, timers and
//! view of each cluster. Nothing on a request's way is shared with another
//! worker except the loads in `lb-core`, so there is nothing to lock and nobody
//! in another thread to wake.

use std::{
    cell::{Cell, RefCell},
    io, mem,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::LocalOptions,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};

use super::{
    clock::Clock,
    control::{Control, Stage},
    entropy::Entropy,
    open_count::{Open, OpenCount},
    plan::{ListenerId, OpenedListener, Plan},
    progress::Version,
    site::{Site, Sites},
    timers::{TICK, Timers},
};
use crate::{
    http::{RequestIds, Spares, via::Via},
    listen::{Listener, ListenerSettings, accept},
    observe::{Recents, WorkerLog},
    upstream::Names,
};

/// Idle connections are looked at once in this many ticks.
const SWEEP: u32 = 10;

/// The state of a worker, shared by its tasks.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its place among the workers.
    pub(crate) number: usize,
    pub(crate) clock: Rc<Clock>,
    pub(crate) timers: Timers,
    pub(crate) entropy: Entropy,
    pub(crate) request_ids: RequestIds,
    pub(crate) names: Names,
    pub(crate) via: Rc<Via>,
    /// What its requests leave to the next ones.
    pub(crate) spares: Spares,
    /// Its last requests.
    pub(crate) recents: Recents,
    sites: Sites,
    site: RefCell<Rc<Site>>,
    listeners: RefCell<Vec<WorkerListener>>,
    draining: Cell<bool>,
    cut_off: Cell<bool>,
    /// What must end before the worker may: connections, and acceptors.
    open: Rc<OpenCount>,
    /// A task that nothing works without has panicked.
    broken: Notify,
}

/// A listener, and the task that accepts for it.
#[derive(Debug)]
struct WorkerListener {
    id: ListenerId,
    listener: Rc<Listener>,
    acceptor: JoinHandle<()>,
}

impl Worker {
    fn new(number: usize, plan: &Plan, control: &Arc<Control>) -> Self {
        let clock = Rc::new(Clock::new());
        let sites = Sites::new(Rc::clone(&clock), Arc::clone(control), plan);
        Self {
            number,
            site: RefCell::new(sites.make(&plan.service)),
            sites,
            timers: Timers::new(Rc::clone(&clock)),
            names: Names::new(Rc::clone(&clock)),
            clock,
            entropy: Entropy::from_os(),
            via: Rc::new(Via::new(plan.instance.id)),
            spares: Spares::default(),
            recents: plan.board.recent.part(),
            listeners: RefCell::default(),
            request_ids: RequestIds::default(),
            draining: Cell::new(false),
            cut_off: Cell::new(false),
            open: Rc::default(),
            broken: Notify::new(),
        }
    }

    /// Takes up another service. Resolves when no socket accepts any more that the plan
    /// does not name.
    async fn reload(self: &Rc<Self>, plan: Plan) {
        let site = self.sites.make(&plan.service);
        let before = self.site.replace(site);
        // Not under the borrow: it may be the last hold on idle connections.
        drop(before);
        for opened in plan.opened {
            let address = opened.address;
            if let Err(error) = self.listen(opened) {
                tracing::error!(%address, %error, "one worker cannot accept connections");
            }
        }
        let removed = self.change_listeners(&plan.listeners, &plan.service.listeners);
        if removed.is_empty() {
            return;
        }
        // What has arrived and was not yet noticed comes first.
        tokio::task::yield_now().await;
        removed.iter().for_each(|removed| removed.listener.close());
        self.timers.wake_all();
        for removed in removed {
            // A panic has been reported.
            let _ = removed.acceptor.await;
            tokio::task::spawn_local(finish(Rc::clone(self), removed.listener));
        }
    }

    /// Gives each listener the settings that stand at the place of its number. Returns
    /// those that have none any more.
    fn change_listeners(
        &self,
        numbers: &[ListenerId],
        settings: &[ListenerSettings],
    ) -> Vec<WorkerListener> {
        let mut listeners = self.listeners.borrow_mut();
        let removed = listeners.extract_if(.., |known| {
            let place = numbers.iter().position(|number| *number == known.id);
            let settings = place.map(|place| settings[place].clone());
            let is_gone = settings.is_none();
            settings.into_iter().for_each(|settings| known.listener.change(settings));
            is_gone
        });
        removed.collect()
    }

    fn listen(self: &Rc<Self>, opened: OpenedListener) -> io::Result<()> {
        let OpenedListener { id, socket, settings, places, .. } = opened;
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let listener = Rc::new(Listener::new(settings, places));
        let accepting = accept(socket, Rc::clone(&listener), Rc::clone(self));
        let acceptor = self.spawn_vital("acceptor", accepting);
        self.listeners.borrow_mut().push(WorkerListener { id, listener, acceptor });
        Ok(())
    }

    /// Runs a task that the worker is of no use without. If it panics the worker ends:
    /// half of a worker would go on to be given connections, and to do who knows what
    /// with them.
    fn spawn_vital(
        self: &Rc<Self>,
        what: &'static str,
        task: impl Future<Output = ()> + 'static,
    ) -> JoinHandle<()> {
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let ended = tokio::task::spawn_local(task).await;
            if ended.is_err_and(|error| error.is_panic()) {
                tracing::error!(task = what, "a task has panicked, and its worker ends with it");
                worker.broken.notify_one();
            }
        })
    }

    /// What holds for a request that begins now.
    pub(crate) fn site(&self) -> Rc<Site> {
        Rc::clone(&self.site.borrow())
    }

    /// Where a request that begins now is logged.
    pub(crate) fn access_log(&self) -> Option<Rc<WorkerLog>> {
        self.site.borrow().log.clone()
    }

    /// Whether what ends now ends because the worker does.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.get()
    }

    /// Whether no new work is taken on.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn open(&self) -> Open {
        self.open.open()
    }

    fn drain(&self) {
        self.draining.set(true);
        self.timers.wake_all();
    }
}

/// Ends the connections of a listener that was closed: gives them `timeout.shutdown`,
/// and then no more.
async fn finish(worker: Rc<Worker>, listener: Rc<Listener>) {
    let limit = listener.settings().timeouts.shutdown;
    if tokio::time::timeout(limit, listener.connections.empty()).await.is_err() {
        let (address, connections) = (listener.settings().bind, listener.connections.get());
        tracing::warn!(%address, connections, "cut off by timeout.shutdown");
        listener.cut_off();
        worker.timers.wake_all();
    }
}

/// The life of a worker's thread. Reports when it serves, or why it cannot, and then
/// each service that it has taken up.
pub(super) fn run(
    number: usize,
    mut plan: Plan,
    control: &Arc<Control>,
    report: impl FnOnce(io::Result<()>),
    taken_up: impl Fn(Version),
) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = match builder.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error)),
    };
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(number, &plan, control));
        for opened in mem::take(&mut plan.opened) {
            if let Err(error) = worker.listen(opened) {
                return report(Err(error));
            }
        }
        report(Ok(()));
        let shutdown = plan.shutdown();
        // It would hold on to the first service for life.
        drop(plan);
        // Owned by the runtime, like all tasks of the worker: they end with it.
        let _ticker = worker.spawn_vital("ticker", tick(Rc::clone(&worker)));
        live(&worker, control, shutdown, taken_up).await;
        worker.cut_off.set(true);
    });
    // A lookup of a name cannot be interrupted and may take minutes; nobody waits
    // for what it finds.
    runtime.shutdown_background();
}

/// Waits for what it is told, until it is told to end, and then for the end.
async fn live(
    worker: &Rc<Worker>,
    control: &Control,
    mut shutdown: Duration,
    taken_up: impl Fn(Version),
) {
    let mut draining = false;
    let mut deadline = None;
    loop {
        let limit = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            stage = control.woken() => {
                if let Some(plan) = control.take_plan() {
                    let version = plan.version;
                    shutdown = plan.shutdown();
                    worker.reload(plan).await;
                    taken_up(version);
                }
                worker.sites.refresh();
                match stage {
                    Stage::Serve => {}
                    Stage::Finish | Stage::Drain => {
                        if stage == Stage::Drain && deadline.is_none() {
                            // What no clock can express never comes.
                            deadline = Instant::now().checked_add(shutdown);
                        }
                        if !draining {
                            draining = true;
                            // What has arrived and was not yet noticed comes first.
                            tokio::task::yield_now().await;
                            worker.drain();
                        }
                    }
                    Stage::Stop => return,
                }
            }
            () = worker.open.empty(), if draining => return,
            () = limit => {
                tracing::warn!(connections = worker.open.get(), "cut off by timeout.shutdown");
                return;
            }
            () = worker.broken.notified() => return,
        }
    }
}

/// Moves coarse time on, and looks at what may be due.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 0_u32.. {
        interval.tick().await;
        worker.timers.tick(worker.clock.tick());
        worker.sites.logs.hand_over();
        worker.recents.hand_over();
        if count % SWEEP == 0 {
            worker.sites.sweep();
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::runtime::{instance::Instance, service::Service};

    #[test]
    fn a_worker_ends_when_a_task_that_it_needs_panics() {
        let service = Service {
            listeners: Vec::new(),
            routes: Arc::default(),
            clusters: Vec::new(),
            access_log: None,
        };
        let plan = Plan {
            version: 1,
            service: Arc::new(service),
            instance: Instance::new(),
            listeners: Arc::default(),
            opened: Vec::new(),
            board: Arc::default(),
        };
        let control = Arc::default();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
        let worker = Rc::new(Worker::new(0, &plan, &control));
        runtime.block_on(async {
            let life = live(&worker, &control, Duration::ZERO, |_| {});
            worker.spawn_vital("fine", async {});
            let limit = Duration::from_millis(10);
            assert!(tokio::time::timeout(limit, life).await.is_err(), "it lives until then");
            worker.spawn_vital("broken", async { panic!("on purpose") });
            let life = live(&worker, &control, Duration::ZERO, |_| {});
            let limit = Duration::from_secs(20);
            tokio::time::timeout(limit, life).await.expect("it ends");
        });
    }
}
