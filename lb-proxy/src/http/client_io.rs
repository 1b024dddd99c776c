//! A client's socket, with its phases told to [`Client`].
//!
//! hyper has one timer for an idle connection and for a head that does not end,
//! and answers nothing in either case. So the phases are observed here, where
//! bytes come and go, and hyper's timer is off.
//!
//! Bytes of a next request that arrive together with the end of the present one
//! are in hyper's buffer, not seen here: such a head has the longer limit for
//! idle connections until its next byte arrives.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use rustix::net::RecvFlags;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    client::{Client, Phase},
    flat_write::poll_write_flat,
};

#[derive(Debug)]
pub(super) struct ClientIo {
    stream: TcpStream,
    client: Rc<Client>,
    /// The client has closed its half.
    ended: bool,
}

impl ClientIo {
    pub(super) fn new(stream: TcpStream, client: Rc<Client>) -> Self {
        Self { stream, client, ended: false }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether the kernel holds bytes nobody has asked for: further requests, sent
    /// without waiting for the answer. The runtime may not have heard of them yet.
    fn has_unread(&self) -> bool {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        matches!(rustix::net::recv(&self.stream, &mut [0], flags), Ok((1.., _)))
    }

    fn wrote(&self, cx: &Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.client.send_blocked(cx),
            Poll::Ready(_) => self.client.sent(),
        }
        result
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.client.received(&buffer.filled()[before..]);
        } else if matches!(result, Poll::Ready(Ok(()))) && buffer.remaining() > 0 {
            self.ended = true;
        }
        result
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = poll_write_flat(&mut self.stream, cx, slices);
        self.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.flushed();
        Poll::Ready(Ok(()))
    }

    /// Closes our half. Where the client has sent more or may be about to, waits for
    /// its end and throws away what comes: a socket closed with unread bytes resets the
    /// connection, and the answer would be lost with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lingering = self.client.phase() == Phase::Linger;
        if !lingering {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if self.ended || !(self.client.must_linger() || self.has_unread()) {
                return Poll::Ready(Ok(()));
            }
            self.client.lingers();
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
