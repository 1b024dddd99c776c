//! Requests that are sent again because nobody knows whether they arrived.
//!
//! With an `Idempotency-Key` the same request by the same person is done once, and
//! answered with the first answer as often as it comes. That holds also for a client whose
//! connection broke before the answer: what it began goes on without it ([`super::finish`]).
//!
//! Kept in memory, for a day, and only so many: it is for repeating, not for remembering.
//! What was refused for want of leave or room has changed nothing, and may be tried again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};

use super::{
    access::{Caller, is_reading},
    caller::Digest,
    problem::Problem,
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is the first one again.
const AGAIN: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longer keys are refused.
const LONGEST_KEY: usize = 255;
/// Answers that are kept,
const MOST: usize = 1_000;
/// all of them together in bytes,
const MOST_BYTES: usize = 16 << 20;
/// and for so long.
const KEPT: Duration = Duration::from_hours(24);

/// All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeated(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    by_key: HashMap<Key, Known>,
    /// Oldest first.
    order: VecDeque<(Key, Instant)>,
    bytes: usize,
}

/// Who, and what he calls it.
type Key = (String, HeaderValue);

#[derive(Debug, Clone)]
struct Known {
    request: Digest,
    /// `None`: it is under way.
    answer: Option<Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers what was asked before as it was answered before.
pub(super) async fn once(
    State(repeated): State<Repeated>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = request.headers().get(KEY).cloned();
    let caller = request.extensions().get::<Caller>();
    let (Some(key), Some(caller)) = (key, caller) else { return Ok(next.run(request).await) };
    if is_reading(request.method(), request.uri().path()) {
        return Ok(next.run(request).await);
    }
    check(&key)?;
    let key = (caller.author.to_string(), key);
    let (head, body) = request.into_parts();
    // It has been read already.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let digest = digest(&head, &body);
    if let Some(first) = repeated.begin(&key, digest, Instant::now())? {
        return Ok(first.again());
    }
    let request = Request::from_parts(head, Body::from(body));
    let ending = Ending { repeated, key };
    let (head, body) = next.run(request).await.into_parts();
    // It is in memory.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let kept = Kept { status: head.status, headers: head.headers.clone(), body: body.clone() };
    ending.with(kept);
    Ok(Response::from_parts(head, Body::from(body)))
}

fn check(key: &HeaderValue) -> Result<(), Problem> {
    let is_good = !key.is_empty() && key.len() <= LONGEST_KEY && key.to_str().is_ok();
    if is_good {
        return Ok(());
    }
    let title = "Not a key";
    Err(Problem::new(StatusCode::BAD_REQUEST, "bad-key", title)
        .detail(format!("`Idempotency-Key` is 1 to {LONGEST_KEY} letters, digits and signs"))
        .hint("a UUID is one: a new one for each change"))
}

/// All that says what is wanted.
fn digest(head: &Parts, body: &[u8]) -> Digest {
    let mut digest = Sha256::new();
    let condition = head.headers.get(header::IF_MATCH).map_or(&b""[..], HeaderValue::as_bytes);
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    for part in [head.method.as_str().as_bytes(), target.as_bytes(), condition, body] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

impl Repeated {
    /// The first answer, if there is one; otherwise it is under way from now on.
    fn begin(&self, key: &Key, request: Digest, now: Instant) -> Result<Option<Kept>, Problem> {
        let mut answers = self.answers();
        answers.forget(now);
        if let Some(known) = answers.by_key.get(key) {
            if known.request != request {
                return Err(another());
            }
            return known.answer.clone().map(Some).ok_or_else(under_way);
        }
        answers.by_key.insert(key.clone(), Known { request, answer: None });
        answers.order.push_back((key.clone(), now));
        Ok(None)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    /// Lets those go that are old or too many.
    fn forget(&mut self, now: Instant) {
        let is_too_old = |begun: Instant| now.saturating_duration_since(begun) >= KEPT;
        while let Some((_, begun)) = self.order.front() {
            let is_much = self.order.len() >= MOST || self.bytes > MOST_BYTES;
            if !is_much && !is_too_old(*begun) {
                return;
            }
            if let Some((key, _)) = self.order.pop_front() {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let known = self.by_key.remove(key);
        self.bytes -= known.and_then(|known| known.answer).map_or(0, |answer| answer.body.len());
    }
}

/// Ends what is under way, also if it fails.
struct Ending {
    repeated: Repeated,
    key: Key,
}

impl Ending {
    fn with(&self, kept: Kept) {
        let has_changed_nothing = kept.status.is_server_error()
            || matches!(kept.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || kept.status == StatusCode::TOO_MANY_REQUESTS;
        if has_changed_nothing {
            return;
        }
        let mut answers = self.repeated.answers();
        let length = kept.body.len();
        if let Some(known) = answers.by_key.get_mut(&self.key) {
            known.answer = Some(kept);
            answers.bytes += length;
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut answers = self.repeated.answers();
        if answers.by_key.get(&self.key).is_some_and(|known| known.answer.is_none()) {
            answers.remove(&self.key);
            answers.order.retain(|(key, _)| *key != self.key);
        }
    }
}

impl Kept {
    fn again(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(AGAIN, HeaderValue::from_static("true"));
        // It does not do anything, whatever it was.
        response.extensions_mut().insert(Again);
        response.into_response()
    }
}

/// On an answer that is the first one again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Again;

fn another() -> Problem {
    let title = "The key is of another request";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-used", title)
        .detail("this `Idempotency-Key` came with another method, target, condition or body")
        .hint("a new key for each change, the same one only to repeat it")
}

fn under_way() -> Problem {
    let title = "Still under way";
    let mut problem = Problem::new(StatusCode::CONFLICT, "under-way", title)
        .detail("the first request with this `Idempotency-Key` is not answered yet")
        .hint("ask again in a moment");
    problem.retry_after = Some(1);
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        ("ann".to_owned(), HeaderValue::from(number))
    }

    fn kept(status: StatusCode, length: usize) -> Kept {
        Kept { status, headers: HeaderMap::new(), body: Bytes::from(vec![b'x'; length]) }
    }

    fn do_once(repeated: &Repeated, number: usize, answer: Kept, now: Instant) {
        assert!(repeated.begin(&key(number), [0; 32], now).unwrap().is_none());
        Ending { repeated: repeated.clone(), key: key(number) }.with(answer);
    }

    #[test]
    fn only_so_many_answers_are_kept_and_for_a_day() {
        let (repeated, now) = (Repeated::default(), Instant::now());
        for number in 0..MOST + 5 {
            do_once(&repeated, number, kept(StatusCode::OK, 10), now);
        }
        let again = |number, now| repeated.begin(&key(number), [0; 32], now).unwrap().is_some();
        assert!(again(MOST + 4, now));
        assert!(!again(0, now), "the oldest has gone");
        assert!(!again(MOST + 4, now + KEPT));
        let answers = repeated.answers();
        assert_eq!((answers.by_key.len(), answers.order.len(), answers.bytes), (1, 1, 0));
    }

    #[test]
    fn large_answers_push_out_older_ones() {
        let (repeated, now) = (Repeated::default(), Instant::now());
        for number in 0..40 {
            do_once(&repeated, number, kept(StatusCode::OK, 1 << 20), now);
        }
        assert!(repeated.answers().bytes <= MOST_BYTES + (1 << 20));
    }

    #[test]
    fn what_has_changed_nothing_for_want_of_room_may_be_tried_again() {
        let (repeated, now) = (Repeated::default(), Instant::now());
        do_once(&repeated, 1, kept(StatusCode::SERVICE_UNAVAILABLE, 1), now);
        assert!(repeated.begin(&key(1), [0; 32], now).unwrap().is_none());
        let twice = repeated.begin(&key(1), [0; 32], now).unwrap_err();
        assert_eq!(twice.status, 409, "it is under way");
        drop(Ending { repeated: repeated.clone(), key: key(1) });
        assert!(repeated.begin(&key(1), [0; 32], now).unwrap().is_none(), "it has failed");
    }
}
