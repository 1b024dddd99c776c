//! One try with one backend: connect, send, wait, begin the answer.
//!
//! It ends in an answer, or in what the client is told unless somebody else can do
//! better; whether anybody may try, [`replay`](super::replay) decides.

use std::{
    future::{Future, poll_fn},
    io::ErrorKind,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header, response};
use hyper::body::Incoming;
use lb_core::Outcome;

use super::{
    binder::Stickiness,
    body::{RequestBody, ResponseBody},
    check::has_known_coding,
    client::{BodyFailure, Client},
    deadlines::Deadlines,
    flight::Flight,
    headers::{response_changes, tokens},
    outgoing::Outgoing,
    replay::{Attempt, Decision, Fault, decide},
    status::Trouble,
};
use crate::upstream::{ConnectError, UpstreamConnection, connect, poll_driven};

/// What a backend answered, as the client gets it.
pub(super) struct Answer {
    pub(super) response: Response<ResponseBody>,
    /// What becomes of the client's binding with it, in a cluster that binds.
    pub(super) stickiness: Option<Stickiness>,
}

/// How a try ended, if not with the answer.
pub(super) enum End {
    /// With this the client is left.
    Failed(Trouble),
    /// Another backend may have it.
    Again(Trouble),
    /// There is an answer, but another backend may have a better one.
    Listed(Box<Answer>),
}

pub(super) async fn attempt(
    client: &Rc<Client>,
    mut flight: Flight,
    outgoing: &mut Outgoing,
) -> Result<Answer, End> {
    let mut pooled = flight.pooled();
    loop {
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            // Boxed: rare, and larger than all the rest of this future.
            None => Box::pin(open(client, &mut flight, outgoing)).await?,
        };
        let request = outgoing.hand_over(&connection, &flight);
        flight.goes_out(&connection);
        match exchange(&mut connection, request, client, &flight, &outgoing.deadlines).await {
            Ok(response) => return answered(client, flight, connection, outgoing, response),
            Err(failure) => recover(client, &mut flight, &connection, outgoing, failure)?,
        }
    }
}

async fn open(
    client: &Client,
    flight: &mut Flight,
    outgoing: &Outgoing,
) -> Result<Box<UpstreamConnection>, End> {
    let (trouble, outcome) = match connect_in_time(client, flight, &outgoing.deadlines).await {
        Ok(Ok(connection)) => {
            flight.connected();
            return Ok(connection);
        }
        Ok(Err(error)) => {
            tracing::debug!(backend = flight.backend(), %error, "no connection");
            if error.is_ours() {
                flight.fails(Trouble::OutOfResources, Outcome::Abandoned);
                return Err(End::Failed(Trouble::OutOfResources));
            }
            match error {
                ConnectError::Timeout => (Trouble::ConnectTimeout, Outcome::ConnectTimeout),
                ConnectError::Lookup(_) => (Trouble::Unresolved, Outcome::Unresolved),
                ConnectError::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    (Trouble::Refused, Outcome::Refused)
                }
                _ => (Trouble::Refused, Outcome::Connect),
            }
        }
        Err(Trouble::TotalTimeout) => {
            let is_excused = client.owes_body() || lacks_address(flight, client);
            return Err(out_of_time(flight, outgoing, is_excused));
        }
        Err(_) if lacks_address(flight, client) => (Trouble::Unresolved, Outcome::Unresolved),
        Err(_) => (Trouble::ConnectTimeout, Outcome::ConnectTimeout),
    };
    flight.fails(trouble, outcome);
    let attempt = Attempt {
        fault: Fault::Connect,
        reused: false,
        unsent: true,
        went_out: outgoing.went_out,
        answered: false,
        repeatable: outgoing.is_repeatable,
        another: outgoing.tries_left > 0,
        age: Duration::ZERO,
    };
    // The backend may have what was sent before.
    let trouble = if outgoing.went_out { Trouble::Reset } else { trouble };
    Err(match decide(attempt, outgoing.retries()) {
        Decision::Elsewhere => End::Again(trouble),
        _ => End::Failed(trouble),
    })
}

async fn connect_in_time(
    client: &Client,
    flight: &Flight,
    deadlines: &Deadlines,
) -> Result<Result<Box<UpstreamConnection>, ConnectError>, Trouble> {
    let (address, timeouts) = (flight.lease().backend().address(), flight.timeouts());
    let timer = client.worker.timers.timer();
    let mut connecting = pin!(connect(address, &client.worker.names, timer, timeouts.connect));
    poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => deadlines.poll(cx, timeouts, false).map(Err),
    })
    .await
}

/// Whether the resolver is what an attempt has waited for.
fn lacks_address(flight: &Flight, client: &Client) -> bool {
    client.worker.names.lacks(flight.lease().backend().address())
}

/// Nothing is tried after the time for everything. The first backend has had us
/// wait for all of it; a later one may not have had its share.
fn out_of_time(flight: &mut Flight, outgoing: &Outgoing, is_excused: bool) -> End {
    let is_to_blame = outgoing.is_first_try() && !is_excused;
    let outcome = if is_to_blame { Outcome::Timeout } else { Outcome::Abandoned };
    flight.fails(Trouble::TotalTimeout, outcome);
    End::Failed(Trouble::TotalTimeout)
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
    deadlines: &Deadlines,
) -> impl Future<Output = Result<Response<Incoming>, Failure>> {
    let timeouts = flight.timeouts();
    let response = connection.send(request);
    connection.timer.arm(timeouts.first_byte);
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
            let excused = client.owes_body();
            let trouble = match deadlines.poll(cx, timeouts, excused) {
                Poll::Ready(trouble) => trouble,
                Poll::Pending => {
                    ready!(connection.poll_overdue(cx, timeouts.first_byte, excused));
                    Trouble::FirstByteTimeout
                }
            };
            Poll::Ready(Err(Failure { trouble, error: None, unsent: None }))
        })
        .await
    }
}

fn trouble_of(error: &hyper::Error) -> Trouble {
    if error.is_parse() { Trouble::Malformed } else { Trouble::Reset }
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
        let trouble = client_trouble(failure);
        flight.fails(trouble, Outcome::ClientGone);
        return Err(End::Failed(trouble));
    }
    let (fault, outcome) = match failure.trouble {
        Trouble::TotalTimeout => {
            return Err(out_of_time(flight, outgoing, client.owes_body()));
        }
        Trouble::FirstByteTimeout => (Fault::Timeout, Outcome::Timeout),
        Trouble::Malformed => (Fault::Malformed, Outcome::Reset),
        _ => (Fault::Reset, Outcome::Reset),
    };
    let attempt = Attempt {
        fault,
        reused: connection.is_reused(),
        unsent: failure.unsent.is_some(),
        went_out: outgoing.went_out,
        answered: connection.has_read(),
        repeatable: outgoing.is_repeatable,
        another: outgoing.tries_left > 0,
        age: connection.age(),
    };
    let decision = decide(attempt, outgoing.retries());
    let (backend, client_ip) = (flight.backend(), outgoing.client_ip);
    tracing::debug!(%client_ip, backend, error = ?failure, ?decision, "attempt failed");
    let trouble = failure.trouble;
    outgoing.went_out |= failure.unsent.is_none();
    outgoing.request = failure.unsent.map(|request| *request);
    match decision {
        Decision::Replay if outgoing.may_replay(client) => {
            flight.replays();
            Ok(())
        }
        Decision::Elsewhere => {
            // To a backend that nothing was written to, no connection could be made.
            flight.fails(trouble, if attempt.unsent { Outcome::Connect } else { outcome });
            Err(End::Again(trouble))
        }
        Decision::Replay | Decision::GiveUp => {
            flight.fails(trouble, outcome);
            Err(End::Failed(trouble))
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

/// There is an answer; another backend may have a better one.
fn answered(
    client: &Rc<Client>,
    flight: Flight,
    connection: Box<UpstreamConnection>,
    outgoing: &Outgoing,
    response: Response<Incoming>,
) -> Result<Answer, End> {
    let attempt = Attempt {
        fault: Fault::Status(response.status().as_u16()),
        reused: connection.is_reused(),
        unsent: false,
        went_out: true,
        answered: true,
        repeatable: outgoing.is_repeatable,
        another: outgoing.tries_left > 0,
        age: Duration::ZERO,
    };
    let decision = decide(attempt, outgoing.retries());
    let answer = prepared(client, flight, connection, outgoing, response)?;
    match decision {
        Decision::Elsewhere => Err(End::Listed(Box::new(answer))),
        _ => Ok(answer),
    }
}

/// Makes an answer what the client is to see.
fn prepared(
    client: &Rc<Client>,
    mut flight: Flight,
    connection: Box<UpstreamConnection>,
    outgoing: &Outgoing,
    response: Response<Incoming>,
) -> Result<Answer, End> {
    let (mut head, body) = response.into_parts();
    let status = head.status.as_u16();
    let came = flight.first_byte(status);
    let changes = response_changes(&head, head.status == StatusCode::NO_CONTENT);
    if !is_understood(&head) || changes.names_too_much() {
        flight.fails(Trouble::Malformed, Outcome::Reset);
        return Err(End::Failed(Trouble::Malformed));
    }
    flight.answers(status, came);
    flight.takes_report(&mut head.headers);
    if !client.body_is_done() && says_close(&head) {
        flight.announces_end();
    }
    let date = || client.worker.clock.date();
    let names_places = changes.names_places();
    let named = changes.apply_to_response(&mut head.headers, date, head.version);
    if names_places {
        outgoing.public.apply(&mut head.headers, flight.lease().backend().address());
    }
    if !client.body_is_done() {
        // The backend may never take what is left.
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(session) = outgoing.session {
        flight.saw(session.get());
    }
    let stickiness = flight.bind(outgoing.bound.as_ref(), &mut head.headers);
    // hyper answers in the version the client speaks.
    head.version = Version::HTTP_11;
    let body = ResponseBody::of_backend(body, connection, flight, client, status, named);
    Ok(Answer { response: Response::from_parts(head, body), stickiness })
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
