//! A request's way through, top to bottom: check, route, pick, connect, send,
//! wait, pass the answer on.
//!
//! A client that closes its half of the connection has left, as far as can be known
//! before an answer is written to it: hyper drops the request, and its backend is
//! let go.
//!
//! The one hard decision is where a request may go after a failure; it is made
//! in [`replay`](super::replay). Two kinds of second try exist. A connection that
//! could not be made sends any request to another backend, as no byte of it was
//! sent. A kept connection that turns out to be closed is replaced once by a
//! fresh one to the same backend, and to no other: it may have the request.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header, response};
use http_body::Body;
use hyper::body::Incoming;
use lb_core::{Outcome, PickError, Tried};

use super::{
    body::{RequestBody, RequestGuard, ResponseBody},
    check::{check, has_known_coding},
    client::{BodyFailure, Client},
    flight::Flight,
    headers::{response_changes, tokens},
    public::PublicForm,
    replay::{Attempt, Decision, decide},
    request_id::{self, X_REQUEST_ID},
    rewrite::{Rewritten, rewrite},
    status::{self, Form, Trouble},
};
use crate::{
    runtime::site::Site,
    upstream::{ConnectError, UpstreamConnection, connect, poll_driven},
};

/// Backends that are tried for one request, in total.
const ATTEMPTS: usize = 2;

/// Answers a request: with what a backend says, or with why none could.
///
/// All that needs no waiting is done before there is a future, which is the smaller
/// for it: hyper moves it for every request.
pub(super) fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> {
    client.request_begins(request.version(), !request.body().is_end_stream());
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
        if let Some(id) = id {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response.body_mut().ends(RequestGuard(client));
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
    let mut response = status::answer(trouble, form, id);
    response.headers_mut().insert(header::DATE, client.worker.clock.date());
    if !client.body_is_done() || trouble == Trouble::Method {
        // What is left of the body, or comes through a tunnel that the client
        // believes in, cannot be told from a next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request on its way to a backend.
struct Outgoing {
    /// What routed it; holds for it until its answer begins.
    site: Rc<Site>,
    /// Position in the site.
    cluster: usize,
    /// Where it came from, as far as trusted proxies tell it.
    client_ip: IpAddr,
    /// How its client sees what it asks for.
    public: PublicForm,
    /// `None` while it is with a connection.
    request: Option<Request<RequestBody>>,
    /// The same again, where it may have to be repeated.
    spare: Option<Request<RequestBody>>,
    /// Idempotent and without a body.
    is_repeatable: bool,
    /// A backend may have it, whatever became of that attempt.
    went_out: bool,
    /// An HTTP/1.0 request may lack a host; what a backend gets may not.
    lacks_host: bool,
}

fn prepare(
    client: &Rc<Client>,
    request: Request<Incoming>,
    id: Option<&HeaderValue>,
) -> Result<Outgoing, Trouble> {
    let (mut head, body) = request.into_parts();
    check(&head, &client.settings().limits)?;
    let site = client.worker.site();
    let is_repeatable = head.method.is_idempotent() && body.is_end_stream();
    let Rewritten { cluster, client_ip, public, lacks_host, named } =
        rewrite(&mut head, client, &site.routes, id)?;
    let request = Request::from_parts(head, RequestBody::new(body, Rc::clone(client), named));
    let (request, spare, went_out) = (Some(request), None, false);
    Ok(Outgoing {
        site,
        cluster,
        client_ip,
        public,
        request,
        spare,
        is_repeatable,
        went_out,
        lacks_host,
    })
}

async fn forward(
    client: &Rc<Client>,
    outgoing: &mut Outgoing,
) -> Result<Response<ResponseBody>, Trouble> {
    let mut tried = Tried::default();
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let cluster = &outgoing.site.clusters[outgoing.cluster];
        let flight = Flight::begin(&client.worker, cluster, &tried)
            .map_err(|error| last.unwrap_or_else(|| nobody(error)))?;
        tried.add(flight.incarnation());
        match attempt(client, flight, outgoing).await {
            Ok(response) => return Ok(response),
            Err(End::Failed(trouble)) => return Err(trouble),
            // The replay was not sent, but the backend may have what was sent before.
            Err(End::Unsent(_)) if outgoing.went_out => return Err(Trouble::Reset),
            Err(End::Unsent(trouble)) => last = Some(trouble),
        }
    }
    Err(last.unwrap_or(Trouble::NoBackend))
}

fn nobody(error: PickError) -> Trouble {
    tracing::debug!(%error, "nobody to pick");
    if error.is_overload() { Trouble::Overload } else { Trouble::NoBackend }
}

/// How an attempt with one backend ended, if not with an answer.
enum End {
    /// The backend saw nothing of this attempt: if it is the only one, the request
    /// can go elsewhere.
    Unsent(Trouble),
    Failed(Trouble),
}

async fn attempt(
    client: &Rc<Client>,
    mut flight: Flight,
    outgoing: &mut Outgoing,
) -> Result<Response<ResponseBody>, End> {
    let mut pooled = flight.pooled();
    loop {
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            // Boxed: rare, and larger than all the rest of this future.
            None => Box::pin(open(client, &mut flight)).await?,
        };
        let request = outgoing.hand_over(&connection, &flight, client);
        match exchange(&mut connection, request, client, &flight).await {
            Ok(response) => {
                return pass_on(client, flight, connection, response, &outgoing.public);
            }
            Err(failure) => recover(client, &mut flight, &connection, outgoing, failure)?,
        }
    }
}

impl Outgoing {
    fn hand_over(
        &mut self,
        connection: &UpstreamConnection,
        flight: &Flight,
        client: &Rc<Client>,
    ) -> Request<RequestBody> {
        let request = self.request.take().or_else(|| self.spare.take());
        let mut request = request.expect("an attempt begins with the request at hand");
        if self.lacks_host
            && let Ok(host) = HeaderValue::from_str(flight.lease().backend().address())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        // Only a kept connection can be stale; only then is a copy needed.
        if connection.is_reused() && self.is_repeatable {
            self.spare = Some(copy(&request, client));
        }
        request
    }
}

/// Decides what follows a failed exchange: `Ok` is another one, on a fresh
/// connection to the same backend.
fn recover(
    client: &Client,
    flight: &mut Flight,
    connection: &UpstreamConnection,
    outgoing: &mut Outgoing,
    failure: Failure,
) -> Result<(), End> {
    if let Some(failure) = client.body_failure() {
        flight.backend_done(Outcome::ClientGone);
        return Err(End::Failed(client_trouble(failure)));
    }
    let decision = decide(Attempt {
        reused: connection.is_reused(),
        unsent: failure.unsent.is_some(),
        answered: connection.has_read(),
        repeatable: outgoing.is_repeatable,
        timed_out: failure.trouble == Trouble::FirstByteTimeout,
        age: connection.age(),
    });
    let (backend, client_ip) = (flight.backend(), outgoing.client_ip);
    tracing::debug!(%client_ip, backend, error = ?failure, ?decision, "attempt failed");
    outgoing.went_out |= failure.unsent.is_none();
    outgoing.request = failure.unsent.map(|request| *request);
    match decision {
        Decision::Replay => {
            flight.purge();
            Ok(())
        }
        Decision::Elsewhere => {
            flight.backend_done(Outcome::Connect);
            Err(End::Unsent(failure.trouble))
        }
        Decision::GiveUp => {
            flight.backend_done(match failure.trouble {
                Trouble::FirstByteTimeout => Outcome::Timeout,
                _ => Outcome::Reset,
            });
            Err(End::Failed(failure.trouble))
        }
    }
}

fn client_trouble(failure: BodyFailure) -> Trouble {
    match failure {
        BodyFailure::Stalled => Trouble::BodyStalled,
        BodyFailure::TooLarge => Trouble::BodyTooLarge,
        BodyFailure::Broken => Trouble::BodyBroken,
    }
}

async fn open(client: &Client, flight: &mut Flight) -> Result<Box<UpstreamConnection>, End> {
    let address = flight.lease().backend().address();
    let timer = client.worker.timers.timer();
    let error = match connect(address, &client.worker.names, timer, flight.timeouts().connect).await
    {
        Ok(connection) => return Ok(connection),
        Err(error) => error,
    };
    tracing::debug!(backend = flight.backend(), %error, "no connection");
    if error.is_ours() {
        flight.backend_done(Outcome::Abandoned);
        return Err(End::Failed(Trouble::OutOfResources));
    }
    flight.backend_done(Outcome::Connect);
    Err(End::Unsent(match error {
        ConnectError::Timeout => Trouble::ConnectTimeout,
        ConnectError::Lookup(_) => Trouble::Unresolved,
        _ => Trouble::Refused,
    }))
}

/// The same request again. It has no body, or it would not be repeatable.
fn copy(request: &Request<RequestBody>, client: &Rc<Client>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::none(Rc::clone(client)));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Why no head of an answer came.
#[derive(Debug)]
struct Failure {
    trouble: Trouble,
    /// hyper's, for the log.
    #[expect(dead_code, reason = "read by Debug")]
    error: Option<hyper::Error>,
    unsent: Option<Box<Request<RequestBody>>>,
}

/// Sends a request and waits for the head of its answer.
fn exchange(
    connection: &mut UpstreamConnection,
    request: Request<RequestBody>,
    client: &Client,
    flight: &Flight,
) -> impl Future<Output = Result<Response<Incoming>, Failure>> {
    let limit = flight.timeouts().first_byte;
    let response = connection.send(request);
    connection.timer.arm(limit);
    async move {
        let mut response = pin!(response);
        poll_fn(|cx| {
            connection.drive(cx);
            if let Poll::Ready(result) = poll_driven(cx, |cx| response.as_mut().poll(cx)) {
                return Poll::Ready(result.map_err(|mut error| Failure {
                    unsent: error.take_message().map(Box::new),
                    trouble: trouble_of(error.error()),
                    error: Some(error.into_error()),
                }));
            }
            ready!(connection.poll_overdue(cx, limit, client.owes_body()));
            let trouble = Trouble::FirstByteTimeout;
            Poll::Ready(Err(Failure { trouble, error: None, unsent: None }))
        })
        .await
    }
}

fn trouble_of(error: &hyper::Error) -> Trouble {
    if error.is_parse() { Trouble::Malformed } else { Trouble::Reset }
}

/// Begins the answer to the client.
fn pass_on(
    client: &Rc<Client>,
    mut flight: Flight,
    connection: Box<UpstreamConnection>,
    response: Response<Incoming>,
    public: &PublicForm,
) -> Result<Response<ResponseBody>, End> {
    flight.first_byte();
    let (mut head, body) = response.into_parts();
    if !is_understood(&head) {
        flight.backend_done(Outcome::Reset);
        return Err(End::Failed(Trouble::Malformed));
    }
    if !client.body_is_done() && says_close(&head) {
        flight.announces_end();
    }
    let changes = response_changes(&head, head.status == StatusCode::NO_CONTENT);
    if changes.names_too_much() {
        flight.backend_done(Outcome::Reset);
        return Err(End::Failed(Trouble::Malformed));
    }
    let date = || client.worker.clock.date();
    let names_places = changes.names_places();
    let named = changes.apply_to_response(&mut head.headers, date, head.version);
    if names_places {
        public.apply(&mut head.headers, flight.lease().backend().address());
    }
    if !client.body_is_done() {
        // The backend may never take what is left.
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // hyper answers in the version the client speaks.
    head.version = Version::HTTP_11;
    let status = head.status.as_u16();
    let body = ResponseBody::of_backend(body, connection, flight, client, status, named);
    Ok(Response::from_parts(head, body))
}

/// Whether the connection ends with this answer.
fn says_close(head: &response::Parts) -> bool {
    let mut values = head.headers.get_all(header::CONNECTION).iter();
    head.version == Version::HTTP_10
        || values.any(|value| tokens(value.as_bytes()).any(|t| t.eq_ignore_ascii_case(b"close")))
}

/// Whether an answer is one we asked for: no upgrade, and no transfer coding
/// but `chunked`.
fn is_understood(head: &response::Parts) -> bool {
    head.status != StatusCode::SWITCHING_PROTOCOLS && has_known_coding(head)
}
