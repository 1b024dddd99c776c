//! Counting what is open, and waiting until nothing is.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

/// How much of something is open in one worker.
#[derive(Debug, Default)]
pub(crate) struct OpenCount {
    open: Cell<usize>,
    /// One who waits.
    on_empty: RefCell<Option<Waker>>,
}

/// Counts as open until dropped.
#[derive(Debug)]
pub(crate) struct Open(Rc<OpenCount>);

impl OpenCount {
    pub(crate) fn open(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        Open(Rc::clone(self))
    }

    pub(crate) fn get(&self) -> usize {
        self.open.get()
    }

    /// Resolves when nothing is open. Of several that wait only the last is told.
    pub(crate) async fn empty(&self) {
        poll_fn(|cx| {
            if self.open.get() == 0 {
                return Poll::Ready(());
            }
            *self.on_empty.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let left = self.0.open.get() - 1;
        self.0.open.set(left);
        if left == 0
            && let Some(waker) = self.0.on_empty.take()
        {
            waker.wake();
        }
    }
}
