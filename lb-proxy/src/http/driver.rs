//! Who drives the connection that an answer's body comes from.
//!
//! The body does, whenever it is asked for its next part: no second task, no
//! wake-ups. Only where the request's body is not complete, an [`Upload`] does.

use std::{
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use lb_core::Outcome;

use super::{
    client::Client,
    flight::Flight,
    upload::{Upload, after_the_answer},
};
use crate::upstream::{UpstreamConnection, poll_driven};

#[derive(Debug)]
pub(super) enum Driver {
    /// The answer's body.
    Inline(Box<UpstreamConnection>),
    /// A task, as the client is still sending.
    Task(Upload),
    /// The backend is done, or has failed.
    Nobody,
}

impl Driver {
    pub(super) fn begin(connection: Box<UpstreamConnection>, client: &Rc<Client>) -> Self {
        connection.timer.disarm();
        match client.body_is_done() {
            true => Self::Inline(connection),
            false => Self::Task(Upload::begin(connection, client)),
        }
    }

    /// The next part of the answer that arrives on the connection.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        incoming: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self::Inline(connection) = self else { return Pin::new(incoming).poll_frame(cx) };
        connection.drive(cx);
        poll_driven(cx, |cx| Pin::new(incoming).poll_frame(cx))
    }

    /// Whether the connection is over. Where a task drives it, the answer's body
    /// ends by itself then.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Inline(connection) => connection.is_over(),
            Self::Task(_) => false,
            Self::Nobody => true,
        }
    }

    /// Has the backend's time run, or stops it.
    pub(super) fn limit(&self, limit: Option<Duration>) {
        self.with(|connection| match limit {
            Some(limit) => connection.timer.arm(limit),
            None => connection.timer.disarm(),
        });
    }

    /// Ready when the backend's time has run out; see [`UpstreamConnection::poll_overdue`].
    pub(super) fn poll_overdue(
        &self,
        cx: &mut Context<'_>,
        limit: Duration,
        excused: bool,
    ) -> Poll<()> {
        self.with(|connection| connection.poll_overdue(cx, limit, excused)).unwrap_or(Poll::Pending)
    }

    /// The answer is over. Returns the request, unless its body is not.
    pub(super) fn end(
        &mut self,
        mut flight: Flight,
        outcome: Outcome,
        client: &Rc<Client>,
    ) -> Option<Flight> {
        match mem::replace(self, Self::Nobody) {
            Self::Task(upload) => return upload.answered(flight, outcome),
            Self::Inline(connection) if connection.is_ready() => {
                flight.backend_done(outcome);
                flight.keep(connection);
            }
            // Part of the request is in our buffers.
            Self::Inline(connection) if !connection.is_over() => {
                return Upload::begin(connection, client).answered(flight, outcome);
            }
            Self::Inline(_) => {
                let end = after_the_answer(&flight, outcome, Outcome::Reset, client);
                flight.backend_done(end);
            }
            Self::Nobody => flight.backend_done(outcome),
        }
        Some(flight)
    }

    fn with<T>(&self, look: impl FnOnce(&UpstreamConnection) -> T) -> Option<T> {
        match self {
            Self::Inline(connection) => Some(look(connection)),
            Self::Task(upload) => upload.with(look),
            Self::Nobody => None,
        }
    }
}
