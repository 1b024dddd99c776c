//! A cluster: the write side that computes, and what it hands to the workers.
//!
//! # Who does what
//!
//! * Anybody may [`apply`](Cluster::apply) a [`Change`]: that records it, and
//!   closes a backend at once when it is to be drained or disabled.
//! * One owner calls [`drive`](Cluster::drive), which builds a snapshot from all
//!   that was recorded since the last one. Builds are bounded: never two at a
//!   time, always of the latest state, and with a pause of at least 50 ms and ten
//!   times the last build, so that a storm of changes costs a known share of one
//!   core and not a request.
//! * Each worker has a [`ClusterHandle`] that picks from the snapshot it has
//!   cached. When it takes up a new one it thereby *acknowledges* it;
//!   [`effective`](Cluster::effective) waits until all have. Only then is it true
//!   that no new request reaches a backend that was taken out.
//!
//! Changes that arrive between two builds share one generation, with all their
//! causes.

mod acknowledge;
mod build;
mod builder;
mod change;
mod eligibility;
mod generation;
mod handle;
mod lease;
mod outcome;
mod pace;
mod pick_error;
mod slots;
mod snapshot;
mod view;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

pub use acknowledge::Effective;
use acknowledge::Workers;
use build::Builder;
pub use builder::ClusterBuilder;
pub use change::{Change, ChangeError, Version};
pub use eligibility::Standing;
pub use generation::{Cause, CauseKind, Generation, Stamp};
pub use handle::ClusterHandle;
pub use lease::Lease;
pub use outcome::Outcome;
pub use pick_error::PickError;
pub use slots::{Slot, SlotSet};
pub use snapshot::Snapshot;
pub use view::View;

use crate::{
    backend::{AdminState, Health, IncarnationId, Weight},
    membership::Membership,
    strategy::Strategy,
    time::Tick,
};

/// A callback that wakes somebody. Called from any thread; must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A named set of backends to balance over: the shared handle of its write side.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    /// What everybody outside said so far. Held briefly.
    inputs: Mutex<Inputs>,
    /// Whoever builds holds this, for as long as a build takes.
    builder: Mutex<Builder>,
    /// The boundary between the two halves. Stored under `inputs`.
    current: ArcSwap<Snapshot>,
    /// The number of `current`, stored after it: a worker compares one integer
    /// per request instead of taking a guard on `current`.
    publication: AtomicU64,
    workers: Workers,
    driver: Mutex<Option<Wake>>,
}

/// What a snapshot is computed from.
#[derive(Debug, Default)]
struct Inputs {
    version: Version,
    membership: Membership,
    admin: BTreeMap<Arc<str>, AdminState>,
    weights: BTreeMap<Arc<str>, Weight>,
    health: BTreeMap<IncarnationId, Health>,
    strategy: Option<Box<dyn Strategy>>,
    causes: Vec<Cause>,
}

impl Cluster {
    /// Starts a cluster of this name.
    pub fn builder(name: impl Into<Arc<str>>) -> ClusterBuilder {
        ClusterBuilder::new(name.into())
    }

    /// Records a change. It is effective for new requests after the next
    /// [`drive`](Self::drive) (a drain or disable: immediately), and certainly so
    /// when [`effective`](Self::effective) of the returned version resolves.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] when the change names a backend that is not there; nothing
    /// was changed then.
    pub fn apply(&self, change: Change, cause: Cause) -> Result<Version, ChangeError> {
        let version = {
            let mut inputs = self.shared.inputs();
            self.shared.record(&mut inputs, change)?;
            inputs.causes.push(cause);
            inputs.version = inputs.version.next();
            inputs.version
        };
        let driver = lock(&self.shared.driver).clone();
        if let Some(wake) = driver {
            wake();
        }
        Ok(version)
    }

    /// Does what is due at the present time and returns when something will be
    /// due next. To be called by one owner: after [`on_change`](Self::on_change)
    /// woke it, and when the returned time has come. A call too many does no
    /// harm; `clock` is read before and after a build.
    pub fn drive(&self, clock: &dyn Fn() -> Tick) -> Option<Tick> {
        let mut builder = lock(&self.shared.builder);
        let now = clock();
        let due = builder.expire_drains(now) || self.shared.inputs().version != builder.built();
        if due && builder.may_build(now) {
            let snapshot = builder.build(self.shared.inputs().take(), now);
            self.shared.publish(snapshot, now);
            builder.pace(now, clock());
        }
        builder.sweep(&self.shared.current.load(), now);
        let behind = self.shared.inputs().version != builder.built() || builder.is_stale();
        builder.next_deadline(behind)
    }

    /// Has `wake` called after each change, for whoever calls
    /// [`drive`](Self::drive). One at a time: replaces the one before.
    pub fn on_change(&self, wake: Wake) {
        *lock(&self.shared.driver) = Some(wake);
    }

    /// Resolves when every worker picks from a snapshot that contains this
    /// version. Needs no particular runtime, and somebody who drives. Dropping it
    /// is harmless.
    pub fn effective(&self, version: Version) -> Effective {
        Effective::new(Arc::clone(&self.shared), version)
    }

    /// A handle for one worker.
    #[must_use]
    pub fn handle(&self) -> ClusterHandle {
        self.handle_waking(Arc::new(|| {}))
    }

    /// A handle for a worker that may be idle for long: `wake` is called when a
    /// snapshot was published, and the worker should then
    /// [`refresh`](ClusterHandle::refresh).
    #[must_use]
    pub fn handle_waking(&self, wake: Wake) -> ClusterHandle {
        ClusterHandle::new(Arc::clone(&self.shared), wake)
    }

    /// The present snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// The last generations, oldest first, each with its causes.
    #[must_use]
    pub fn generations(&self) -> Vec<Generation> {
        lock(&self.shared.builder).generations()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.shared.name)
            .field("snapshot", &self.shared.current.load().stamp())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn inputs(&self) -> MutexGuard<'_, Inputs> {
        lock(&self.inputs)
    }

    fn record(&self, inputs: &mut Inputs, change: Change) -> Result<(), ChangeError> {
        match change {
            Change::Membership(membership) => inputs.membership = membership,
            Change::Admin { backend, state } => {
                inputs.require(&backend)?;
                // At once, not with the next build: "nothing new from now on".
                let current = self.current.load();
                if let Some(slot) = current.find(&backend)
                    && !state.admits_new()
                {
                    current.load(slot).admit(state, Tick::ZERO);
                }
                inputs.admin.insert(backend, state);
            }
            Change::Weight { backend, weight } => {
                inputs.require(&backend)?;
                match weight {
                    Some(weight) => inputs.weights.insert(backend, weight),
                    None => inputs.weights.remove(&backend),
                };
            }
            Change::Health { incarnation, health } => {
                if self.current.load().slot_of(incarnation).is_none() {
                    return Err(ChangeError::NoSuchIncarnation(incarnation));
                }
                inputs.health.insert(incarnation, health);
            }
            Change::Strategy(strategy) => inputs.strategy = Some(strategy),
        }
        Ok(())
    }

    /// Makes a build the present snapshot. The admin states that count are those
    /// of this moment, not those of when the build began: a backend disabled in
    /// between stays closed.
    fn publish(&self, snapshot: Snapshot, now: Tick) {
        let publication = {
            let mut inputs = self.inputs();
            assert!(snapshot.version() <= inputs.version, "a snapshot from the future");
            for (backend, load) in snapshot.loads() {
                load.admit(inputs.admin_state(backend.name()), now);
            }
            inputs.health.retain(|incarnation, _| snapshot.slot_of(*incarnation).is_some());
            let publication = snapshot.publication();
            self.current.store(Arc::new(snapshot));
            self.publication.store(publication, Ordering::Release);
            publication
        };
        self.workers.wake_all(publication);
    }
}

impl Inputs {
    /// Takes what one build needs: copies of what lasts, the rest itself.
    fn take(&mut self) -> Self {
        Self {
            version: self.version,
            membership: self.membership.clone(),
            admin: self.admin.clone(),
            weights: self.weights.clone(),
            health: self.health.clone(),
            strategy: self.strategy.take(),
            causes: std::mem::take(&mut self.causes),
        }
    }

    fn require(&self, backend: &Arc<str>) -> Result<(), ChangeError> {
        match self.membership.iter().any(|member| member.name() == &**backend) {
            true => Ok(()),
            false => Err(ChangeError::NoSuchBackend(Arc::clone(backend))),
        }
    }

    fn admin_state(&self, name: &str) -> AdminState {
        self.admin.get(name).copied().unwrap_or_default()
    }
}

/// A panic while one of our short critical sections ran leaves nothing half done
/// that the next build would not replace.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
