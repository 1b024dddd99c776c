//! A request on its way to a backend, with all it takes to send it again.

use std::{mem, net::IpAddr, num::NonZeroU64, rc::Rc};

use http::{HeaderValue, Request, Response, StatusCode, header};
use lb_core::{Outcome, PickCx, PickError, Tick, Tried};

use super::{
    attempts::Attempts,
    binder::Bound,
    body::{RequestBody, ResponseBody},
    client::Client,
    deadlines::Deadlines,
    exchange::Answer,
    flight::Flight,
    key::RequestKey,
    load_probe,
    public::PublicForm,
    retry::RetryOn,
};
use crate::{
    runtime::site::{Site, WorkerCluster},
    upstream::UpstreamConnection,
};

pub(super) struct Outgoing {
    /// What routed it; holds for it until its answer begins.
    pub(super) site: Rc<Site>,
    /// Position in the site.
    pub(super) cluster: usize,
    /// Where it came from, as far as trusted proxies tell it.
    pub(super) client_ip: IpAddr,
    /// What its cluster picks by, if it picks by a key and the request has one.
    pub(super) key: Option<RequestKey>,
    /// How its client sees what it asks for.
    pub(super) public: PublicForm,
    /// `None` while it is with a connection.
    pub(super) request: Option<Request<RequestBody>>,
    /// The same again, where it may have to be repeated. hyper gives back only
    /// what it has not begun to write, and keeps the headers to itself.
    pub(super) spare: Option<Request<RequestBody>>,
    /// Carrying it out twice is harmless, and it has no body.
    pub(super) is_repeatable: bool,
    /// A connection to the present backend may have got it.
    pub(super) went_out: bool,
    /// It was replayed once for free.
    pub(super) was_replayed: bool,
    /// An HTTP/1.0 request may lack a host; what a backend gets may not.
    pub(super) lacks_host: bool,
    /// Backends that were asked.
    pub(super) tries: usize,
    /// Backends that may still be asked.
    pub(super) tries_left: usize,
    /// To which backend the client is bound.
    pub(super) bound: Option<Bound>,
    /// Which session it is of, where its cluster binds those.
    pub(super) session: Option<NonZeroU64>,
    pub(super) deadlines: Deadlines,
    pub(super) attempts: Rc<Attempts>,
}

impl Outgoing {
    pub(super) fn cluster(&self) -> &Rc<WorkerCluster> {
        &self.site.clusters[self.cluster]
    }

    pub(super) fn retries(&self) -> &RetryOn {
        &self.cluster().settings.retry.on
    }

    pub(super) fn is_first_try(&self) -> bool {
        self.tries == 1
    }

    /// Picks a backend, none of those that were tried. This is a try.
    pub(super) fn pick(&mut self, client: &Client, tried: &Tried) -> Result<Flight, PickError> {
        let worker = &client.worker;
        let now = worker.clock.now();
        if self.tries == 0 {
            client.records.began(now);
        }
        let cluster = self.cluster();
        let mut cx =
            PickCx::new(now, worker.entropy.next()).on_worker(worker.number).avoiding(tried);
        if let Some(key) = &self.key {
            cx = cx.keyed(key.as_bytes());
        }
        if let Some(bound) = &self.bound {
            cx = cx.bound_to(bound.binding());
        }
        let flight = {
            let probes = cluster.settings.probes.as_ref().map(|_| cluster.kept.probes.pool());
            let cx = probes.as_deref().map_or(cx, |pool| cx.probed(pool));
            Flight::begin(worker, cluster, &cx, &self.attempts)?
        };
        if cluster.settings.probes.is_some() {
            load_probe::picked(worker, cluster, flight.lease(), self.tries == 0);
        }
        self.deadlines.begin_try(flight.timeouts());
        self.tries += 1;
        self.tries_left = self.tries_left.saturating_sub(1);
        self.went_out = false;
        Ok(flight)
    }

    /// Takes a token for one more try, of this cluster in this worker.
    pub(super) fn take_token(&self, client: &Client) -> bool {
        let kept = &self.cluster().kept;
        let has_token = kept.budget.borrow_mut().try_retry(client.worker.clock.coarse());
        if !has_token {
            kept.tally.retry_budget_exhausted.add();
        }
        has_token
    }

    /// Gives back a token that nobody could be tried with.
    pub(super) fn give_back_token(&self, client: &Client) {
        self.cluster().kept.budget.borrow_mut().give_back(client.worker.clock.coarse());
    }

    /// This is the answer that the client gets.
    pub(super) fn pass_on(&self, answer: Answer) -> Response<ResponseBody> {
        if let Some(stickiness) = answer.stickiness {
            self.cluster().kept.tally.bound(stickiness);
            self.attempts.binds(stickiness);
        }
        answer.response
    }

    /// Counts it for its cluster: the client gets this answer, whoever it is from.
    pub(super) fn answered(&self, status: StatusCode, now: Tick) {
        let meter = &self.cluster().kept.meters.whole;
        let is_error = Outcome::Status(status.as_u16()).is_held_against();
        let first = self.attempts.list().first().map(|first| first.started);
        match first {
            Some(picked) => meter.answers(now.since(picked), is_error),
            // Nobody could be picked: that took no time worth telling.
            None => meter.ends_unanswered(is_error),
        }
    }

    /// Whether it may be replayed: once for free, then for a token.
    pub(super) fn may_replay(&mut self, client: &Client) -> bool {
        !mem::replace(&mut self.was_replayed, true) || self.take_token(client)
    }

    /// The request, as it is sent over `connection`.
    pub(super) fn hand_over(
        &mut self,
        connection: &UpstreamConnection,
        flight: &Flight,
    ) -> Request<RequestBody> {
        let request = self.request.take().or_else(|| self.spare.take());
        let mut request = request.expect("an attempt begins with the request at hand");
        if self.lacks_host
            && let Ok(host) = HeaderValue::from_str(flight.lease().backend().address())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        // A kept connection can be stale; anything else needs another backend.
        let may_repeat = connection.is_reused() || self.tries_left > 0;
        self.spare = (may_repeat && self.is_repeatable).then(|| copy(&request));
        request
    }
}

/// The same request again. It has no body, or it would not be repeatable.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::none());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
