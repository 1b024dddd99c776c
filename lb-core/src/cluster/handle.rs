//! A worker's way into a cluster.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Shared, Wake,
    acknowledge::Worker,
    lease::{Lease, Pinned},
    pick_error::PickError,
    slots::Slot,
    snapshot::Snapshot,
};
use crate::{
    backend::load::{Admission, Refused},
    sample,
    strategy::{Choice, PickCx, Reason},
};

/// Picks backends for one worker. It caches the snapshot, hence `&mut self`; make
/// one per thread.
pub struct ClusterHandle {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    /// What leases hold on to. One per handle and snapshot, so that counting a
    /// lease's reference touches no cache line of another worker.
    pinned: Arc<Pinned>,
}

impl ClusterHandle {
    pub(super) fn new(shared: Arc<Shared>, wake: Wake) -> Self {
        // Registered with nothing acknowledged, so that no publication can fall
        // between loading the snapshot and being known as a worker.
        let worker = shared.workers.register(wake, 0);
        let pinned = Arc::new(Pinned::new(shared.current.load_full()));
        shared.workers.acknowledge(&worker, pinned.snapshot().publication());
        Self { shared, worker, pinned }
    }

    /// Takes up the latest snapshot and thereby acknowledges it; says whether it
    /// is another one than before. One atomic load when it is not.
    pub fn refresh(&mut self) -> bool {
        let published = self.shared.publication.load(Ordering::Acquire);
        if published == self.snapshot().publication() {
            return false;
        }
        self.take_up();
        true
    }

    /// Picks a backend and counts the request in on it. Takes no lock and
    /// allocates nothing, unless a snapshot was published since the last call.
    ///
    /// A [preferred](PickCx::preferring) backend is taken if it admits clients
    /// bound to it. Otherwise the strategy picks; where its choice turns out to
    /// be closed or full, it picks again without it. As long as one backend can
    /// take the request, one is found.
    ///
    /// # Errors
    ///
    /// [`PickError`], with the reasons, when there is none.
    pub fn acquire(&mut self, cx: &PickCx<'_>) -> Result<Lease, PickError> {
        self.refresh();
        if let Some(name) = cx.preferred()
            && let Some(lease) = self.reserve_preferred(name, cx)
        {
            return Ok(lease);
        }
        let snapshot = self.pinned.snapshot();
        match snapshot.picker.pick(snapshot.view(), cx) {
            Some(choice) => match self.reserve(choice, Admission::New, cx) {
                Ok(lease) => Ok(lease),
                Err(_) => self.acquire_avoiding(choice.slot(), cx),
            },
            None => self.acquire_any(cx),
        }
    }

    /// The snapshot it picks from until the next call of
    /// [`refresh`](Self::refresh) or [`acquire`](Self::acquire).
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        self.pinned.snapshot()
    }

    #[cold]
    fn take_up(&mut self) {
        self.pinned = Arc::new(Pinned::new(self.shared.current.load_full()));
        self.shared.workers.acknowledge(&self.worker, self.snapshot().publication());
    }

    fn reserve_preferred(&self, name: &str, cx: &PickCx<'_>) -> Option<Lease> {
        let view = self.snapshot().view();
        let slot = self.snapshot().find(name)?;
        let may = view.bound_set().contains(slot) && !view.was_tried(slot, cx);
        let choice = Choice::new(slot, Reason::Preferred);
        may.then(|| self.reserve(choice, Admission::Bound, cx).ok()).flatten()
    }

    /// Picks again while choices are refused: a few times by the strategy, then
    /// by looking at everybody.
    #[cold]
    fn acquire_avoiding(&self, refused: Slot, cx: &PickCx<'_>) -> Result<Lease, PickError> {
        let snapshot = self.snapshot();
        let mut tried = *cx.tried();
        let mut refused = refused;
        for attempt in 1..=3 {
            tried.add(snapshot.view().incarnation(refused));
            let again = cx.again(&tried, attempt);
            let Some(choice) = snapshot.picker.pick(snapshot.view(), &again) else { break };
            match self.reserve(choice, Admission::New, cx) {
                Ok(lease) => return Ok(lease),
                Err(_) => refused = choice.slot(),
            }
        }
        self.acquire_any(cx)
    }

    /// Asks everybody, starting anywhere.
    #[cold]
    fn acquire_any(&self, cx: &PickCx<'_>) -> Result<Lease, PickError> {
        let view = self.snapshot().view();
        let slots = view.new_set().as_slice();
        if !slots.is_empty() {
            let (before, after) = slots.split_at(sample::index(cx.entropy(), slots.len()));
            for slot in after.iter().chain(before).copied() {
                if !view.was_tried(slot, cx)
                    && let Ok(lease) =
                        self.reserve(Choice::new(slot, Reason::LastResort), Admission::New, cx)
                {
                    return Ok(lease);
                }
            }
        }
        Err(PickError::explain(view, cx))
    }

    fn reserve(
        &self,
        choice: Choice,
        admission: Admission,
        cx: &PickCx<'_>,
    ) -> Result<Lease, Refused> {
        let slot = choice.slot();
        let hot = &self.snapshot().roster.hot[slot.index()];
        debug_assert!(
            admission == Admission::Bound || self.snapshot().view().is_candidate(slot, cx),
            "the strategy picked a backend that it may not pick"
        );
        hot.load.reserve(admission, hot.limit)?;
        Ok(Lease::new(Arc::clone(&self.pinned), choice, cx.now()))
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
            .field("snapshot", &self.snapshot().stamp())
            .finish_non_exhaustive()
    }
}
