//! What one worker counts of each backend, and of the cluster as its clients see it.
//!
//! A [`Meter`] is written by one worker only and read once a second by whoever makes
//! series of it, so that a request takes no lock, allocates nothing, and shares no cache
//! line with another worker: a few plain loads and stores into 700 bytes. The time of a
//! request was read anyway, for its lease.
//!
//! The hard decision is how a new meter becomes known. The first request of a worker to
//! an incarnation makes one and sends it along a channel, which waits for nobody; a list
//! under a lock could be held by the reader just then.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::Sender,
    },
    time::Duration,
};

use lb_core::{Lease, backend::IncarnationId};

use super::{
    histogram::{PLACES, place},
    sketch::{Sketch, Window},
};

/// Counts that only grow, and wrap around: the reader takes differences. Statistics:
/// written by one worker, read by one reader, and nothing hangs on their order.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Meter {
    answered: AtomicU32,
    unanswered: AtomicU32,
    errors: AtomicU32,
    /// Of those that were answered, by the time to the head of the answer.
    pub(super) latency: [AtomicU32; PLACES],
    /// Clients, where they are bound.
    pub(super) clients: OnceLock<Box<Sketch>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            answered: AtomicU32::new(0),
            unanswered: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            latency: std::array::from_fn(|_| AtomicU32::new(0)),
            clients: OnceLock::new(),
        }
    }
}

/// One more. Cheaper than an atomic addition, which a single writer does not need.
fn add(count: &AtomicU32) {
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
}

impl Meter {
    /// The head of an answer is here, after so long.
    pub(crate) fn answers(&self, took: Duration, is_error: bool) {
        add(&self.answered);
        add(&self.latency[place(took)]);
        if is_error {
            self.errs();
        }
    }

    /// It ended without one.
    pub(crate) fn ends_unanswered(&self, is_error: bool) {
        add(&self.unanswered);
        if is_error {
            self.errs();
        }
    }

    /// An answer that had begun well broke off.
    pub(crate) fn errs(&self) {
        add(&self.errors);
    }

    /// A client came that is bound to this backend, `now` in seconds since 1970.
    pub(crate) fn saw(&self, hash: u64, window: Window, now: u64) {
        self.clients.get_or_init(Box::default).saw(hash, window, now);
    }

    /// Answered, unanswered, errors.
    pub(super) fn read(&self) -> [u32; 3] {
        [&self.answered, &self.unanswered, &self.errors].map(|count| count.load(Relaxed))
    }
}

/// A meter that somebody has begun to write to.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(super) cluster: Arc<str>,
    /// `None`: of the cluster as such.
    pub(super) backend: Option<Arc<str>>,
    pub(super) meter: Arc<Meter>,
}

/// The meters of one cluster in one worker.
#[derive(Debug)]
pub(crate) struct Meters {
    cluster: Arc<str>,
    begun: Sender<Begun>,
    /// Of its requests as clients see them, however many backends were tried.
    pub(crate) whole: Arc<Meter>,
    /// By seat.
    backends: RefCell<Vec<Option<Rc<Metered>>>>,
}

/// A backend as one worker counts it, with its names at hand: those of the lease are shared
/// by all workers, and to clone them is to write where the others do.
#[derive(Debug)]
pub(crate) struct Metered {
    incarnation: IncarnationId,
    pub(crate) name: Rc<str>,
    pub(crate) address: Rc<str>,
    pub(crate) meter: Arc<Meter>,
}

impl Meters {
    pub(super) fn new(cluster: &str, begun: Sender<Begun>) -> Self {
        let meters = Self {
            cluster: cluster.into(),
            begun,
            whole: Arc::default(),
            backends: RefCell::default(),
        };
        meters.begin(None, &meters.whole);
        meters
    }

    /// Whoever the lease is of.
    pub(crate) fn of(&self, lease: &Lease) -> Rc<Metered> {
        let (seat, incarnation) = (lease.seat(), lease.incarnation());
        let known = self.backends.borrow().get(seat).cloned().flatten();
        match known.filter(|known| known.incarnation == incarnation) {
            Some(known) => known,
            None => self.make(seat, lease),
        }
    }

    #[cold]
    fn make(&self, seat: usize, lease: &Lease) -> Rc<Metered> {
        let backend = lease.backend();
        let metered = Rc::new(Metered {
            incarnation: lease.incarnation(),
            name: backend.name().into(),
            address: backend.address().into(),
            meter: Arc::default(),
        });
        self.begin(Some(backend.name().into()), &metered.meter);
        let mut backends = self.backends.borrow_mut();
        if backends.len() <= seat {
            backends.resize(seat + 1, None);
        }
        backends[seat] = Some(Rc::clone(&metered));
        metered
    }

    /// Lets go of those of incarnations that are no more.
    pub(crate) fn retain(&self, lives: impl Fn(IncarnationId) -> bool) {
        for known in &mut *self.backends.borrow_mut() {
            known.take_if(|known| !lives(known.incarnation));
        }
    }

    fn begin(&self, backend: Option<Arc<str>>, meter: &Arc<Meter>) {
        let (cluster, meter) = (Arc::clone(&self.cluster), Arc::clone(meter));
        // Nobody reads any more: then nobody misses it.
        let _ = self.begun.send(Begun { cluster, backend, meter });
    }
}
