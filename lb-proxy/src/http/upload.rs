//! The rest of a request's body when its answer has begun, or is even over.
//!
//! Until then a connection to a backend is driven by who waits for the answer. But
//! hyper asks for an answer's body only while the client takes it: a client that
//! sends everything before it reads, and a backend that does both at a time,
//! would wait for each other. And a backend that answers before it has read
//! everything would get half. So from then on the connection has a task of its
//! own, the one exception to driving connections inline. It goes on after the
//! answer until the backend has taken everything or somebody gives up.
//!
//! The answer's body still belongs to the client's task, which takes it from the
//! channel that hyper fills.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use lb_core::Outcome;

use super::{client::Client, flight::Flight};
use crate::upstream::UpstreamConnection;

/// A connection that is driven by its own task. Dropping this ends it, unless the
/// answer was [complete](Upload::answered).
#[derive(Debug)]
pub(super) struct Upload(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Rc<Client>,
    /// `None` when it is of no more use.
    connection: RefCell<Option<Box<UpstreamConnection>>>,
    /// The request when its answer is over, and what became of it.
    answered: RefCell<Option<(Flight, Outcome)>>,
    task: RefCell<Option<Waker>>,
    ended: Cell<bool>,
}

impl Upload {
    pub(super) fn begin(connection: Box<UpstreamConnection>, client: &Rc<Client>) -> Self {
        let shared = Rc::new(Shared {
            client: Rc::clone(client),
            connection: RefCell::new(Some(connection)),
            answered: RefCell::default(),
            task: RefCell::default(),
            ended: Cell::new(false),
        });
        let (running, open) = (Rc::clone(&shared), client.worker.open());
        tokio::task::spawn_local(async move {
            poll_fn(|cx| running.poll(cx)).await;
            running.end();
            drop(open);
        });
        Self(shared)
    }

    /// The answer is over; the request is when its body is, too. Returns it if
    /// that is so already.
    pub(super) fn answered(self, mut flight: Flight, outcome: Outcome) -> Option<Flight> {
        if self.0.ended.get() {
            flight.backend_done(outcome);
            if let Some(connection) = self.0.connection.take() {
                flight.keep(connection);
            }
            return Some(flight);
        }
        if let Some(connection) = &*self.0.connection.borrow() {
            connection.timer.arm(flight.timeouts().idle);
        }
        *self.0.answered.borrow_mut() = Some((flight, outcome));
        self.0.wake();
        None
    }

    /// Looks at the connection, if there still is one.
    pub(super) fn with<T>(&self, look: impl FnOnce(&UpstreamConnection) -> T) -> Option<T> {
        self.0.connection.borrow().as_deref().map(look)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.0.answered.borrow().is_none() {
            drop(self.0.connection.take());
            self.0.wake();
        }
    }
}

impl Shared {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut connection = self.connection.borrow_mut();
        let Some(connection) = &mut *connection else { return Poll::Ready(()) };
        connection.drive(cx);
        if connection.is_over() || connection.is_ready() {
            return Poll::Ready(());
        }
        if let Some((flight, _)) = &*self.answered.borrow() {
            let limit = flight.timeouts().idle;
            return connection.poll_overdue(cx, limit, self.client.owes_body());
        }
        *self.task.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn end(&self) {
        self.ended.set(true);
        // Dropping it ends the answer's body, where that goes on.
        let connection = self.connection.take().filter(|connection| connection.is_ready());
        match self.answered.take() {
            None => *self.connection.borrow_mut() = connection,
            Some((mut flight, outcome)) => {
                flight.backend_done(outcome);
                if let Some(connection) = connection {
                    flight.keep(connection);
                }
            }
        }
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}
