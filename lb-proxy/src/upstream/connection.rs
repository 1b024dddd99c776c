//! One HTTP/1.1 connection to a backend, driven by whoever uses it.
//!
//! hyper gives two halves, one to send requests and a future that moves bytes.
//! The usual way is to spawn the future. Here the request that uses the
//! connection polls it inline: no second task, no wake-up between two tasks for
//! each event, and dropping the request drops the connection. An idle connection
//! is polled by nobody but the pool.
//!
//! What hyper does not pass on: interim answers (1xx) of a backend are dropped. What
//! it does not take: an answer with more than 100 header lines, which is malformed
//! to us.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::io::{Traffic, UpstreamIo};
use crate::{http::body::RequestBody, runtime::timers::Timer};

#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    sender: http1::SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<UpstreamIo>, RequestBody>,
    driver_done: bool,
    traffic: Rc<Traffic>,
    reused: bool,
    /// For the limit of the phase the request is in.
    pub(crate) timer: Timer,
}

impl UpstreamConnection {
    pub(super) async fn handshake(stream: TcpStream, timer: Timer) -> hyper::Result<Self> {
        let traffic = Rc::new(Traffic::new(timer.clock()));
        let io = TokioIo::new(UpstreamIo::new(stream, Rc::clone(&traffic)));
        let (sender, driver) = http1::Builder::new().handshake(io).await?;
        Ok(Self { sender, driver, driver_done: false, traffic, reused: false, timer })
    }

    /// Hands a request over. Nothing happens until [`drive`](Self::drive).
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<>
    {
        self.traffic.restart();
        self.sender.try_send_request(request)
    }

    /// Moves bytes as far as possible. What comes of it shows at the response
    /// future and the response body; the error is told to them.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.driver_done {
            self.driver_done = Pin::new(&mut self.driver).poll(cx).is_ready();
        }
    }

    /// Whether the connection is over: nothing will come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.driver_done
    }

    /// Whether request and answer went through completely and it can take
    /// another request.
    pub(crate) fn is_ready(&self) -> bool {
        !self.driver_done && self.sender.is_ready()
    }

    /// Looks whether the backend has closed it, or sent what nobody asked for.
    /// Tasks that used it before are not woken for it afterwards.
    pub(super) fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.drive(&mut cx);
        self.is_ready()
    }

    pub(super) fn mark_reused(&mut self) {
        self.reused = true;
    }

    /// Whether it has served a request before this one.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether anything was read since the request was handed over.
    pub(crate) fn has_read(&self) -> bool {
        self.traffic.has_read()
    }

    /// What goes through it for the present request.
    pub(crate) fn traffic(&self) -> &Rc<Traffic> {
        &self.traffic
    }

    /// How long ago the request was handed over.
    pub(crate) fn age(&self) -> Duration {
        self.traffic.age()
    }

    /// Ready when the armed limit has passed and the backend is to blame: its time
    /// runs from the last byte it took, and not while it is `excused`, as it is the
    /// client who keeps both of us waiting.
    pub(crate) fn poll_overdue(
        &self,
        cx: &mut Context<'_>,
        limit: Duration,
        excused: bool,
    ) -> Poll<()> {
        ready!(self.timer.poll_expired(cx));
        if excused {
            self.timer.arm(limit);
        } else {
            self.timer.arm_from(self.traffic.last_written(), limit);
        }
        self.timer.poll_expired(cx)
    }
}

/// Polls what only [`UpstreamConnection::drive`] can complete, and `drive` was
/// just called. Registering our task would have it woken by itself; that is only
/// right where the runtime has made us yield.
pub(crate) fn poll_driven<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    if tokio::task::coop::has_budget_remaining() {
        poll(&mut Context::from_waker(Waker::noop()))
    } else {
        poll(cx)
    }
}
