//! Asking a few backends how loaded they are, beside the requests.
//!
//! For strategies that go by that ([`Prequal`](lb_core::strategy::Prequal)). With each
//! request that is picked a worker asks some backends at random, in tasks of their own:
//! no request waits for a probe. Nor does one lose a connection to it: a probe that is
//! given up takes its connection with it, so probes have some of their own. Probes are
//! not requests: no lease counts them, no log has them, and they fail without a trace but
//! a counter. What they find belongs to the worker.

use std::{
    cell::{Cell, Ref, RefCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{HeaderValue, Request, Response, Version, header, uri::PathAndQuery};
use http_body::Body;
use hyper::body::Incoming;
use lb_core::{
    Lease, LoadReport,
    backend::IncarnationId,
    cluster::{Slot, View},
    sample,
    strategy::{ProbePool, Probed},
};

use super::{body::RequestBody, load_report};
use crate::{
    runtime::{site::WorkerCluster, worker::Worker},
    upstream::{Pool, UpstreamConnection, connect, poll_driven},
};

/// How backends are asked for their load.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSettings {
    /// What is asked for, by `GET`.
    pub path: PathAndQuery,
    /// How many are asked per request; a fraction of one by turns. 16 at most.
    pub per_request: f64,
    /// How long an answer may take; what is later counts as a failure.
    pub timeout: Duration,
}

impl ProbeSettings {
    /// As many probes per request as Prequal's authors send, and no longer than a tenth
    /// of a second for each.
    pub const PER_REQUEST: f64 = 3.0;
    /// See [`PER_REQUEST`](Self::PER_REQUEST).
    pub const TIMEOUT: Duration = Duration::from_millis(100);

    /// Probes of this path, with the defaults of everything else.
    #[must_use]
    pub fn get(path: PathAndQuery) -> Self {
        Self { path, per_request: Self::PER_REQUEST, timeout: Self::TIMEOUT }
    }
}

/// So many probes of a cluster may be under way in a worker. When backends do not answer
/// any more, there is nothing to find out from more of them.
const UNDER_WAY: usize = 64;
/// And so many of one backend: who hangs must not keep the others from being asked.
const PER_BACKEND: u8 = 4;
/// Most per request.
const AT_ONCE: usize = 16;
/// How much of an answer's body is read. Of a longer one, the connection is not kept.
const BODY: usize = 64 << 10;
/// One probe, in what is owed.
const ONE: u32 = 256;

/// The probes of one cluster in one worker.
#[derive(Debug)]
pub(crate) struct Probes {
    pool: RefCell<ProbePool>,
    rate: Cell<f64>,
    /// Fractions of probes that are still to be sent, in 1/256.
    owed: Cell<u32>,
    under_way: Cell<usize>,
    /// The same, by seat.
    there: RefCell<Vec<u8>>,
    /// Connections that wait for their next probe.
    pub(crate) idle: Pool,
}

impl Probes {
    pub(crate) fn new(idle: Pool) -> Self {
        Self {
            pool: RefCell::new(ProbePool::new(0.0)),
            rate: Cell::new(0.0),
            owed: Cell::new(0),
            under_way: Cell::new(0),
            there: RefCell::default(),
            idle,
        }
    }

    /// What is known so far holds on.
    pub(crate) fn send_at(&self, rate: f64) {
        let rate = rate.clamp(0.0, AT_ONCE as f64);
        if self.rate.replace(rate).to_bits() != rate.to_bits() {
            self.pool.borrow_mut().set_rate(rate);
        }
    }

    pub(super) fn pool(&self) -> Ref<'_, ProbePool> {
        self.pool.borrow()
    }

    /// How many are to be sent with a request.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is a small number"
    )]
    fn due(&self) -> usize {
        let owed = self.owed.get() + (self.rate.get() * f64::from(ONE)).round() as u32;
        self.owed.set(owed % ONE);
        (owed / ONE) as usize
    }

    /// Counts in a probe of the backend on this seat, unless enough are under way.
    fn begins(&self, seat: usize) -> bool {
        let mut there = self.there.borrow_mut();
        if there.len() <= seat {
            there.resize(seat + 1, 0);
        }
        let may = self.under_way.get() < UNDER_WAY && there[seat] < PER_BACKEND;
        if may {
            there[seat] += 1;
            self.under_way.set(self.under_way.get() + 1);
        }
        may
    }

    fn ends(&self, seat: usize) {
        self.there.borrow_mut()[seat] -= 1;
        self.under_way.set(self.under_way.get() - 1);
    }
}

/// A request went to a backend by a pick that has seen the pool. With its first try,
/// some backends are asked.
pub(super) fn picked(
    worker: &Rc<Worker>,
    cluster: &Rc<WorkerCluster>,
    lease: &Lease,
    is_first: bool,
) {
    let probes = &cluster.kept.probes;
    probes.pool.borrow_mut().used(lease.incarnation(), lease.started());
    if !is_first {
        return;
    }
    let mut asked = [None; AT_ONCE];
    for at in 0..probes.due().min(AT_ONCE) {
        let handle = cluster.kept.handle.borrow();
        let view = handle.snapshot().view();
        let slots = view.new_set().as_slice();
        let left = slots.len().saturating_sub(at);
        if left == 0 {
            return;
        }
        // Without those asked already: the nth of the others.
        let mut place = sample::index(worker.entropy.next(), left);
        asked[..at].sort_unstable();
        for taken in asked[..at].iter().flatten() {
            place += usize::from(*taken <= place);
        }
        asked[at] = Some(place);
        if probes.begins(view.seat(slots[place])) {
            let target = Target::new(view, slots[place]);
            let probe = probe(Rc::clone(worker), Rc::clone(cluster), target);
            tokio::task::spawn_local(probe);
        }
    }
}

/// Whom a probe asks.
#[derive(Debug)]
struct Target {
    incarnation: IncarnationId,
    seat: usize,
    address: Arc<str>,
}

impl Target {
    fn new(view: View<'_>, slot: Slot) -> Self {
        Self {
            incarnation: view.incarnation(slot),
            seat: view.seat(slot),
            address: Arc::clone(view.backend(slot).shared_address()),
        }
    }
}

/// Counts a probe out, however it ends.
struct UnderWay {
    cluster: Rc<WorkerCluster>,
    seat: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.cluster.kept.probes.ends(self.seat);
    }
}

fn probe(
    worker: Rc<Worker>,
    cluster: Rc<WorkerCluster>,
    target: Target,
) -> impl Future<Output = ()> {
    let under_way = UnderWay { cluster: Rc::clone(&cluster), seat: target.seat };
    async move {
        let _under_way = under_way;
        let Some(settings) = &cluster.settings.probes else { return };
        let started = worker.clock.now();
        let asked = ask(&worker, &cluster, settings, &target);
        let answer = tokio::time::timeout(settings.timeout, asked).await.ok().flatten();
        let now = worker.clock.now();
        let kept = &cluster.kept;
        let handle = kept.handle.borrow();
        let snapshot = handle.snapshot();
        let Some(slot) = snapshot.slot_of(target.incarnation) else { return };
        let Some(report) = answer else {
            kept.tally.probes_failed.add();
            kept.probes.pool.borrow_mut().failed(target.incarnation);
            return;
        };
        kept.tally.probes_answered.add();
        let view = snapshot.view();
        let load = report.unwrap_or_else(|| in_flight(view.in_flight(slot)));
        let latency = load.latency.unwrap_or_else(|| now.since(started));
        let probed = Probed::new(view, slot, load, latency, now);
        let entropy = worker.entropy.next();
        kept.probes.pool.borrow_mut().add(probed, view.new_set().len(), entropy);
    }
}

/// Of a backend that says nothing, what is known here.
fn in_flight(count: u32) -> LoadReport {
    let mut load = LoadReport::new(u64::from(count) * LoadReport::ONE);
    load.in_flight = Some(count);
    load
}

/// Asks once; over a kept connection that turns out to be closed, once more. `None` if
/// there is no answer, or one that is none to what was asked: that a path is not known
/// there must not pass for a backend that is quick.
async fn ask(
    worker: &Worker,
    cluster: &WorkerCluster,
    settings: &ProbeSettings,
    target: &Target,
) -> Option<Option<LoadReport>> {
    let kept = &cluster.kept;
    let idle = &kept.probes.idle;
    let mut pooled = idle.take(target.seat, target.incarnation);
    loop {
        let is_reused = pooled.is_some();
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            None => {
                let timer = worker.timers.timer();
                connect(&target.address, &worker.names, timer, settings.timeout).await.ok()?
            }
        };
        let request = request(worker, &settings.path, &target.address);
        let Some(response) = exchange(&mut connection, request).await else {
            if is_reused {
                continue;
            }
            return None;
        };
        let (head, body) = response.into_parts();
        if read_to_end(&mut connection, body).await && connection.is_ready() {
            let whose = target.incarnation;
            let lives = || kept.handle.borrow().snapshot().slot_of(whose).is_some();
            idle.put(target.seat, whose, lives, connection);
        }
        if !head.status.is_success() {
            return None;
        }
        let reports = cluster.settings.reports.as_ref();
        let heed =
            |settings| load_report::heed(settings, &head.headers, &kept.tally, &cluster.name);
        return Some(reports.and_then(heed));
    }
}

fn request(worker: &Worker, path: &PathAndQuery, address: &str) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::none());
    *request.uri_mut() = path.clone().into();
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("lb-load-probe"));
    // A backend that is this proxy again would send probes for each.
    headers.insert(header::VIA, worker.via.of_request(Version::HTTP_11));
    if let Ok(host) = HeaderValue::from_str(address) {
        headers.insert(header::HOST, host);
    }
    request
}

async fn exchange(
    connection: &mut UpstreamConnection,
    request: Request<RequestBody>,
) -> Option<Response<Incoming>> {
    let mut response = pin!(connection.send(request));
    poll_fn(|cx| {
        connection.drive(cx);
        poll_driven(cx, |cx| response.as_mut().poll(cx)).map(Result::ok)
    })
    .await
}

/// Whether a body has ended, and was not too long.
async fn read_to_end(connection: &mut UpstreamConnection, mut body: Incoming) -> bool {
    let mut length = 0;
    poll_fn(|cx| {
        loop {
            connection.drive(cx);
            if body.is_end_stream() {
                return Poll::Ready(true);
            }
            match poll_driven(cx, |cx| Pin::new(&mut body).poll_frame(cx)) {
                Poll::Ready(Some(Ok(frame))) => {
                    length += frame.data_ref().map_or(0, bytes::Bytes::len);
                    if length > BODY {
                        return Poll::Ready(false);
                    }
                }
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Pending if connection.is_over() => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
