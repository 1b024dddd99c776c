//! What requests that are over leave to the next ones of their worker.
//!
//! The record of a request and the list of its tries are made for every request, and a
//! connection that waits should hold neither. So the worker has a heap of each, as high as
//! as many requests as were under way at a time, up to [`MOST`].

use std::{cell::RefCell, rc::Rc};

use super::{attempts::Attempts, records::Entry};

/// Further ones are let go of.
const MOST: usize = 256;

/// The heaps of one worker.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    #[expect(clippy::vec_box, reason = "they come in boxes, and leave in them")]
    entries: RefCell<Vec<Box<Entry>>>,
    attempts: RefCell<Vec<Rc<Attempts>>>,
}

impl Spares {
    pub(super) fn entry(&self) -> Option<Box<Entry>> {
        self.entries.borrow_mut().pop()
    }

    pub(super) fn attempts(&self) -> Rc<Attempts> {
        self.attempts.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back one that nobody needs any more. Its list too, if nobody else has it: a
    /// try may outlive its request.
    pub(super) fn take_back(&self, mut entry: Box<Entry>) {
        if let Some(attempts) = entry.clear()
            && Rc::strong_count(&attempts) == 1
        {
            let mut spare = self.attempts.borrow_mut();
            if spare.len() < MOST {
                attempts.clear();
                spare.push(attempts);
            }
        }
        let mut spare = self.entries.borrow_mut();
        if spare.len() < MOST {
            spare.push(entry);
        }
    }
}
