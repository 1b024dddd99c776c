//! A request's way through, top to bottom: check, route, pick, connect, send,
//! wait, pass the answer on.
//!
//! A client that closes its half of the connection has left, as far as can be known
//! before an answer is written to it: hyper drops the request, and its backend is
//! let go.
//!
//! The one hard decision is where a request may go after a failure; it is made
//! in [`replay`](super::replay). Each try beyond the first takes a token from the
//! budget of the cluster, so that a cluster in trouble is not asked twice as much.
//! An answer that is on the list of those to retry is kept until there is a better
//! one, and passed on if there is none.

use std::{future::Future, rc::Rc};

use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use lb_core::{PickError, Tried, strategy::Binding};

use super::{
    attempts::Attempts,
    binder::{Binder, is_there},
    body::{RequestBody, RequestGuard, ResponseBody},
    check::check,
    client::Client,
    deadlines::Deadlines,
    exchange::{Answer, End, attempt},
    outgoing::Outgoing,
    request_id::{self, X_REQUEST_ID},
    rewrite::{Rewritten, rewrite},
    session,
    status::{self, Form, Trouble},
};
use crate::observe::RetryReason;

/// Answers a request: with what a backend says, or with why none could.
///
/// All that needs no waiting is done before there is a future, which is the smaller
/// for it: hyper moves it for every request.
pub(super) fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> {
    client.request_begins(&request);
    // Read only if it comes to an answer of our own.
    let accept = request.headers().get(header::ACCEPT).cloned();
    let id = request_id::of(request.headers(), &client);
    let mut outgoing = prepare(&client, request, id.as_ref());
    async move {
        let answer = match &mut outgoing {
            Ok(outgoing) => forward(&client, outgoing).await,
            Err(trouble) => Err(*trouble),
        };
        let mut response = answer.unwrap_or_else(|trouble| {
            let form = Form::accepted(accept.as_ref().map(HeaderValue::as_bytes));
            refuse(&client, trouble, form, id.as_ref())
        });
        let (total, attempts) = match outgoing {
            Ok(mut outgoing) => {
                outgoing.answered(response.status(), client.worker.clock.coarse());
                (outgoing.deadlines.take_total(), Some(outgoing.attempts))
            }
            Err(_) => {
                client.records.began(client.worker.clock.now());
                (None, None)
            }
        };
        client.records.note(|record| {
            record.status = response.status().as_u16();
            record.id.clone_from(&id);
        });
        if let Some(id) = id {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some(total) = total {
            response.body().limit(total);
        }
        response.body_mut().ends(RequestGuard::new(client, attempts));
        response
    }
}

fn refuse(
    client: &Client,
    trouble: Trouble,
    form: Form,
    id: Option<&HeaderValue>,
) -> Response<ResponseBody> {
    trouble.log();
    client.records.note(|record| record.ends(trouble.verdict().word));
    let mut response = status::answer(trouble, form, id);
    response.headers_mut().insert(header::DATE, client.worker.clock.date());
    if !client.body_is_done() || trouble == Trouble::Method {
        // What is left of the body, or comes through a tunnel that the client
        // believes in, cannot be told from a next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn prepare(
    client: &Rc<Client>,
    request: Request<Incoming>,
    id: Option<&HeaderValue>,
) -> Result<Outgoing, Trouble> {
    let (mut head, body) = request.into_parts();
    check(&head, &client.settings().limits)?;
    let site = client.worker.site();
    let Rewritten { cluster, client_ip, key, public, lacks_host, named } =
        rewrite(&mut head, client, &site, id)?;
    let of = &site.clusters[cluster];
    let attempts = Attempts::begin(&client.worker.spares, client.records.is_logged());
    client.records.note(|record| {
        record.cluster = Some(Rc::clone(&of.name));
        record.attempts = Some(Rc::clone(&attempts));
    });
    let retry = &of.settings.retry;
    let is_harmless = retry.any_method || head.method.is_idempotent();
    let is_repeatable = is_harmless && body.is_end_stream();
    let session = session::of(of, key.as_ref(), client_ip, &head.headers);
    let now = || client.worker.clock.unix();
    let finds = |binding: Binding<'_>| is_there(of.kept.handle.borrow().snapshot(), binding);
    let take = |binder: &Binder| binder.take(&head.uri, &mut head.headers, now(), finds);
    let bound = of.binder.as_ref().and_then(take);
    let request = Request::from_parts(head, RequestBody::new(body, client, named));
    Ok(Outgoing {
        cluster,
        client_ip,
        key,
        public,
        request: Some(request),
        spare: None,
        is_repeatable,
        went_out: false,
        was_replayed: false,
        lacks_host,
        tries: 0,
        tries_left: usize::from(retry.attempts),
        bound,
        session,
        deadlines: Deadlines::begin(client, &of.settings.timeouts),
        attempts,
        site,
    })
}

async fn forward(
    client: &Rc<Client>,
    outgoing: &mut Outgoing,
) -> Result<Response<ResponseBody>, Trouble> {
    if outgoing.tries_left > 1 {
        outgoing.cluster().kept.budget.borrow_mut().first_attempt(client.worker.clock.coarse());
    }
    let mut tried = Tried::default();
    // What the client gets if nobody has anything better.
    let mut best: Option<Kept> = None;
    loop {
        let flight = match outgoing.pick(client, &tried) {
            Ok(flight) => flight,
            Err(error) => {
                // A token was taken for this try.
                if best.is_some() {
                    outgoing.give_back_token(client);
                }
                let kept = best.unwrap_or_else(|| Err(nobody(error)));
                return kept.map(|answer| outgoing.pass_on(*answer));
            }
        };
        tried.add(flight.incarnation());
        if let Some(last) = &best {
            outgoing.cluster().kept.tally.retries(reason(last)).add();
        }
        let end = match attempt(client, flight, outgoing).await {
            Ok(answer) => {
                discard(best);
                return Ok(outgoing.pass_on(answer));
            }
            Err(end) => end,
        };
        let (next, may_go_on) = match end {
            End::Failed(trouble) => (Err(trouble), false),
            End::Again(trouble) => (Err(trouble), true),
            End::Listed(answer) => (Ok(answer), true),
        };
        // An answer is better than none, while there is time to pass it on.
        if !matches!((&best, &next), (Some(Ok(_)), Err(trouble)) if *trouble != Trouble::TotalTimeout)
        {
            discard(best.replace(next));
        }
        if !(may_go_on && outgoing.take_token(client)) {
            let kept = best.unwrap_or(Err(Trouble::NoBackend));
            return kept.map(|answer| outgoing.pass_on(*answer));
        }
    }
}

/// What a try came to, when there was perhaps more to come.
type Kept = Result<Box<Answer>, Trouble>;

fn reason(last: &Kept) -> RetryReason {
    match last {
        Ok(_) => RetryReason::Status,
        Err(Trouble::FirstByteTimeout) => RetryReason::Timeout,
        Err(Trouble::Reset) => RetryReason::Reset,
        Err(_) => RetryReason::Connect,
    }
}

fn discard(answer: Option<Kept>) {
    if let Some(Ok(answer)) = answer {
        answer.response.into_body().discard();
    }
}

fn nobody(error: PickError) -> Trouble {
    tracing::debug!(%error, "nobody to pick");
    if error.is_overload() { Trouble::Overload } else { Trouble::NoBackend }
}
