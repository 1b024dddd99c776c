//! A stream of events: server-sent events, as browsers read them.
//!
//! Each client has a short queue of its own. Who does not read is not waited for: the
//! events he misses are counted, and he is told how many. So a client costs a bounded
//! amount whatever it does, and whoever makes an event never waits.
//!
//! Nothing is sent to whom would not be let in any more, and no stream goes on for ever:
//! clients come again with `Last-Event-ID`, and are looked at then.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderValue, header};
use http_body::Frame;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::{Instant, timeout},
};

use super::{dto, streams::StreamPlace};
use crate::control::{Event, Events};

/// Messages that wait for a client.
const WAITING: usize = 32;
/// Something is sent at least so often: who is gone is noticed, and no one between thinks
/// that we are.
const BEAT: Duration = Duration::from_secs(10);
/// A stream ends after this.
const LONGEST: Duration = Duration::from_mins(15);

/// Streams what comes after `since`, or what comes from now on, for as long as it is
/// `allowed`.
pub(super) fn stream(
    events: &Events,
    since: Option<u64>,
    place: StreamPlace,
    allowed: impl Fn() -> bool + Send + 'static,
) -> Response {
    let (oldest, newest) = events.span();
    // A number that was never given is of another start: all is news then.
    let since = match since {
        Some(since) if since <= newest => since,
        Some(_) => 0,
        None => newest,
    };
    let (past, mut future) = events.follow(since);
    let missed = oldest.saturating_sub(since + 1);
    let (send, receive) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _place = place;
        // The head of the answer goes with the first bytes.
        let mut first = vec![Bytes::from_static(b": events follow\n\n")];
        if missed > 0 {
            first.push(gap(missed));
        }
        let past = first.into_iter().chain(past.iter().map(message));
        for message in past {
            if send.send(message).await.is_err() {
                return;
            }
        }
        let end = Instant::now() + LONGEST;
        loop {
            let next = tokio::select! {
                next = timeout(BEAT, future.recv()) => next,
                () = send.closed() => return,
            };
            if Instant::now() >= end || !allowed() {
                return;
            }
            let message = match next {
                Err(_) => Bytes::from_static(b": still here\n\n"),
                Ok(Ok(event)) => message(&event),
                Ok(Err(RecvError::Lagged(missed))) => gap(missed),
                Ok(Err(RecvError::Closed)) => return,
            };
            if send.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Body::new(Stream(receive)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn message(event: &Arc<Event>) -> Bytes {
    let event = dto::Event::from(&**event);
    // Numbers and texts; and JSON has no line breaks.
    let data = serde_json::to_string(&event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.seq, event.kind).into()
}

fn gap(missed: u64) -> Bytes {
    format!("event: gap\ndata: {{\"missed\":{missed}}}\n\n").into()
}

/// A body of what comes through a channel.
struct Stream(mpsc::Receiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        admin::{caller::Caller, streams::Streams},
        control::EventKind,
    };

    fn follow(allowed: impl Fn() -> bool + Send + 'static) -> (Events, Response) {
        let events = Events::new();
        let place = Streams::default().take(&Caller::of_socket(0)).unwrap();
        let response = stream(&events, None, place, allowed);
        (events, response)
    }

    fn push(events: &Events, why: &str) {
        let kind = EventKind::Note;
        events.push(Event { kind, why: why.to_owned(), ..Event::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn no_stream_goes_on_for_ever() {
        let (_events, response) = follow(|| true);
        let start = Instant::now();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(start.elapsed(), LONGEST);
        assert!(text.ends_with(b": still here\n\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_let_in_any_more_hears_nothing_more() {
        let is_allowed = Arc::new(AtomicBool::new(true));
        let allowed = Arc::clone(&is_allowed);
        let (events, response) = follow(move || allowed.load(Relaxed));
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        push(&events, "one");
        let told = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&told).contains("one"));
        is_allowed.store(false, Relaxed);
        push(&events, "two");
        assert!(body.frame().await.is_none());
    }
}
