//! A backend's socket, with a note of what went through it.
//!
//! Two questions are answered here because only here the answer is exact: has
//! the backend sent anything since the request began (then nothing may be
//! repeated), and when did it last take a byte of the request (from then on it
//! owes an answer).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::flat_write::poll_write_flat;

/// What went through a socket since [`restart`](Traffic::restart).
#[derive(Debug, Default)]
pub(super) struct Traffic {
    read: Cell<bool>,
    written: Cell<bool>,
}

impl Traffic {
    pub(super) fn restart(&self) {
        self.read.set(false);
        self.written.set(false);
    }

    /// Whether anything was read since the restart.
    pub(super) fn has_read(&self) -> bool {
        self.read.get()
    }

    /// Whether anything was written since this was last asked.
    pub(super) fn take_written(&self) -> bool {
        self.written.replace(false)
    }
}

#[derive(Debug)]
pub(super) struct UpstreamIo {
    stream: TcpStream,
    traffic: Rc<Traffic>,
}

impl UpstreamIo {
    pub(super) fn new(stream: TcpStream, traffic: Rc<Traffic>) -> Self {
        Self { stream, traffic }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.traffic.written.set(true);
        }
        result
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.traffic.read.set(true);
        }
        result
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = poll_write_flat(&mut self.stream, cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
