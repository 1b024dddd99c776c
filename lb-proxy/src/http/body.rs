//! Bodies on their way through: one frame at a time, never collected.
//!
//! A request's body is read from the client only when the backend takes it, an
//! answer's body from the backend only when the client takes it; that is all the
//! back-pressure there is. The answer's body carries what must last as long as
//! the request does: the connection it comes from, and the lease.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lb_core::Outcome;

use super::{
    attempts::Attempts,
    client::{BodyFailure, Client},
    driver::Driver,
    flight::Flight,
    headers::Named,
    records::word_of,
    trailers,
};
use crate::{runtime::timers::Timer, upstream::UpstreamConnection};

/// Why a body ended early. It is told to hyper, which then breaks the connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client stopped sending")]
    ClientStalled,
    #[error("the body is too large")]
    TooLarge,
    #[error("the backend stopped sending")]
    BackendStalled,
    #[error("the request has taken longer than it may")]
    OutOfTime,
    #[error("the backend closed the connection")]
    BackendGone,
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// The body of a request, read from the client. Ours have none.
#[derive(Debug)]
pub(crate) struct RequestBody(Option<FromClient>);

#[derive(Debug)]
struct FromClient {
    incoming: Incoming,
    client: Rc<Client>,
    left: u64,
    not_in_trailers: Named,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, client: &Rc<Client>, not_in_trailers: Named) -> Self {
        if incoming.is_end_stream() {
            return Self::none();
        }
        let left = client.settings().limits.body.unwrap_or(u64::MAX);
        Self(Some(FromClient { incoming, client: Rc::clone(client), left, not_in_trailers }))
    }

    /// The body of a request that has none.
    pub(super) fn none() -> Self {
        Self(None)
    }
}

impl FromClient {
    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let length = length(frame);
        self.client.records.note(|record| record.bytes_in += length);
        self.left = self.left.checked_sub(length).ok_or_else(|| {
            self.client.body_failed(BodyFailure::TooLarge);
            BodyError::TooLarge
        })?;
        Ok(())
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(this) = &mut self.get_mut().0 else { return Poll::Ready(None) };
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    trailers::clean(trailers, &this.not_in_trailers);
                }
                // hyper asks for nothing after trailers.
                this.client.body_came(frame.is_trailers() || this.incoming.is_end_stream());
                Poll::Ready(Some(this.count(&frame).map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.client.body_failed(BodyFailure::Broken);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.client.body_came(true);
                Poll::Ready(None)
            }
            Poll::Pending if this.client.body_failure().is_some() => {
                Poll::Ready(Some(Err(BodyError::ClientStalled)))
            }
            Poll::Pending => {
                this.client.body_awaited(cx);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.incoming.size_hint())
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    not_in_trailers: Named,
    /// Tells the connection, when dropped, that the answer is handed over.
    request: Option<RequestGuard>,
}

#[derive(Debug)]
enum Source {
    /// Ours.
    Own(Option<Bytes>),
    /// A backend's, which is done with it: what is left is in memory. The lease
    /// lasts until hyper has taken it to write it to the client.
    Read { incoming: Incoming, flight: Option<Flight> },
    /// A backend's, which is still sending.
    Live(Box<Live>),
}

#[derive(Debug)]
struct Live {
    incoming: Incoming,
    driver: Driver,
    /// `None` when it has gone over to the upload.
    flight: Option<Flight>,
    /// How long the backend may take for a part.
    limit: Duration,
    client: Rc<Client>,
    /// If nothing goes wrong.
    outcome: Outcome,
    /// We wait for the backend, and its time is running.
    waiting: bool,
    /// What went wrong, while the client has not got what came before.
    failed: Option<BodyError>,
}

/// Ends the present request of a client connection when dropped.
#[derive(Debug)]
pub(super) struct RequestGuard {
    client: Rc<Client>,
    attempts: Option<Rc<Attempts>>,
}

impl RequestGuard {
    pub(super) fn new(client: Rc<Client>, attempts: Option<Rc<Attempts>>) -> Self {
        Self { client, attempts }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(attempts) = &self.attempts
            && attempts.list().len() > 1
        {
            tracing::debug!(%attempts, "request took several tries");
        }
        self.client.request_ends();
    }
}

impl ResponseBody {
    pub(super) fn own(text: Bytes) -> Self {
        Self { source: Source::Own(Some(text)), not_in_trailers: None, request: None }
    }

    /// The body that follows an answer's head on `connection`.
    pub(super) fn of_backend(
        incoming: Incoming,
        connection: Box<UpstreamConnection>,
        flight: Flight,
        client: &Rc<Client>,
        status: u16,
        not_in_trailers: Named,
    ) -> Self {
        let outcome = Outcome::Status(status);
        // A small answer came together with its head.
        if connection.is_ready() || incoming.is_end_stream() {
            let flight = Driver::Inline(connection).end(flight, outcome, client);
            let source = Source::Read { incoming, flight };
            return Self { source, not_in_trailers, request: None };
        }
        let live = Live {
            incoming,
            driver: Driver::begin(connection, client),
            limit: flight.timeouts().idle,
            flight: Some(flight),
            client: Rc::clone(client),
            outcome,
            waiting: false,
            failed: None,
        };
        Self { source: Source::Live(Box::new(live)), not_in_trailers, request: None }
    }

    /// What comes from the backend after this is cut off.
    pub(super) fn limit(&self, total: Timer) {
        if let Source::Live(live) = &self.source {
            live.client.limit_answer(total);
        }
    }

    /// Nobody wants it: what is still to come is let go of with its connection. The
    /// backend has answered all the same.
    pub(super) fn discard(self) {
        if let Source::Live(live) = self.source
            && let Some(mut flight) = live.flight
        {
            flight.backend_done(live.outcome);
        }
    }

    /// Has the present request of the connection end with this body.
    pub(super) fn ends(&mut self, request: RequestGuard) {
        self.request = Some(request);
    }
}

impl Live {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.failed.is_some() {
            return self.poll_failure();
        }
        if self.client.poll_out_of_time(cx).is_ready() {
            self.fail(BodyError::OutOfTime, cx);
            return Poll::Pending;
        }
        match self.driver.poll_frame(cx, &mut self.incoming) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.stop_waiting();
                self.flight.iter_mut().for_each(|flight| flight.passes_on(&mut frame));
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.backend_done();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.backend_done();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.fail(error.into(), cx);
                Poll::Pending
            }
            Poll::Pending => {
                let error = ready!(self.poll_stalled(cx));
                self.fail(error, cx);
                Poll::Pending
            }
        }
    }

    /// hyper throws away what it has not written when a body fails. So the failure
    /// is told when that is nothing: one turn later, in which it writes, and not
    /// before the client has taken it.
    fn poll_failure(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.client.is_blocked() {
            // The task is woken when the client takes something.
            return Poll::Pending;
        }
        Poll::Ready(self.failed.take().map(Err))
    }

    /// Waits no longer than the backend may take for its next part.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if self.driver.is_over() {
            return Poll::Ready(BodyError::BackendGone);
        }
        if !self.waiting {
            self.waiting = true;
            self.driver.limit(Some(self.limit));
        }
        ready!(self.driver.poll_overdue(cx, self.limit, self.client.owes_body()));
        Poll::Ready(BodyError::BackendStalled)
    }

    fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.driver.limit(None);
        }
    }

    fn backend_done(&mut self) {
        self.stop_waiting();
        if let Some(flight) = self.flight.take() {
            self.flight = self.driver.end(flight, self.outcome, &self.client);
        }
    }

    fn fail(&mut self, error: BodyError, cx: &Context<'_>) {
        let outcome = match error {
            _ if self.client.body_failure().is_some() => Outcome::ClientGone,
            // It may be the client who has taken the time.
            BodyError::OutOfTime if !self.waiting => Outcome::Abandoned,
            BodyError::OutOfTime | BodyError::BackendStalled => Outcome::Timeout,
            _ => Outcome::Reset,
        };
        self.driver = Driver::Nobody;
        // The lease ends here: how long the client takes for what came before is no
        // matter of the backend.
        if let Some(mut flight) = self.flight.take() {
            tracing::debug!(backend = flight.backend(), %error, "answer broke off");
            flight.backend_done(outcome);
        }
        self.client.records.note(|record| record.ends(word_of(&error, self.client.body_failure())));
        self.client.answer_broke_off();
        self.failed = Some(error);
        cx.waker().wake_by_ref();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = match &mut self.source {
            Source::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Source::Read { incoming, flight } => {
                let mut frame = Pin::new(incoming).poll_frame(cx).map_err(BodyError::from);
                if let Poll::Ready(Some(Ok(frame))) = &mut frame {
                    flight.iter_mut().for_each(|flight| flight.passes_on(frame));
                }
                frame
            }
            Source::Live(live) => live.poll_frame(cx),
        };
        if let Poll::Ready(Some(Ok(frame))) = &mut frame {
            if let Some(trailers) = frame.trailers_mut() {
                trailers::clean(trailers, &self.not_in_trailers);
            }
            if let Some(RequestGuard { client, .. }) = &self.request {
                client.records.note(|record| record.bytes_out += length(frame));
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_none(),
            Source::Read { incoming, .. } => incoming.is_end_stream(),
            Source::Live(live) => live.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Source::Read { incoming, .. } => incoming.size_hint(),
            Source::Live(live) => live.incoming.size_hint(),
        }
    }
}
