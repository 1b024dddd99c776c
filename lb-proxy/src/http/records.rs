//! What is logged of one client connection.
//!
//! A connection has one request at a time, so whoever has the connection has its
//! record: the socket, the bodies and the service all add what they see. A request is
//! over when its answer has left: hyper asks the socket to flush when the kernel has
//! taken all it had. Until then the record waits here, and when the connection ends
//! first, the client never saw the end of the answer.

use std::{cell::RefCell, rc::Rc};

use http::{HeaderValue, Request};

use super::{body::BodyError, client::BodyFailure, status::Trouble};
use crate::{
    listen::Listener,
    observe::{
        WorkerLog,
        record::{Asked, Record, end},
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

#[derive(Debug)]
struct Entry {
    record: Record,
    log: Rc<WorkerLog>,
}

impl Entry {
    fn begin(log: Rc<WorkerLog>, whose: Whose<'_>) -> Self {
        let Whose { worker, listener, address } = whose;
        let name = Rc::clone(&listener.name);
        Self { record: Record::new(worker.clock.now(), address.clone(), name), log }
    }

    fn write(&self, worker: &Worker) {
        self.log.write(&self.record, &worker.clock, &worker.entropy);
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
    /// A request begins. Where nothing is logged, this is all it costs.
    pub(super) fn begin<B>(&self, whose: Whose<'_>, request: &Request<B>) {
        if let Some(log) = whose.worker.access_log() {
            let asked = Asked::new(request, log.wanted());
            let mut entry = Box::new(Entry::begin(log, whose));
            entry.record.request = Some(asked);
            *self.present.borrow_mut() = Some(entry);
        }
    }

    /// Whether the present request is logged.
    pub(super) fn is_open(&self) -> bool {
        self.present.borrow().is_some()
    }

    /// Adds to the present request.
    pub(super) fn note(&self, add: impl FnOnce(&mut Record)) {
        if let Some(entry) = &mut *self.present.borrow_mut() {
            add(&mut entry.record);
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
        if let Some(log) = whose.worker.access_log() {
            let verdict = trouble.verdict();
            let mut entry = Entry::begin(log, whose);
            entry.record.status = verdict.status.as_u16();
            entry.record.ends(verdict.word);
            entry.write(whose.worker);
        }
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
