//! A worker's way into a cluster.

use std::{
    fmt, mem,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Cluster, Shared, Wake,
    acknowledge::Worker,
    holds::Holds,
    lease::{Granted, Lease},
    outcome::Outcome,
    pick_error::{PickError, Refusals},
    slots::Slot,
    snapshot::Snapshot,
};
use crate::{
    backend::load::{Admission, Refused},
    retry::RetryBudget,
    sample,
    strategy::{Binding, Choice, PickCx, Reason, Tried},
    time::Tick,
};

/// Picks backends for one worker. It caches the snapshot, hence `&mut self`; make
/// one per thread.
pub struct ClusterHandle {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    /// By slot: what leases hold on to.
    holds: Box<[Holds]>,
}

impl ClusterHandle {
    pub(super) fn new(shared: Arc<Shared>, wake: Wake) -> Self {
        // Registered with nothing acknowledged, so that no publication can fall
        // between loading the snapshot and being known as a worker.
        let worker = shared.workers.register(wake);
        let snapshot = shared.current.load_full();
        let holds = snapshot.holds(Box::default(), &shared.driver);
        shared.workers.acknowledge(&worker, snapshot.publication());
        Self { shared, worker, snapshot, holds }
    }

    /// Takes up the latest snapshot and thereby acknowledges it; says whether it
    /// is another one than before. One atomic load when it is not.
    #[inline]
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
    /// that tries a half-open backend of a tier that is missed. Where the choice turns out
    /// to be closed or full, the strategy picks again without it, and in the end everybody
    /// is asked, also those on standby. A backend that could take the request all the
    /// while is found.
    ///
    /// # Errors
    ///
    /// [`PickError`], with the reasons, when there is none.
    #[inline]
    pub fn acquire(&mut self, cx: &PickCx<'_>) -> Result<Lease, PickError> {
        self.refresh();
        let granted = if cx.binding().is_none() && self.snapshot.roster.trials.is_empty() {
            self.pick(cx)
        } else {
            self.pick_bound(cx)
        }?;
        // Made here and nowhere else, so that it may stay in registers.
        let hold = self.holds[granted.choice.slot().index()].take();
        Ok(Lease::new(hold, granted, cx.now()))
    }

    /// Ends a lease as [`Lease::complete`] does. Of one that this handle gave, it keeps
    /// what the next one on that backend needs, which saves it half its cost. Of any
    /// other one it keeps nothing.
    #[inline]
    pub fn complete(&mut self, lease: Lease, outcome: Outcome, now: Tick) {
        lease.complete_into(&self.holds, outcome, now);
    }

    /// The snapshot it picks from until the next call of
    /// [`refresh`](Self::refresh) or [`acquire`](Self::acquire).
    #[must_use]
    #[inline]
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
        self.holds = self.snapshot.holds(mem::take(&mut self.holds), &self.shared.driver);
        self.shared.workers.acknowledge(&self.worker, self.snapshot.publication());
    }

    #[inline]
    fn pick(&self, cx: &PickCx<'_>) -> Result<Granted, PickError> {
        let group = self.snapshot.group_of(cx);
        let choice = self.snapshot.pick(group, cx);
        debug_assert!(
            choice.is_none_or(|choice| self.snapshot.view().is_candidate(choice.slot(), cx)),
            "the strategy picked a backend that it may not pick"
        );
        match choice {
            Some(choice) => match self.reserve(choice, Admission::New) {
                Ok(granted) => Ok(granted),
                Err(_) => self.pick_avoiding(group, choice.slot(), cx),
            },
            None => self.ask_everybody(group, cx),
        }
    }

    /// For a client that is bound, or where a tier that is missed has to be tried.
    #[inline(never)]
    fn pick_bound(&self, cx: &PickCx<'_>) -> Result<Granted, PickError> {
        if let Some(binding) = cx.binding()
            && let Some(granted) = self.reserve_bound(binding, cx)
        {
            return Ok(granted);
        }
        if !self.snapshot.roster.trials.is_empty()
            && let Some(granted) = self.try_missed(cx)
        {
            return Ok(granted);
        }
        self.pick(cx)
    }

    fn reserve_bound(&self, binding: Binding<'_>, cx: &PickCx<'_>) -> Option<Granted> {
        let view = self.snapshot.view();
        let (slot, admission) = match binding {
            Binding::Name(name) => (self.snapshot.find(name)?, Admission::Bound),
            Binding::Route(route) => (self.snapshot.find_route(route)?, Admission::Bound),
            Binding::Key(key) => (self.snapshot.find_key(key, cx)?, Admission::New),
        };
        let may = view.bound_set().contains(slot) && !view.was_tried(slot, cx);
        let choice = Choice::new(slot, Reason::Preferred);
        may.then(|| self.reserve(choice, admission).ok()).flatten()
    }

    /// Picks again while choices are refused: a few times by the strategy, then
    /// by asking everybody.
    #[cold]
    fn pick_avoiding(
        &self,
        group: usize,
        mut refused: Slot,
        cx: &PickCx<'_>,
    ) -> Result<Granted, PickError> {
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
            match self.reserve(choice, Admission::New) {
                Ok(granted) => return Ok(granted),
                Err(_) => refused = choice.slot(),
            }
        }
        self.ask_everybody(group, cx)
    }

    /// Has this request try a half-open backend of a tier or zone that is not in use and
    /// would be, unless another does already.
    #[cold]
    fn try_missed(&self, cx: &PickCx<'_>) -> Option<Granted> {
        let trials = &self.snapshot.roster.trials;
        self.ask(trials, Reason::Trial, Admission::New, cx).ok()
    }

    /// Asks everybody, and in the end those as well that are about to be taken out.
    #[cold]
    fn ask_everybody(&self, group: usize, cx: &PickCx<'_>) -> Result<Granted, PickError> {
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
    ) -> Result<Granted, PickError> {
        let (roster, view) = (&self.snapshot.roster, self.snapshot.view());
        let ask = |slots: &[Slot], reason| self.ask(slots, reason, admission, cx);
        let mut used = Refusals::default();
        for group in roster.groups.from(group) {
            match ask(group.new.as_slice(), Reason::LastResort) {
                Ok(granted) => return Ok(granted),
                Err(refusals) => used += refusals,
            }
        }
        match ask(&roster.trials, Reason::Trial) {
            Ok(granted) => return Ok(granted),
            Err(refusals) => used += refusals,
        }
        let mut reserves = Refusals::default();
        for slots in &roster.reserves {
            match ask(slots, Reason::Standby) {
                Ok(granted) => return Ok(granted),
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
    ) -> Result<Granted, Refusals> {
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
                .and_then(|()| self.reserve(Choice::new(slot, reason), admission));
            match reserved {
                Ok(granted) => return Ok(granted),
                Err(Refused::Full) => refusals.full += 1,
                Err(Refused::Occupied) => refusals.occupied += 1,
                Err(Refused::Closed | Refused::Shunned) => {}
            }
        }
        Err(refusals)
    }

    #[inline]
    fn reserve(&self, choice: Choice, admission: Admission) -> Result<Granted, Refused> {
        let hot = &self.snapshot.roster.hot[choice.slot().index()];
        let trial = hot.load.reserve(admission, hot.limit)?;
        Ok(Granted { choice, trial })
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
