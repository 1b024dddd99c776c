//! One worker: a thread with everything it needs to serve alone.
//!
//! A worker has its own runtime, listening sockets, connection pools, timers and
//! view of each cluster. Nothing on a request's way is shared with another
//! worker except the loads in `lb-core`, so there is nothing to lock and nobody
//! in another thread to wake.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::TcpListener,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{
    runtime::LocalOptions,
    time::{Instant, MissedTickBehavior},
};

use super::{
    clock::Clock,
    control::{Control, Stage},
    entropy::Entropy,
    service::Service,
    site::{Site, Sites},
    timers::{TICK, Timers},
};
use crate::{
    listen::{Listener, ListenerSettings, accept},
    observe::WorkerLog,
    upstream::Names,
};

/// Idle connections are looked at once in this many ticks.
const SWEEP: u32 = 10;

/// The state of a worker, shared by its tasks.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) clock: Rc<Clock>,
    pub(crate) timers: Timers,
    pub(crate) entropy: Entropy,
    pub(crate) names: Names,
    sites: Sites,
    site: RefCell<Rc<Site>>,
    draining: Cell<bool>,
    cut_off: Cell<bool>,
    /// What must end before the worker may: connections, and acceptors.
    open: Cell<usize>,
    on_empty: RefCell<Option<Waker>>,
}

/// What a worker is started with.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) listeners: Vec<PlannedListener>,
    pub(super) service: Arc<Service>,
    pub(super) control: Arc<Control>,
    pub(super) shutdown: Duration,
}

/// A worker's own socket of a listener.
#[derive(Debug)]
pub(super) struct PlannedListener {
    pub(super) socket: TcpListener,
    pub(super) settings: ListenerSettings,
    /// Its connections, over all workers.
    pub(super) places: Arc<AtomicUsize>,
}

/// Counts as open until dropped.
#[derive(Debug)]
pub(crate) struct Open(Rc<Worker>);

impl Worker {
    fn new(plan: &Plan) -> Self {
        let clock = Rc::new(Clock::new());
        let sites = Sites::new(Rc::clone(&clock), Arc::clone(&plan.control));
        Self {
            site: RefCell::new(sites.make(&plan.service)),
            sites,
            timers: Timers::new(Rc::clone(&clock)),
            names: Names::new(Rc::clone(&clock)),
            clock,
            entropy: Entropy::from_os(),
            draining: Cell::new(false),
            cut_off: Cell::new(false),
            open: Cell::new(0),
            on_empty: RefCell::new(None),
        }
    }

    fn listen(self: &Rc<Self>, listeners: Vec<PlannedListener>) -> io::Result<()> {
        for PlannedListener { socket, settings, places } in listeners {
            let socket = tokio::net::TcpListener::from_std(socket)?;
            let listener = Rc::new(Listener::new(settings, places));
            tokio::task::spawn_local(accept(socket, listener, Rc::clone(self)));
        }
        Ok(())
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

    pub(crate) fn open(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        Open(Rc::clone(self))
    }

    fn drain(&self) {
        self.draining.set(true);
        self.timers.wake_all();
    }

    async fn empty(&self) {
        poll_fn(|cx| {
            if self.open.get() == 0 {
                return Poll::Ready(());
            }
            *self.on_empty.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let left = self.0.open.get() - 1;
        self.0.open.set(left);
        if left == 0
            && let Some(waker) = self.0.on_empty.take()
        {
            waker.wake();
        }
    }
}

/// The life of a worker's thread. Reports when it serves, or why it cannot.
pub(super) fn run(plan: Plan, report: impl FnOnce(io::Result<()>)) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = match builder.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error)),
    };
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(&plan));
        match worker.listen(plan.listeners) {
            Ok(()) => report(Ok(())),
            Err(error) => return report(Err(error)),
        }
        // Owned by the runtime, like all tasks of the worker: they end with it.
        let _ticker = tokio::task::spawn_local(tick(Rc::clone(&worker)));
        live(&worker, &plan.control, plan.shutdown).await;
        worker.cut_off.set(true);
    });
    // A lookup of a name cannot be interrupted and may take minutes; nobody waits
    // for what it finds.
    runtime.shutdown_background();
}

/// Waits to be told to end, and then for the end.
async fn live(worker: &Rc<Worker>, control: &Control, shutdown: Duration) {
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
            stage = control.woken() => match stage {
                Stage::Serve => worker.sites.refresh(),
                Stage::Finish | Stage::Drain => {
                    worker.sites.refresh();
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
            },
            () = worker.empty(), if draining => return,
            () = limit => {
                tracing::warn!(connections = worker.open.get(), "cut off by timeout.shutdown");
                return;
            }
        }
    }
}

/// Moves coarse time on, and looks at what may be due.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 0_u32.. {
        interval.tick().await;
        worker.clock.tick();
        worker.timers.tick();
        worker.sites.logs.hand_over();
        if count % SWEEP == 0 {
            worker.sites.sweep();
        }
    }
}
