//! Taking clients from a listening socket.

use std::{future::poll_fn, io, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::listener::Listener;
use crate::{http, runtime::worker::Worker};

/// How long to wait after an error that will not go away by trying again, such
/// as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the worker drains or the listener closes, then once more everything
/// that waits.
pub(crate) async fn accept(socket: TcpListener, listener: Rc<Listener>, worker: Rc<Worker>) {
    let _open = worker.open();
    let drain = worker.timers.timer();
    let mut failing = false;
    loop {
        let next = poll_fn(|cx| {
            if worker.is_draining() || listener.is_closing() {
                return Poll::Ready(None);
            }
            drain.register(cx);
            socket.poll_accept(cx).map(Some)
        });
        match next.await {
            None => return accept_rest(socket, &listener, &worker),
            Some(Ok((stream, peer))) => {
                failing = false;
                admit(&listener, &worker, stream, peer);
            }
            Some(Err(error)) if is_about_one_connection(&error) => {}
            Some(Err(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn admit(listener: &Rc<Listener>, worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = listener.place() else {
        tracing::debug!(%peer, "connection refused: limits.connections");
        return;
    };
    let connection = http::serve(Rc::clone(worker), Rc::clone(listener), stream, peer);
    let open = worker.open();
    tokio::task::spawn_local(async move {
        connection.await;
        drop((place, open));
    });
}

/// Clients that the kernel has already accepted for us would be reset by closing
/// the socket. They are asked of the kernel directly: the runtime knows of them
/// only when it has looked.
fn accept_rest(socket: TcpListener, listener: &Rc<Listener>, worker: &Rc<Worker>) {
    let Ok(socket) = socket.into_std() else { return };
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                let stream =
                    stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    admit(listener, worker, stream, peer);
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(_) => return,
        }
    }
}

/// The client was gone before we took it; the next one is not affected.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
