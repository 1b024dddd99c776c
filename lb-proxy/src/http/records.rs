//! What is logged and kept of one client connection.
//!
//! A connection has one request at a time, so whoever has the connection has its
//! record: the socket, the bodies and the service all add what they see. A request is
//! over when its answer has left: hyper asks the socket to flush when the kernel has
//! taken all it had. Until then the record waits here, and when the connection ends
//! first, the client never saw the end of the answer.
//!
//! Every request has a record, since only its end tells whether it is kept to be asked
//! about. Without a log it holds on to what the request came with, a count each, in a box
//! that was used before: no allocation, and with the meters and the list of tries about
//! 0.2 µs for a request.

use std::{cell::RefCell, rc::Rc};

use http::{HeaderValue, Request};
use lb_core::Tick;

use super::{attempts::Attempts, body::BodyError, client::BodyFailure, status::Trouble};
use crate::{
    listen::Listener,
    observe::{
        WorkerLog,
        record::{Asked, Record, Wanted, end},
    },
    runtime::worker::Worker,
};

#[derive(Debug, Default)]
pub(super) struct Records {
    present: RefCell<Option<Box<Entry>>>,
    /// Their answers are written as far as the kernel takes them. Several if the
    /// client sends requests without waiting.
    #[expect(clippy::vec_box, reason = "they come out of a box")]
    leaving: RefCell<Vec<Box<Entry>>>,
}

/// A request, and where it is logged.
#[derive(Debug)]
pub(super) struct Entry {
    record: Record,
    log: Option<Rc<WorkerLog>>,
}

impl Entry {
    fn begin(whose: Whose<'_>) -> Box<Self> {
        let Whose { worker, listener, address } = whose;
        let log = worker.access_log();
        // Only lines of a log have to be precise.
        let now = if log.is_some() { worker.clock.now() } else { worker.clock.coarse() };
        match worker.spares.entry() {
            Some(mut spare) => {
                spare.record.begin_again(now, address, &listener.name);
                spare.log = log;
                spare
            }
            None => {
                let record = Record::new(now, address.clone(), Rc::clone(&listener.name));
                Box::new(Self { record, log })
            }
        }
    }

    /// Lets go of what it holds on to. Returns the list of the tries.
    pub(super) fn clear(&mut self) -> Option<Rc<Attempts>> {
        self.log = None;
        self.record.clear()
    }

    /// The request is over.
    fn write(self: Box<Self>, worker: &Worker) {
        if let Some(log) = &self.log {
            log.write(&self.record, &worker.clock, &worker.entropy);
        }
        worker.recents.consider(&self.record, &worker.clock);
        worker.spares.take_back(self);
    }
}

/// A connection, as records name it.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) worker: &'a Worker,
    pub(super) listener: &'a Listener,
    pub(super) address: &'a HeaderValue,
}

impl Records {
    /// A request begins.
    pub(super) fn begin<B>(&self, whose: Whose<'_>, request: &Request<B>) {
        let mut entry = Entry::begin(whose);
        let wanted = entry.log.as_ref().map_or_else(Wanted::default, |log| log.wanted());
        entry.record.request = Some(Asked::new(request, wanted));
        *self.present.borrow_mut() = Some(entry);
    }

    /// Whether the present request is logged.
    pub(super) fn is_logged(&self) -> bool {
        self.present.borrow().as_ref().is_some_and(|entry| entry.log.is_some())
    }

    /// Adds to the present request.
    pub(super) fn note(&self, add: impl FnOnce(&mut Record)) {
        if let Some(entry) = &mut *self.present.borrow_mut() {
            add(&mut entry.record);
        }
    }

    /// The present request is picked for, or refused at once: then it began just now, unless
    /// a log knows better.
    pub(super) fn began(&self, now: Tick) {
        if let Some(entry) = &mut *self.present.borrow_mut()
            && entry.log.is_none()
        {
            entry.record.started = now;
        }
    }

    /// The answer of the present request was handed over to be written.
    pub(super) fn leaves(&self) {
        if let Some(entry) = self.present.take() {
            self.leaving.borrow_mut().push(entry);
        }
    }

    /// All that was handed over is written.
    pub(super) fn left(&self, worker: &Worker) {
        self.leaving.borrow_mut().drain(..).for_each(|entry| entry.write(worker));
    }

    /// The connection is over. What has not left yet ended for this reason, unless it
    /// had one of its own.
    pub(super) fn end(&self, worker: &Worker, why: &'static str) {
        self.leaves();
        self.leaving.borrow_mut().iter_mut().for_each(|entry| entry.record.ends(why));
        self.left(worker);
    }

    /// What came was no request, and was answered nevertheless.
    pub(super) fn refused(whose: Whose<'_>, trouble: Trouble) {
        let verdict = trouble.verdict();
        let mut entry = Entry::begin(whose);
        entry.record.status = verdict.status.as_u16();
        entry.record.ends(verdict.word);
        entry.write(whose.worker);
    }
}

/// Why an answer broke off, in a word.
pub(super) fn word_of(error: &BodyError, failure: Option<BodyFailure>) -> &'static str {
    match (failure, error) {
        (Some(BodyFailure::Stalled), _) => end::CLIENT_TIMEOUT,
        (Some(BodyFailure::TooLarge), _) => Trouble::BodyTooLarge.verdict().word,
        (Some(BodyFailure::Broken), _) => end::CLIENT_ABORT,
        (None, BodyError::OutOfTime) => Trouble::TotalTimeout.verdict().word,
        (None, BodyError::BackendStalled) => Trouble::FirstByteTimeout.verdict().word,
        (None, _) => Trouble::Reset.verdict().word,
    }
}
