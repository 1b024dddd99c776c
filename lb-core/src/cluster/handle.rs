//! A worker's way into a cluster.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Cluster, Shared, Wake,
    acknowledge::Worker,
    lease::{Hold, Lease},
    pick_error::{PickError, Refusals},
    slots::Slot,
    snapshot::Snapshot,
};
use crate::{
    backend::load::{Admission, Refused},
    retry::RetryBudget,
    sample,
    strategy::{Binding, Choice, PickCx, Reason, Tried},
};

/// Picks backends for one worker. It caches the snapshot, hence `&mut self`; make
/// one per thread.
pub struct ClusterHandle {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    /// By slot: what leases hold on to.
    holds: Box<[Arc<Hold>]>,
}

impl ClusterHandle {
    pub(super) fn new(shared: Arc<Shared>, wake: Wake) -> Self {
        // Registered with nothing acknowledged, so that no publication can fall
        // between loading the snapshot and being known as a worker.
        let worker = shared.workers.register(wake);
        let snapshot = shared.current.load_full();
        let holds = snapshot.holds(&[], &shared.driver);
        shared.workers.acknowledge(&worker, snapshot.publication());
        Self { shared, worker, snapshot, holds }
    }

    /// Takes up the latest snapshot and thereby acknowledges it; says whether it
    /// is another one than before. One atomic load when it is not.
    pub fn refresh(&mut self) -> bool {
        let published = self.shared.publication.load(Ordering::Acquire);
        let news = published > self.snapshot.publication();
        if news {
            self.take_up();
        }
        news
    }

    /// Picks a backend and counts the request in on it. Takes no lock and
    /// allocates nothing, unless a snapshot was published since the last call.
    ///
    /// The backend that the client is [bound to](PickCx::bound_to) is taken if it
    /// admits such clients. Otherwise the strategy picks, unless the request is the one
    /// that tries a half-open backend of a better tier. Where the choice turns out to
    /// be closed or full, the strategy picks again without it, and in the end everybody
    /// is asked, also those on standby. A backend that could take the request all the
    /// while is found.
    ///
    /// # Errors
    ///
    /// [`PickError`], with the reasons, when there is none.
    pub fn acquire(&mut self, cx: &PickCx<'_>) -> Result<Lease, PickError> {
        self.refresh();
        if let Some(binding) = cx.binding()
            && let Some(lease) = self.reserve_bound(binding, cx)
        {
            return Ok(lease);
        }
        if !self.snapshot.roster.trials.is_empty()
            && let Some(lease) = self.try_better_tier(cx)
        {
            return Ok(lease);
        }
        let group = self.snapshot.group_of(cx);
        match self.snapshot.pick(group, cx) {
            Some(choice) => match self.reserve(choice, Admission::New, cx) {
                Ok(lease) => Ok(lease),
                Err(_) => self.acquire_avoiding(group, choice.slot(), cx),
            },
            None => self.acquire_any(group, cx),
        }
    }

    /// The snapshot it picks from until the next call of
    /// [`refresh`](Self::refresh) or [`acquire`](Self::acquire).
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// This worker's budget of retries: a share of its own first attempts, in percent,
    /// and then the ten in ten seconds that all workers of the cluster have together.
    #[must_use]
    pub fn retry_budget(&self, percent: u8) -> RetryBudget {
        RetryBudget::new(percent, Arc::clone(&self.shared.retry_floor))
    }

    /// Whether this is a handle of `cluster`; one of the same name is another.
    #[must_use]
    pub fn is_of(&self, cluster: &Cluster) -> bool {
        Arc::ptr_eq(&self.shared, &cluster.shared)
    }

    #[cold]
    fn take_up(&mut self) {
        self.snapshot = self.shared.current.load_full();
        self.holds = self.snapshot.holds(&self.holds, &self.shared.driver);
        self.shared.workers.acknowledge(&self.worker, self.snapshot.publication());
    }

    fn reserve_bound(&self, binding: Binding<'_>, cx: &PickCx<'_>) -> Option<Lease> {
        let view = self.snapshot.view();
        let (slot, admission) = match binding {
            Binding::Name(name) => (self.snapshot.find(name)?, Admission::Bound),
            Binding::Route(route) => (self.snapshot.find_route(route)?, Admission::Bound),
            Binding::Key(key) => (self.snapshot.find_key(key, cx)?, Admission::New),
        };
        let may = view.bound_set().contains(slot) && !view.was_tried(slot, cx);
        let choice = Choice::new(slot, Reason::Preferred);
        may.then(|| self.reserve(choice, admission, cx).ok()).flatten()
    }

    /// Picks again while choices are refused: a few times by the strategy, then
    /// by asking everybody.
    #[cold]
    fn acquire_avoiding(
        &self,
        group: usize,
        mut refused: Slot,
        cx: &PickCx<'_>,
    ) -> Result<Lease, PickError> {
        const AGAIN: usize = 3;
        // What was refused is left out like what was tried; but never so that the
        // set forgets something the request really tried.
        let mut tried = *cx.tried();
        let room = Tried::KEPT.saturating_sub(tried.len());
        for attempt in 1..=AGAIN.min(room) {
            tried.add(self.snapshot.view().incarnation(refused));
            let again = cx.again(&tried, attempt as u64);
            let Some(choice) = self.snapshot.pick(group, &again) else {
                break;
            };
            match self.reserve(choice, Admission::New, cx) {
                Ok(lease) => return Ok(lease),
                Err(_) => refused = choice.slot(),
            }
        }
        self.acquire_any(group, cx)
    }

    /// Has this request try a half-open backend of a tier before the one in use, unless
    /// another does already.
    #[cold]
    fn try_better_tier(&self, cx: &PickCx<'_>) -> Option<Lease> {
        let trials = &self.snapshot.roster.trials;
        self.ask(trials, Reason::Trial, Admission::New, cx).ok()
    }

    /// Asks everybody, and in the end those as well that are about to be taken out.
    #[cold]
    fn acquire_any(&self, group: usize, cx: &PickCx<'_>) -> Result<Lease, PickError> {
        self.ask_all(Admission::New, group, cx)
            .or_else(|_| self.ask_all(Admission::LastResort, group, cx))
    }

    /// Asks the request's group, the others in use, and then those on standby, tier by
    /// tier.
    fn ask_all(
        &self,
        admission: Admission,
        group: usize,
        cx: &PickCx<'_>,
    ) -> Result<Lease, PickError> {
        let (roster, view) = (&self.snapshot.roster, self.snapshot.view());
        let ask = |slots: &[Slot], reason| self.ask(slots, reason, admission, cx);
        let mut used = Refusals::default();
        for group in roster.groups.from(group) {
            match ask(group.new.as_slice(), Reason::LastResort) {
                Ok(lease) => return Ok(lease),
                Err(refusals) => used += refusals,
            }
        }
        match ask(&roster.trials, Reason::Trial) {
            Ok(lease) => return Ok(lease),
            Err(refusals) => used += refusals,
        }
        let mut reserves = Refusals::default();
        for slots in &roster.reserves {
            match ask(slots, Reason::Standby) {
                Ok(lease) => return Ok(lease),
                Err(refusals) => reserves += refusals,
            }
        }
        Err(PickError::explain(view, cx, used, reserves))
    }

    /// Asks these, starting anywhere. Looks before it counts, so that a full
    /// cluster is not written to by every request that it can't take.
    fn ask(
        &self,
        slots: &[Slot],
        reason: Reason,
        admission: Admission,
        cx: &PickCx<'_>,
    ) -> Result<Lease, Refusals> {
        let start = if slots.is_empty() { 0 } else { sample::index(cx.entropy(), slots.len()) };
        let mut refusals = Refusals::default();
        for slot in slots[start..].iter().chain(&slots[..start]).copied() {
            if self.snapshot.view().was_tried(slot, cx) {
                continue;
            }
            let hot = &self.snapshot.roster.hot[slot.index()];
            let reserved = hot
                .load
                .look(admission, hot.limit)
                .and_then(|()| self.reserve(Choice::new(slot, reason), admission, cx));
            match reserved {
                Ok(lease) => return Ok(lease),
                Err(Refused::Full) => refusals.full += 1,
                Err(Refused::Occupied) => refusals.occupied += 1,
                Err(Refused::Closed | Refused::Shunned) => {}
            }
        }
        Err(refusals)
    }

    fn reserve(
        &self,
        choice: Choice,
        admission: Admission,
        cx: &PickCx<'_>,
    ) -> Result<Lease, Refused> {
        let slot = choice.slot();
        let hot = &self.snapshot.roster.hot[slot.index()];
        debug_assert!(
            matches!(choice.reason(), Reason::Preferred | Reason::Trial | Reason::Standby)
                || self.snapshot.view().is_candidate(slot, cx),
            "the strategy picked a backend that it may not pick"
        );
        let trial = hot.load.reserve(admission, hot.limit)?;
        Ok(Lease::new(Arc::clone(&self.holds[slot.index()]), choice, trial, cx.now()))
    }
}

impl Drop for ClusterHandle {
    fn drop(&mut self) {
        // It picks no more: nobody needs to wait for it, ever.
        self.shared.workers.acknowledge(&self.worker, u64::MAX);
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterHandle")
            .field("cluster", &self.shared.name)
            .field("snapshot", &self.snapshot.stamp())
            .finish_non_exhaustive()
    }
}
