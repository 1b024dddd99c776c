//! A cluster: the write side that computes, and what it hands to the workers.
//!
//! # Who does what
//!
//! * Anybody may [`apply`](Cluster::apply) a [`Change`]: that records it, and
//!   closes a backend at once when it is to be drained or disabled.
//! * Anybody may say what he [observed](Cluster::observe) of a backend; requests that
//!   failed say it themselves. A verdict that changes is a cause like any other, and
//!   whoever [listens](Cluster::on_transition) is told.
//! * One owner calls [`drive`](Cluster::drive), which builds a snapshot from all
//!   that was recorded since the last one. Builds are bounded: never two at a
//!   time, always of the latest state, and with a pause of at least 50 ms and ten
//!   times the last build, so that a storm of changes costs at most a tenth of one
//!   core per cluster, and no request.
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
mod driver;
mod eligibility;
mod feedback;
mod generation;
mod groups;
mod handle;
mod health;
mod holds;
mod inputs;
mod lease;
mod observation;
mod outcome;
mod outliers;
mod pace;
mod pick_error;
mod policy;
mod publish;
mod ramp;
mod slots;
mod snapshot;
mod view;
mod watch;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

pub use acknowledge::Effective;
use acknowledge::Workers;
use arc_swap::ArcSwap;
use build::Builder;
pub use builder::ClusterBuilder;
pub use change::{Change, ChangeError, Version};
use driver::Driver;
pub use driver::Wake;
pub use eligibility::{Panic, Standing, Subset};
pub use generation::{Cause, CauseKind, Generation, Stamp};
pub use groups::{GroupId, Place};
pub use handle::ClusterHandle;
use health::{Listener, PanicListener};
use inputs::Inputs;
pub use lease::Lease;
pub use observation::Observation;
pub use outcome::Outcome;
pub use pick_error::PickError;
pub use policy::{Overflow, Passive, Policy, SlowStart, Thresholds, Zone};
pub use slots::{Slot, SlotSet};
pub use snapshot::Snapshot;
pub use view::View;

use crate::{
    backend::AdminState, health::TransitionCounts, retry::RetryFloor, sticky::Routes,
    strategy::Strategy, time::Tick,
};

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
    driver: Arc<Driver>,
    listeners: Mutex<Vec<Listener>>,
    retry_floor: Arc<RetryFloor>,
    panic_listeners: Mutex<Vec<PanicListener>>,
    transitions: Arc<TransitionCounts>,
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
        self.apply_all([change], cause)
    }

    /// Records several changes with one cause: all of them, or none. No snapshot
    /// has some of them and not the others. Changes that say what is true already
    /// make no new version, and so no generation.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply). A change may name backends of a
    /// [`Change::Membership`] before it in the list.
    pub fn apply_all(
        &self,
        changes: impl IntoIterator<Item = Change>,
        cause: Cause,
    ) -> Result<Version, ChangeError> {
        let changes: Vec<Change> = changes.into_iter().collect();
        let mut replaced = Vec::new();
        let version = {
            let mut inputs = self.shared.inputs();
            self.shared.check(&inputs, &changes)?;
            let mut news = false;
            for change in changes {
                news |= self.shared.record(&mut inputs, change, &mut replaced);
            }
            if !news {
                return Ok(inputs.version);
            }
            inputs.causes.push(cause);
            inputs.version = inputs.version.next();
            inputs.version
        };
        drop(replaced);
        self.shared.driver.wake();
        Ok(version)
    }

    /// Whether [`apply_all`](Self::apply_all) would record these changes now. For
    /// whoever has to know before anything is changed.
    ///
    /// # Errors
    ///
    /// As [`apply_all`](Self::apply_all).
    pub fn check(&self, changes: &[Change]) -> Result<(), ChangeError> {
        self.shared.check(&self.shared.inputs(), changes)
    }

    /// Does what is due at the present time and returns when something will be
    /// due next. To be called by one owner: after [`on_change`](Self::on_change)
    /// woke it, and when the returned time has come. A call too many does no
    /// harm; `clock` is read before and after a build.
    ///
    /// # Panics
    ///
    /// When a strategy of somebody else's does. A new strategy that panics is given
    /// up, the one before stays; no other change is lost, and the next build is
    /// paced as after any other.
    pub fn drive(&self, clock: &dyn Fn() -> Tick) -> Option<Tick> {
        let (published, transitions, deadline) = {
            let mut builder = lock(&self.shared.builder);
            self.shared.look_after(clock());
            let published = self.shared.build_if_due(&mut builder, clock);
            builder.sweep(&self.shared.current.load(), clock());
            let mut inputs = self.shared.inputs();
            let build = builder.next_deadline(inputs.version != builder.built());
            let deadline = [build, inputs.watch.next_deadline()].into_iter().flatten().min();
            (published, inputs.watch.take_untold(), deadline)
        };
        // Others' code, called under none of our locks.
        let turn = published.and_then(|published| {
            published.wake(&self.shared.workers);
            published.turn
        });
        self.shared.tell(&transitions);
        turn.into_iter().for_each(|panic| self.shared.tell_panic(panic));
        deadline
    }

    /// Has `wake` called after each change, for whoever calls
    /// [`drive`](Self::drive), and once now. One at a time: replaces the one
    /// before.
    pub fn on_change(&self, wake: Wake) {
        self.shared.driver.wake_by(wake);
    }

    /// Resolves when every worker picks from a snapshot that contains this
    /// version. Needs no particular runtime, but somebody who drives, and workers
    /// that pick or are [woken](Self::handle_waking). Dropping it is harmless.
    pub fn effective(&self, version: Version) -> Effective {
        Effective::new(Arc::clone(&self.shared), version)
    }

    /// A handle for one worker, who picks all the time: a snapshot is acknowledged
    /// with the next pick.
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

    /// Whether all of `changes` can be recorded.
    fn check(&self, inputs: &Inputs, changes: &[Change]) -> Result<(), ChangeError> {
        let (mut membership, mut ring) = (&inputs.membership, &inputs.ring);
        for change in changes {
            match change {
                Change::Membership(new) => membership = new,
                Change::Ring(new) => ring = new,
                // What is laid down for an absent backend can be lifted, not added to.
                Change::Admin { state: AdminState::Enabled, .. }
                | Change::Weight { weight: None, .. }
                | Change::Policy(_)
                | Change::Strategy(_) => {}
                Change::Admin { backend, .. } | Change::Weight { backend, .. } => {
                    if !membership.iter().any(|member| member.shared_name() == backend) {
                        return Err(ChangeError::NoSuchBackend(Arc::clone(backend)));
                    }
                }
                Change::Health { incarnation, .. } => {
                    if self.current.load().slot_of(*incarnation).is_none() {
                        return Err(ChangeError::NoSuchIncarnation(*incarnation));
                    }
                }
            }
        }
        let moved = *membership != inputs.membership || *ring != inputs.ring;
        match Routes::of(ring.as_ref().filter(|_| moved), membership).1 {
            Some((one, other)) => Err(ChangeError::RouteCollision(one, other)),
            None => Ok(()),
        }
    }

    /// Records a change and says whether it is one. Strategies that nobody will use
    /// any more go into `replaced`: their code must not run under our locks.
    fn record(
        &self,
        inputs: &mut Inputs,
        change: Change,
        replaced: &mut Vec<Box<dyn Strategy>>,
    ) -> bool {
        match change {
            Change::Membership(membership) => {
                let news = inputs.membership != membership;
                inputs.membership = membership;
                news
            }
            Change::Admin { backend, state: AdminState::Enabled } => {
                let news = inputs.admin.remove(&backend).is_some();
                if news {
                    inputs.watch.enable(backend);
                }
                news
            }
            Change::Admin { backend, state } => {
                // At once, not with the next build: "nothing new from now on".
                let current = self.current.load();
                if let Some(slot) = current.find(&backend) {
                    current.load(slot).admit(state, Tick::ZERO);
                }
                inputs.admin.insert(backend, state) != Some(state)
            }
            Change::Weight { backend, weight: None } => inputs.weights.remove(&backend).is_some(),
            Change::Weight { backend, weight: Some(weight) } => {
                inputs.weights.insert(backend, weight) != Some(weight)
            }
            Change::Health { incarnation, health } => inputs.watch.say(incarnation, health),
            Change::Policy(policy) => {
                let news = inputs.policy != policy;
                inputs.watch.adopt(&policy, &inputs.policy);
                inputs.policy = policy;
                news
            }
            Change::Ring(ring) => {
                let news = inputs.ring != ring;
                inputs.ring = ring;
                news
            }
            Change::Strategy(strategy) => {
                replaced.extend(inputs.strategy.replace(strategy));
                true
            }
        }
    }
}

/// Our critical sections either only move values, or build, and a build that panics
/// has changed nothing that the next one relies on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
