//! One client connection, from the first byte to the last.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{
    body::ResponseBody,
    client::{Client, Overdue},
    client_io::ClientIo,
    forward::answer,
    records::Records,
    status::{Trouble, raw_answer},
};
use crate::{listen::Listener, observe::record::end, runtime::worker::Worker};

/// Serves a client until it or we have had enough.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let client = Rc::new(Client::new(worker, Rc::clone(&listener), peer.ip()));
    let io = TokioIo::new(ClientIo::new(stream, Rc::clone(&client)));
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(Rc::clone(&client), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = listener.http().serve_connection(io, service);
    let mut serving = Serving {
        connection: Some(connection),
        client: &client,
        drains: false,
        end: end::CLIENT_ABORT,
    };
    poll_fn(|cx| serving.poll(cx)).await;
}

struct Serving<'a, S>
where
    S: HttpService<Incoming, ResBody = ResponseBody, Error = Infallible>,
{
    /// `None` when it is over.
    connection: Option<http1::Connection<TokioIo<ClientIo>, S>>,
    client: &'a Client,
    /// It was told that no further request will be taken.
    drains: bool,
    /// Why requests end that have not ended before it does.
    end: &'static str,
}

impl<S> Serving<'_, S>
where
    S: HttpService<Incoming, ResBody = ResponseBody, Error = Infallible>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What has arrived is read before the connection is told to end: a
        // request that is here already is answered, and no client that has sent
        // something is late, even if we were.
        if self.poll_connection(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Poll::Ready(overdue) = self.client.poll_overdue(cx) {
            self.end(overdue);
            return Poll::Ready(());
        }
        if self.client.is_draining() { self.poll_drain(cx) } else { Poll::Pending }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.client.listener.is_cut_off() {
            self.connection = None;
            return Poll::Ready(());
        }
        if !self.drains && self.client.may_be_told_to_end() {
            self.drains = true;
            if let Some(connection) = &mut self.connection {
                Pin::new(connection).graceful_shutdown();
            }
            return self.poll_connection(cx);
        }
        Poll::Pending
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        let Poll::Ready(result) = Pin::new(connection).poll(cx) else { return Poll::Pending };
        if let Err(error) = result {
            // A client that hung up, or an answer that broke off: each was seen, and
            // counted, where it happened. Not so bytes that are no request.
            tracing::trace!(%error, "client connection ended");
            if error.is_parse() {
                self.refuse(&error);
            }
        }
        if self.client.ends_in_reset() {
            self.reset();
        }
        self.connection = None;
        Poll::Ready(())
    }

    fn end(&mut self, overdue: Overdue) {
        tracing::trace!(?overdue, "client took too long");
        match overdue {
            Overdue::Ask | Overdue::Close => {}
            Overdue::Take => {
                self.end = end::CLIENT_TIMEOUT;
                self.reset();
            }
            Overdue::TakeAll => {
                self.end = Trouble::TotalTimeout.verdict().word;
                self.reset();
            }
            Overdue::FinishHead => {
                self.refused(Trouble::HeadStalled);
                if let Some(stream) = self.take_stream() {
                    // It has taken what was written before, so this goes out whole;
                    // if not, the client has not been listening.
                    let _ = stream.try_write(&raw_answer(Trouble::HeadStalled));
                }
            }
        }
        self.connection = None;
    }

    /// hyper has answered with a status and nothing else, and tells afterwards;
    /// except where it has recognized HTTP/2, which it leaves unanswered.
    fn refuse(&mut self, error: &hyper::Error) {
        if error.is_parse_too_large() {
            return self.refused(Trouble::HeadTooLarge);
        }
        if !error.to_string().contains("HTTP2") {
            return self.refused(Trouble::Request);
        }
        self.refused(Trouble::Version);
        if let Some(stream) = self.take_stream() {
            let _ = stream.try_write(&raw_answer(Trouble::Version));
        }
    }

    fn refused(&self, trouble: Trouble) {
        trouble.log();
        Records::refused(self.client.as_recorded(), trouble);
    }

    /// Has the socket closed by a reset.
    fn reset(&mut self) {
        if let Some(stream) = self.take_stream() {
            let _ = SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    fn take_stream(&mut self) -> Option<TcpStream> {
        let parts = self.connection.take()?.into_parts();
        Some(parts.io.into_inner().into_stream())
    }
}

impl<S> Drop for Serving<'_, S>
where
    S: HttpService<Incoming, ResBody = ResponseBody, Error = Infallible>,
{
    fn drop(&mut self) {
        // With it go the answers it holds.
        self.connection = None;
        let worker = &self.client.worker;
        let is_cut_off = worker.is_cut_off() || self.client.listener.is_cut_off();
        let why = if is_cut_off { end::SHUTDOWN } else { self.end };
        self.client.records.end(worker, why);
    }
}
