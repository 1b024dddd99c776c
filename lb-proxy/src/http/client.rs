//! What the parts of one client connection know together: in which phase it is,
//! and how long that may last.
//!
//! The socket sees bytes, the service sees requests, the bodies see frames; none
//! of them alone knows that a client has stopped in the middle of a head. They
//! share this, and the task of the connection acts on it when a limit ends.

use std::{
    cell::{Cell, OnceCell, Ref, RefCell},
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{
    headers::Origin,
    records::{Records, Whose},
};
use crate::{
    listen::{Listener, ListenerSettings},
    runtime::{timers::Timer, worker::Worker},
};

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of its head.
    Head,
    /// The end of the answer and of the request's body.
    Request,
    /// The client's end, after an answer it might lose otherwise.
    Linger,
}

/// Why a request body will not be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFailure {
    Stalled,
    TooLarge,
    /// The connection broke, or it is no body.
    Broken,
}

/// How the request body of the present request fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Complete, or there is none.
    Done,
    /// Somebody will ask for it.
    Open,
    /// Somebody has asked, and the client has not sent it yet.
    Awaited,
    Failed(BodyFailure),
}

/// How long an answer may wait for the client to close, when part of the request
/// was not read. Closing at once would reset the connection, and the client
/// might never see the answer.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection without a request is kept open when draining.
const IDLE_WHEN_DRAINING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<Listener>,
    /// Those of the listener, as they were when the present request began.
    settings: RefCell<Rc<ListenerSettings>>,
    pub(crate) origin: Origin,
    phase: Cell<Phase>,
    /// Of the present request.
    version: Cell<Version>,
    body: Cell<Body>,
    /// Who waits for the next part of it.
    body_reader: RefCell<Option<Waker>>,
    /// The answer was handed over, before the body was complete.
    answered: Cell<bool>,
    /// Limits what we wait for from the client.
    receiving: Timer,
    /// Limits how long it takes nothing. Made when it first does.
    sending: OnceCell<Timer>,
    /// Limits the answer that goes on, if anything limits it as a whole.
    total: RefCell<Option<Timer>>,
    blocked: Cell<bool>,
    /// The connection has to end in a reset.
    reset: Cell<bool>,
    pub(super) records: Records,
}

impl Client {
    pub(crate) fn new(worker: Rc<Worker>, listener: Rc<Listener>, peer: IpAddr) -> Self {
        let receiving = worker.timers.timer();
        let settings = listener.settings();
        receiving.arm(settings.timeouts.keep_alive);
        let via = Rc::clone(&worker.via);
        Self {
            worker,
            listener,
            settings: RefCell::new(settings),
            origin: Origin::new(peer, via),
            phase: Cell::new(Phase::Idle),
            version: Cell::new(Version::HTTP_11),
            body: Cell::new(Body::Done),
            body_reader: RefCell::new(None),
            answered: Cell::new(false),
            receiving,
            sending: OnceCell::new(),
            total: RefCell::default(),
            blocked: Cell::new(false),
            reset: Cell::new(false),
            records: Records::default(),
        }
    }

    /// What holds for the present request. Timeouts are those of the request before
    /// until its head is complete.
    pub(crate) fn settings(&self) -> Ref<'_, ListenerSettings> {
        Ref::map(self.settings.borrow(), |settings| &**settings)
    }

    /// Whether no further request is taken.
    pub(super) fn is_draining(&self) -> bool {
        self.worker.is_draining() || self.listener.is_closing()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// What its records say of it.
    pub(super) fn as_recorded(&self) -> Whose<'_> {
        let Self { worker, listener, origin, .. } = self;
        Whose { worker, listener, address: &origin.address }
    }

    // ── seen by the socket ──

    /// Bytes came. Empty lines before a request are none of it (RFC 9112, section
    /// 2.2): some clients send one after a body.
    pub(super) fn received(&self, bytes: &[u8]) {
        let is_empty = || bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if self.phase.get() == Phase::Idle && !is_empty() {
            self.phase.set(Phase::Head);
            self.receiving.arm(self.settings().timeouts.header);
        }
    }

    /// The client takes nothing at present.
    pub(super) fn send_blocked(&self, cx: &Context<'_>) {
        let timer = self.sending.get_or_init(|| self.worker.timers.timer());
        if !self.blocked.replace(true) {
            timer.arm(self.settings().timeouts.send_stall);
        }
        timer.register(cx);
    }

    /// The client took something.
    pub(super) fn sent(&self) {
        if self.blocked.replace(false)
            && let Some(timer) = self.sending.get()
        {
            timer.disarm();
        }
    }

    /// All that was to be written is with the kernel.
    pub(super) fn flushed(&self) {
        self.records.left(&self.worker);
    }

    /// Whether closing now would lose an answer: there are, or will be, bytes of
    /// the client that nobody reads.
    pub(super) fn must_linger(&self) -> bool {
        self.phase.get() == Phase::Head || self.body.get() != Body::Done
    }

    pub(super) fn lingers(&self) {
        if self.phase.replace(Phase::Linger) != Phase::Linger {
            self.receiving.arm(LINGER);
        }
    }

    // ── seen by the service ──

    /// A head is complete.
    pub(super) fn request_begins(&self, request: &Request<Incoming>) {
        if !self.listener.is_current(&self.settings.borrow()) {
            *self.settings.borrow_mut() = self.listener.settings();
        }
        self.version.set(request.version());
        self.phase.set(Phase::Request);
        self.receiving.disarm();
        self.body.set(if request.body().is_end_stream() { Body::Done } else { Body::Open });
        self.answered.set(false);
        self.records.begin(self.as_recorded(), request);
    }

    /// The answer was handed over completely. The request ends with it, or with its
    /// body if that takes longer.
    pub(super) fn request_ends(&self) {
        self.records.leaves();
        drop(self.total.take());
        if self.phase.get() != Phase::Request {
            return;
        }
        match self.body.get() {
            Body::Open | Body::Awaited => self.answered.set(true),
            Body::Done | Body::Failed(_) => {
                self.phase.set(Phase::Idle);
                self.receiving.arm(self.settings().timeouts.keep_alive);
            }
        }
    }

    /// Limits the answer that has begun, until it is handed over.
    pub(super) fn limit_answer(&self, total: Timer) {
        *self.total.borrow_mut() = Some(total);
    }

    /// Ready, once, when the answer takes longer than it may.
    pub(super) fn poll_out_of_time(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.total.borrow().as_ref().map_or(Poll::Pending, |total| total.poll_expired(cx))
    }

    /// Whether the client has yet to take what was written last.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// The answer broke off, and the client must see it. In HTTP/1.1 it does, by
    /// a missing rest; in HTTP/1.0 an end may be the end of the answer.
    pub(super) fn answer_broke_off(&self) {
        if self.version.get() == Version::HTTP_10 {
            self.reset.set(true);
        }
    }

    pub(super) fn ends_in_reset(&self) -> bool {
        self.reset.get()
    }

    // ── seen by the request's body ──

    pub(super) fn body_awaited(&self, cx: &Context<'_>) {
        *self.body_reader.borrow_mut() = Some(cx.waker().clone());
        if self.body.replace(Body::Awaited) != Body::Awaited {
            self.receiving.arm(self.settings().timeouts.body_idle);
        }
    }

    pub(super) fn body_came(&self, last: bool) {
        if self.body.replace(if last { Body::Done } else { Body::Open }) == Body::Awaited {
            self.receiving.disarm();
        }
        if last {
            drop(self.body_reader.take());
            if self.answered.get() {
                self.request_ends();
            }
        }
    }

    pub(super) fn body_failed(&self, failure: BodyFailure) {
        self.body.set(Body::Failed(failure));
    }

    pub(super) fn body_failure(&self) -> Option<BodyFailure> {
        match self.body.get() {
            Body::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the next step is the client's: it owes a part of the body.
    pub(super) fn owes_body(&self) -> bool {
        self.body.get() == Body::Awaited
    }

    pub(super) fn body_is_done(&self) -> bool {
        self.body.get() == Body::Done
    }

    // ── seen by the connection's task ──

    /// Whether a connection may be told to end. An idle one may have a request on
    /// its way, and gets a moment to deliver it, which is then answered with
    /// `Connection: close`; one that is sending a head has one for sure. One whose
    /// answer went out before the body was complete was told by that answer, and ends
    /// with the body. hyper would close all three at once.
    pub(super) fn may_be_told_to_end(&self) -> bool {
        match self.phase.get() {
            Phase::Idle => {
                self.receiving.arm_no_later(IDLE_WHEN_DRAINING);
                false
            }
            Phase::Head => false,
            Phase::Request => !self.answered.get(),
            Phase::Linger => true,
        }
    }

    /// Ready when the client took too long, with what it should have done.
    /// Otherwise the task is woken when that is so.
    pub(super) fn poll_overdue(&self, cx: &mut Context<'_>) -> Poll<Overdue> {
        if self.blocked.get()
            && let Some(timer) = self.sending.get()
            && timer.poll_expired(cx).is_ready()
        {
            return Poll::Ready(Overdue::Take);
        }
        // The answer's body sees it first, unless hyper asks for none of it as the
        // client is slow to take it.
        if self.poll_out_of_time(cx).is_ready() {
            return Poll::Ready(Overdue::TakeAll);
        }
        if self.receiving.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        match self.phase.get() {
            // It is still busy taking the last answer, which nothing may cut short or
            // get into.
            Phase::Idle if self.blocked.get() => {
                self.wait_on(self.settings().timeouts.keep_alive, cx)
            }
            Phase::Head if self.blocked.get() => self.wait_on(self.settings().timeouts.header, cx),
            Phase::Idle => Poll::Ready(Overdue::Ask),
            Phase::Head => Poll::Ready(Overdue::FinishHead),
            Phase::Linger => Poll::Ready(Overdue::Close),
            Phase::Request => {
                if self.body.get() == Body::Awaited {
                    self.body.set(Body::Failed(BodyFailure::Stalled));
                    self.body_reader.take().into_iter().for_each(Waker::wake);
                }
                self.receiving.register(cx);
                Poll::Pending
            }
        }
    }

    fn wait_on(&self, limit: Duration, cx: &Context<'_>) -> Poll<Overdue> {
        self.receiving.arm(limit);
        self.receiving.register(cx);
        Poll::Pending
    }
}

/// What a client did not do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Send a request.
    Ask,
    /// Complete a request head.
    FinishHead,
    /// Take what waits for it.
    Take,
    /// Take the whole of an answer, within the time for everything.
    TakeAll,
    /// Close the connection.
    Close,
}
