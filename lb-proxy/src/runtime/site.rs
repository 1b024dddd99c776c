//! What one configuration means to one worker.
//!
//! A reload replaces the site of a worker between two events. A request holds on to
//! the site that routed it, so it sees one configuration from start to end, and the
//! last request of a site takes with it what no later site has.
//!
//! A cluster that is in the next site again is the same cluster with other settings:
//! its handle, its idle connections and the requests on them know nothing of a
//! reload. That part is [`Kept`].

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::Arc,
};

use lb_core::{Cluster, ClusterHandle, retry::RetryBudget};

use super::{
    clock::Clock,
    control::Control,
    plan::Plan,
    service::{ClusterSettings, Service},
};
use crate::{
    http::{Route, RouteTable, binder::Binder, load_probe::Probes},
    observe::{Board, Meters, Tally, Window, WorkerLog, WorkerLogs},
    upstream::Pool,
};

/// Where requests go.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) routes: Arc<RouteTable>,
    /// In the order of `routes`. Those of the table are shared by all workers, and to
    /// count on them is to write where the others do.
    route_names: Box<[Rc<str>]>,
    /// In the order the routes count them.
    pub(crate) clusters: Box<[Rc<WorkerCluster>]>,
    pub(crate) log: Option<Rc<WorkerLog>>,
}

impl Site {
    /// The name of a route of this site.
    pub(crate) fn name_of(&self, route: &Route) -> Rc<str> {
        let known = self.routes.position(route).and_then(|at| self.route_names.get(at));
        known.map_or_else(|| (*route.name).into(), Rc::clone)
    }
}

/// A cluster as one site of one worker has it.
#[derive(Debug)]
pub(crate) struct WorkerCluster {
    pub(crate) name: Rc<str>,
    pub(crate) settings: ClusterSettings,
    /// Of a sticky cluster.
    pub(crate) binder: Option<Binder>,
    /// How long a session counts as one of a backend.
    pub(crate) remembers: Window,
    pub(crate) kept: Rc<Kept>,
}

/// What a worker has of a cluster for as long as any of its sites has the cluster.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) handle: RefCell<ClusterHandle>,
    pub(crate) pool: Pool,
    pub(crate) tally: Arc<Tally>,
    /// For series.
    pub(crate) meters: Meters,
    /// This worker's share of the retries.
    pub(crate) budget: RefCell<RetryBudget>,
    /// What this worker knows by asking.
    pub(crate) probes: Probes,
}

impl Kept {
    /// Those for requests, and those for probes.
    fn pools(&self) -> [&Pool; 2] {
        [&self.pool, &self.probes.idle]
    }
}

/// Makes the sites of one worker, one after the other.
#[derive(Debug)]
pub(super) struct Sites {
    clock: Rc<Clock>,
    control: Arc<Control>,
    board: Arc<Board>,
    /// Idle connections, over all clusters: those for requests, and those for probes,
    /// which take no places of the former.
    idle: [Rc<Cell<usize>>; 2],
    /// The clusters of this site, and those of earlier ones that requests still use.
    known: RefCell<Vec<Weak<Kept>>>,
    pub(super) logs: WorkerLogs,
}

impl Sites {
    pub(super) fn new(clock: Rc<Clock>, control: Arc<Control>, plan: &Plan) -> Self {
        let (idle, known) = (Default::default(), RefCell::default());
        let board = Arc::clone(&plan.board);
        Self { clock, control, board, idle, known, logs: WorkerLogs::default() }
    }

    /// The site of a service. Takes over what it has in common with those before.
    pub(super) fn make(&self, service: &Service) -> Rc<Site> {
        let clusters = service.clusters.iter().map(|settings| {
            let kept = self.kept(&settings.cluster);
            kept.pools().iter().for_each(|pool| pool.keep_for(settings.timeouts.pool_idle));
            kept.budget.borrow_mut().set_percent(settings.retry.budget);
            kept.probes.send_at(settings.probes.as_ref().map_or(0.0, |probes| probes.per_request));
            let name = settings.cluster.name();
            Rc::new(WorkerCluster {
                name: name.into(),
                remembers: settings.remembers(),
                binder: settings.sticky.as_ref().map(|sticky| Binder::new(sticky, name)),
                settings: settings.clone(),
                kept,
            })
        });
        Rc::new(Site {
            clusters: clusters.collect(),
            routes: Arc::clone(&service.routes),
            route_names: service.routes.routes().iter().map(|route| (*route.name).into()).collect(),
            log: service.access_log.as_ref().map(|log| self.logs.part_of(log)),
        })
    }

    fn kept(&self, cluster: &Cluster) -> Rc<Kept> {
        let mut known = self.known().into_iter();
        if let Some(kept) = known.find(|kept| kept.handle.borrow().is_of(cluster)) {
            return kept;
        }
        let [pool, for_probes] =
            self.idle.each_ref().map(|idle| Pool::new(Rc::clone(&self.clock), Rc::clone(idle)));
        let control = Arc::clone(&self.control);
        let handle = cluster.handle_waking(Arc::new(move || control.wake()));
        let budget = handle.retry_budget(0);
        let kept = Rc::new(Kept {
            handle: RefCell::new(handle),
            pool,
            tally: self.board.tally(cluster.name()),
            meters: self.board.meters.meters(cluster.name()),
            budget: RefCell::new(budget),
            probes: Probes::new(for_probes),
        });
        self.known.borrow_mut().push(Rc::downgrade(&kept));
        kept
    }

    fn known(&self) -> Vec<Rc<Kept>> {
        let mut known = self.known.borrow_mut();
        known.retain(|kept| kept.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes up what clusters have published, and lets go of connections to
    /// incarnations that are no more. The former may have happened already with a
    /// pick.
    pub(super) fn refresh(&self) {
        for kept in self.known() {
            let mut handle = kept.handle.borrow_mut();
            handle.refresh();
            let snapshot = handle.snapshot();
            for pool in kept.pools() {
                pool.retain_incarnations(|whose| snapshot.slot_of(whose).is_some());
            }
            kept.meters.retain(|whose| snapshot.slot_of(whose).is_some());
        }
    }

    /// Lets go of connections that were idle for too long.
    pub(super) fn sweep(&self) {
        self.known().iter().flat_map(|kept| kept.pools()).for_each(Pool::sweep);
    }
}
