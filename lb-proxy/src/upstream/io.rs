//! A backend's socket, with a note of what went through it.
//!
//! Three questions are answered here because only here the answer is exact: how much
//! went through (strategies that share bytes ask), has the backend sent anything since
//! the request began (then nothing may be repeated), and when did it last take a byte of
//! the request (from then on it owes an answer; in coarse time, as that is once per
//! write).

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use lb_core::Tick;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{http::flat_write::poll_write_flat, runtime::clock::Clock};

/// What went through a socket since [`restart`](Traffic::restart).
#[derive(Debug)]
pub(crate) struct Traffic {
    clock: Rc<Clock>,
    began: Cell<Tick>,
    read: Cell<bool>,
    bytes: Cell<u64>,
    last_written: Cell<Tick>,
}

impl Traffic {
    pub(super) fn new(clock: Rc<Clock>) -> Self {
        let now = Cell::new(clock.coarse());
        Self {
            began: now.clone(),
            read: Cell::new(false),
            bytes: Cell::new(0),
            last_written: now,
            clock,
        }
    }

    pub(super) fn restart(&self) {
        let now = self.clock.coarse();
        self.began.set(now);
        self.read.set(false);
        self.bytes.set(0);
        self.last_written.set(now);
    }

    /// How long ago the restart was; up to a tick more than that.
    pub(super) fn age(&self) -> Duration {
        self.clock.now().since(self.began.get())
    }

    /// Whether anything was read since the restart.
    pub(super) fn has_read(&self) -> bool {
        self.read.get()
    }

    /// How many bytes were read and written since the restart, heads and all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// When the last byte was written, or the restart, if none was since.
    pub(super) fn last_written(&self) -> Tick {
        self.last_written.get()
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
        if let Poll::Ready(Ok(bytes @ 1..)) = result {
            self.traffic.count(bytes);
            self.traffic.last_written.set(self.traffic.clock.coarse());
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
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.traffic.count(bytes);
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
