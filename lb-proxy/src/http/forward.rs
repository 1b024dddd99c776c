//! A request's way through, top to bottom: check, route, pick, connect, send,
//! wait, pass the answer on.
//!
//! The one hard decision is where a request may go after a failure; it is made
//! in [`replay`](super::replay). Two kinds of second try exist. A connection that
//! could not be made sends any request to another backend, as no byte of it was
//! sent. A kept connection that turns out to be closed is replaced once by a
//! fresh one to the same backend.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header, request, response};
use http_body::Body;
use hyper::body::Incoming;
use lb_core::{Outcome, PickError, Tried};

use super::body::{RequestBody, RequestGuard, ResponseBody};
use super::check::check;
use super::client::{BodyFailure, Client};
use super::flight::Flight;
use super::head::{RequestHead, Target};
use super::headers::{request_changes, response_changes};
use super::replay::{Attempt, Decision, decide};
use super::status::{self, Form, Trouble};
use crate::upstream::{ConnectError, UpstreamConnection, connect, poll_driven};

/// Backends that are tried for one request, in total.
const ATTEMPTS: usize = 2;

/// Answers a request: with what a backend says, or with why none could.
pub(super) async fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let (head, body) = request.into_parts();
    client.request_begins(head.version, !body.is_end_stream());
    // Read only if it comes to an answer of our own.
    let accept = head.headers.get(header::ACCEPT).cloned();
    let mut response = match forward(&client, head, body).await {
        Ok(response) => response,
        Err(trouble) => {
            let form = Form::accepted(accept.as_ref().map(HeaderValue::as_bytes));
            refuse(&client, trouble, form)
        }
    };
    response.body_mut().ends(RequestGuard(client));
    response
}

fn refuse(client: &Client, trouble: Trouble, form: Form) -> Response<ResponseBody> {
    trouble.log();
    let mut response = status::answer(trouble, form);
    response.headers_mut().insert(header::DATE, client.worker.clock.date());
    if !client.body_is_done() {
        // What is left of the body cannot be told from a next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn forward(
    client: &Rc<Client>,
    mut head: request::Parts,
    body: Incoming,
) -> Result<Response<ResponseBody>, Trouble> {
    check(&head, &client.listener.settings.limits)?;
    let cluster = client.worker.routes.lookup(head.uri.path()).ok_or(Trouble::NoRoute)?.cluster;

    let facts = Facts {
        repeatable: head.method.is_idempotent() && body.is_end_stream(),
        lacks_host: rewrite(&mut head, client),
    };
    let mut request = Request::from_parts(head, RequestBody::new(body, Rc::clone(client)));

    let mut tried = Tried::default();
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let flight = Flight::begin(&client.worker, cluster, &tried)
            .map_err(|error| last.unwrap_or_else(|| nobody(error)))?;
        tried.add(flight.incarnation());
        match attempt(client, flight, request, facts).await {
            Ok(response) => return Ok(response),
            Err(End::Failed(trouble)) => return Err(trouble),
            Err(End::Unsent(unsent, trouble)) => {
                request = *unsent;
                last = Some(trouble);
            }
        }
    }
    Err(last.unwrap_or(Trouble::NoBackend))
}

/// What is known about a request after its head was rewritten.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// Idempotent and without a body.
    repeatable: bool,
    /// An HTTP/1.0 request may lack a host; what a backend gets may not.
    lacks_host: bool,
}

/// Makes the head what a backend is to see. Returns whether it lacks a host.
fn rewrite(head: &mut request::Parts, client: &Client) -> bool {
    if let Target::Absolute { authority, .. } = head.target() {
        // The target's host counts, whatever the header says (RFC 9112, 3.2.2);
        // a name and password in it are not for the backend.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = HeaderValue::from_str(host).ok();
        if let Some(host) = host {
            head.headers.insert(header::HOST, host);
        }
        head.uri = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    }
    request_changes(head).apply_to_request(&mut head.headers, &client.origin, head.version);
    let lacks_host = head.version == Version::HTTP_10 && !head.headers.contains_key(header::HOST);
    head.version = Version::HTTP_11;
    // An offer to upgrade, for instance, which holds on to the connection.
    head.extensions.clear();
    lacks_host
}

fn nobody(error: PickError) -> Trouble {
    tracing::debug!(%error, "nobody to pick");
    if error.is_overload() { Trouble::Overload } else { Trouble::NoBackend }
}

/// How an attempt with one backend ended, if not with an answer.
enum End {
    /// The backend saw nothing of the request, which is here again.
    Unsent(Box<Request<RequestBody>>, Trouble),
    Failed(Trouble),
}

async fn attempt(
    client: &Rc<Client>,
    mut flight: Flight,
    mut request: Request<RequestBody>,
    facts: Facts,
) -> Result<Response<ResponseBody>, End> {
    if facts.lacks_host
        && let Ok(host) = HeaderValue::from_str(flight.lease().backend().address())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let mut pooled = flight.pooled();
    loop {
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            // Boxed: rare, and larger than all the rest of this future.
            None => match Box::pin(open(client, &flight)).await {
                Ok(connection) => connection,
                Err(trouble @ Trouble::OutOfResources) => {
                    flight.backend_done(Outcome::Abandoned);
                    return Err(End::Failed(trouble));
                }
                Err(trouble) => {
                    flight.backend_done(Outcome::Connect);
                    return Err(End::Unsent(Box::new(request), trouble));
                }
            },
        };
        // Only a kept connection can be stale; only then is a copy needed.
        let spare = (connection.is_reused() && facts.repeatable).then(|| copy(&request, client));

        let failure = match exchange(&mut connection, request, client, &flight).await {
            Ok(response) => return pass_on(client, flight, connection, response),
            Err(failure) => failure,
        };
        if let Some(failure) = client.body_failure() {
            flight.backend_done(Outcome::ClientGone);
            return Err(End::Failed(client_trouble(failure)));
        }
        let attempt = Attempt {
            reused: connection.is_reused(),
            unsent: failure.unsent.is_some(),
            answered: connection.has_read(),
            repeatable: facts.repeatable,
        };
        let decision = match failure.trouble {
            Trouble::FirstByteTimeout => Decision::GiveUp,
            _ => decide(attempt),
        };
        let backend = flight.backend();
        tracing::debug!(backend, error = ?failure, ?decision, "attempt failed");
        request = match (decision, failure.unsent, spare) {
            (Decision::Replay, Some(unsent), _) => *unsent,
            (Decision::Replay, None, Some(spare)) => spare,
            (Decision::Elsewhere, Some(unsent), _) => {
                flight.backend_done(Outcome::Connect);
                return Err(End::Unsent(unsent, failure.trouble));
            }
            _ => {
                flight.backend_done(match failure.trouble {
                    Trouble::FirstByteTimeout => Outcome::Timeout,
                    _ => Outcome::Reset,
                });
                return Err(End::Failed(failure.trouble));
            }
        };
        flight.purge();
    }
}

fn client_trouble(failure: BodyFailure) -> Trouble {
    match failure {
        BodyFailure::Stalled => Trouble::BodyStalled,
        BodyFailure::TooLarge => Trouble::BodyTooLarge,
        BodyFailure::Broken => Trouble::BodyBroken,
    }
}

async fn open(client: &Client, flight: &Flight) -> Result<Box<UpstreamConnection>, Trouble> {
    let address = flight.lease().backend().address();
    let timer = client.worker.timers.timer();
    let result = connect(address, timer, flight.timeouts().connect).await;
    result.map_err(|error| {
        tracing::debug!(backend = flight.backend(), %error, "no connection");
        match error {
            ConnectError::Timeout => Trouble::ConnectTimeout,
            error if error.is_ours() => Trouble::OutOfResources,
            _ => Trouble::Refused,
        }
    })
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
async fn exchange(
    connection: &mut UpstreamConnection,
    request: Request<RequestBody>,
    client: &Client,
    flight: &Flight,
) -> Result<Response<Incoming>, Failure> {
    let limit = flight.timeouts().first_byte;
    let mut response = pin!(connection.send(request));
    connection.timer.arm(limit);
    poll_fn(|cx| {
        connection.drive(cx);
        if let Poll::Ready(result) = poll_driven(cx, |cx| response.as_mut().poll(cx)) {
            return Poll::Ready(result.map_err(|mut error| Failure {
                unsent: error.take_message().map(Box::new),
                trouble: trouble_of(error.error()),
                error: Some(error.into_error()),
            }));
        }
        while connection.timer.poll_expired(cx).is_ready() {
            // The backend's time runs from the last byte it took, and not while
            // it is the client who keeps both of us waiting.
            if !connection.take_written() && !client.owes_body() {
                let trouble = Trouble::FirstByteTimeout;
                return Poll::Ready(Err(Failure { trouble, error: None, unsent: None }));
            }
            connection.timer.arm(limit);
        }
        Poll::Pending
    })
    .await
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
) -> Result<Response<ResponseBody>, End> {
    flight.first_byte();
    let (mut head, body) = response.into_parts();
    if !is_understood(&head) {
        flight.backend_done(Outcome::Reset);
        return Err(End::Failed(Trouble::Malformed));
    }
    let changes = response_changes(&head, head.status == StatusCode::NO_CONTENT);
    let date = || client.worker.clock.date();
    changes.apply_to_response(&mut head.headers, date, head.version);
    // hyper answers in the version the client speaks.
    head.version = Version::HTTP_11;
    let body = ResponseBody::of_backend(body, connection, flight, client, head.status.as_u16());
    Ok(Response::from_parts(head, body))
}

/// Whether an answer is one we asked for: no upgrade, and no transfer coding
/// but `chunked`.
fn is_understood(head: &response::Parts) -> bool {
    let coding = head.headers.get(header::TRANSFER_ENCODING);
    head.status != StatusCode::SWITCHING_PROTOCOLS
        && coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}
