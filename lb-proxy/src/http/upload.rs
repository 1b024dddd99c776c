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
//!
//! A backend may do without a body it has not read: it answers with an error, or
//! says `Connection: close`, and hangs up, as it should (RFC 9112, section 9.6).
//! That is its answer. One that says 2xx and nothing else, and then does not take
//! the rest, has failed.

use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
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
    state: RefCell<State>,
}

#[derive(Debug)]
enum State {
    /// The answer goes on, and perhaps the request. The task waits here.
    Answering(Box<UpstreamConnection>, Option<Waker>),
    /// The answer is over, and this is what becomes of it if the backend takes the
    /// rest of the request.
    Answered(Box<UpstreamConnection>, Flight, Outcome),
    /// The task is over. The connection is still there if it is of further use.
    Ended(Option<Box<UpstreamConnection>>),
}

impl Upload {
    pub(super) fn begin(connection: Box<UpstreamConnection>, client: &Rc<Client>) -> Self {
        let shared = Rc::new(Shared {
            client: Rc::clone(client),
            state: RefCell::new(State::Answering(connection, None)),
        });
        let (running, open) = (Rc::clone(&shared), client.worker.open());
        tokio::task::spawn_local(async move {
            let overdue = poll_fn(|cx| running.poll(cx)).await;
            running.end(overdue);
            drop(open);
        });
        Self(shared)
    }

    /// The answer is over; the request is when its body is, too. Returns it if
    /// that is so already.
    pub(super) fn answered(self, mut flight: Flight, outcome: Outcome) -> Option<Flight> {
        match self.0.state.replace(State::Ended(None)) {
            State::Answering(connection, task) => {
                connection.timer.arm(flight.timeouts().idle);
                self.0.state.replace(State::Answered(connection, flight, outcome));
                task.into_iter().for_each(Waker::wake);
                None
            }
            State::Ended(Some(connection)) => {
                flight.backend_done(outcome);
                flight.keep(connection);
                Some(flight)
            }
            _ => {
                let end = after_the_answer(&flight, outcome, Outcome::Reset, &self.0.client);
                flight.backend_done(end);
                Some(flight)
            }
        }
    }

    /// Looks at the connection, if there still is one.
    pub(super) fn with<T>(&self, look: impl FnOnce(&UpstreamConnection) -> T) -> Option<T> {
        match &*self.0.state.borrow() {
            State::Answering(connection, _) | State::Answered(connection, ..) => {
                Some(look(connection))
            }
            State::Ended(connection) => connection.as_deref().map(look),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = self.0.state.borrow_mut();
        if matches!(*state, State::Answered(..)) {
            return;
        }
        let ended = mem::replace(&mut *state, State::Ended(None));
        drop(state);
        if let State::Answering(_, Some(task)) = ended {
            task.wake();
        }
    }
}

impl Shared {
    /// Ready when there is nothing left to drive: with whether it took too long.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state.borrow_mut();
        let (State::Answering(connection, _) | State::Answered(connection, ..)) = &mut *state
        else {
            return Poll::Ready(false);
        };
        connection.drive(cx);
        if connection.is_over() || connection.is_ready() {
            return Poll::Ready(false);
        }
        match &mut *state {
            State::Answered(connection, flight, _) => {
                let limit = flight.timeouts().idle;
                connection.poll_overdue(cx, limit, self.client.owes_body()).map(|()| true)
            }
            State::Answering(_, task) => {
                *task = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Ended(_) => Poll::Ready(false),
        }
    }

    fn end(&self, overdue: bool) {
        match self.state.replace(State::Ended(None)) {
            // Dropping it ends the answer's body, where that goes on.
            State::Answering(connection, _) => {
                let connection = connection.is_ready().then_some(connection);
                drop(self.state.replace(State::Ended(connection)));
            }
            State::Answered(connection, mut flight, outcome) if connection.is_ready() => {
                flight.backend_done(outcome);
                flight.keep(connection);
            }
            State::Answered(_, mut flight, outcome) => {
                let failure = if overdue { Outcome::Timeout } else { Outcome::Reset };
                let end = after_the_answer(&flight, outcome, failure, &self.client);
                flight.backend_done(end);
            }
            State::Ended(_) => {}
        }
    }
}

/// What a request comes to whose connection is over after its answer, perhaps
/// before the request was.
pub(super) fn after_the_answer(
    flight: &Flight,
    answer: Outcome,
    failure: Outcome,
    client: &Client,
) -> Outcome {
    match answer {
        _ if client.body_is_done() && failure != Outcome::Timeout => answer,
        _ if client.body_failure().is_some() => Outcome::ClientGone,
        Outcome::Status(200..=299) if !flight.may_hang_up() => failure,
        _ => answer,
    }
}
