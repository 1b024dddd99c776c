//! The body of an answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pattern::pattern;

/// What a demo backend sends.
#[derive(Debug)]
pub(super) enum Reply {
    /// These bytes.
    Text(Bytes),
    /// So many bytes of the pattern.
    Pattern(Pattern),
    /// What the client sends.
    Echo(Incoming),
}

/// A piece of the pattern on its way.
#[derive(Debug)]
pub(super) struct Pattern {
    sent: u64,
    length: u64,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// `Content-Length`.
    Sized,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// `Content-Length`, and a broken promise.
    Truncated,
    /// The same, when all that will ever be sent was handed over.
    Ending,
}

impl Reply {
    pub(super) fn pattern(length: u64, framing: Framing) -> Self {
        Self::Pattern(Pattern { sent: 0, length, framing })
    }
}

impl Pattern {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let end = match self.framing {
            Framing::Sized | Framing::Chunked => self.length,
            Framing::Truncated | Framing::Ending => self.length / 2,
        };
        if self.sent < end {
            let bytes = pattern(self.sent, end - self.sent);
            self.sent += bytes.len() as u64;
            return Poll::Ready(Some(Ok(bytes)));
        }
        match self.framing {
            Framing::Sized | Framing::Chunked => Poll::Ready(None),
            Framing::Truncated => {
                // An error drops what is still buffered; waiting once flushes it.
                self.framing = Framing::Ending;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Framing::Ending => {
                Poll::Ready(Some(Err(io::Error::other("cut off, as was asked for"))))
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Pattern(pattern) => {
                pattern.poll(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
            }
            Self::Echo(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(io::Error::other))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Pattern(_) => false,
            Self::Echo(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Pattern(Pattern { framing: Framing::Chunked, .. }) => SizeHint::default(),
            Self::Pattern(pattern) => SizeHint::with_exact(pattern.length - pattern.sent),
            Self::Echo(incoming) => incoming.size_hint(),
        }
    }
}
