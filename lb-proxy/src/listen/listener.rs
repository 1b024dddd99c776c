//! A listening address as one worker has it.

use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::server::conn::http1;

use super::settings::ListenerSettings;
use crate::runtime::open_count::{Open, OpenCount};

/// The size that hyper lets its buffers grow to by itself.
const HYPER_BUFFER: usize = 400 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    CutOff,
}

/// What all connections of a listener have in common in one worker.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Its address, as text.
    pub(crate) name: Rc<str>,
    settings: RefCell<Rc<ListenerSettings>>,
    http: RefCell<http1::Builder>,
    phase: Cell<Phase>,
    /// Its connections in this worker.
    pub(crate) connections: Rc<OpenCount>,
    /// Its connections, over all workers.
    places: Arc<AtomicUsize>,
}

impl Listener {
    /// `places` counts the connections of this listener over all workers.
    pub(crate) fn new(settings: ListenerSettings, places: Arc<AtomicUsize>) -> Self {
        let http = RefCell::new(http(&settings));
        let name = settings.bind.to_string().into();
        let (settings, phase) = (RefCell::new(Rc::new(settings)), Cell::new(Phase::Open));
        Self { name, settings, http, phase, connections: Rc::default(), places }
    }

    /// What holds from now on: for new connections all of it; for those that are open,
    /// from their next request, all but the limits of a head, which they were made with.
    pub(crate) fn change(&self, settings: ListenerSettings) {
        *self.http.borrow_mut() = http(&settings);
        *self.settings.borrow_mut() = Rc::new(settings);
    }

    /// Accepts no more, and has its connections end when their requests have. Whoever
    /// is concerned looks at it when it is woken.
    pub(crate) fn close(&self) {
        self.phase.set(Phase::Closing);
    }

    /// Has its connections end at once.
    pub(crate) fn cut_off(&self) {
        self.phase.set(Phase::CutOff);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.phase.get() == Phase::CutOff
    }

    pub(crate) fn settings(&self) -> Rc<ListenerSettings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Whether these are its settings, and not those before a change.
    pub(crate) fn is_current(&self, settings: &Rc<ListenerSettings>) -> bool {
        Rc::ptr_eq(&self.settings.borrow(), settings)
    }

    /// How HTTP is spoken with a new client.
    pub(crate) fn http(&self) -> Ref<'_, http1::Builder> {
        self.http.borrow()
    }

    /// A place for one more connection, if there is one.
    pub(super) fn place(self: &Rc<Self>) -> Option<Place> {
        // A statistic with a ceiling: no other data hangs on it.
        let taken = self.places.fetch_add(1, Ordering::Relaxed);
        let place = Place { listener: Rc::clone(self), _open: self.connections.open() };
        (taken < self.settings.borrow().limits.connections).then_some(place)
    }
}

/// One of a listener's connections; free again when dropped.
pub(super) struct Place {
    listener: Rc<Listener>,
    _open: Open,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.places.fetch_sub(1, Ordering::Relaxed);
    }
}

fn http(settings: &ListenerSettings) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.auto_date_header(false).header_read_timeout(None).max_header_size(settings.limits.header);
    // A head has to fit in the buffer it is read into.
    if settings.limits.header > HYPER_BUFFER {
        http.max_buf_size(settings.limits.header);
    }
    // Set only where it differs: any value moves the headers to the heap.
    if settings.limits.headers != ListenerSettings::DEFAULT_HEADERS {
        http.max_headers(settings.limits.headers);
    }
    http
}
