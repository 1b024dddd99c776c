//! Making a connection to a backend.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
    time::Duration,
};

use rustix::io::Errno;
use tokio::net::TcpStream;

use super::{
    address::{Address, AddressError},
    connection::UpstreamConnection,
    names::Names,
};
use crate::runtime::timers::Timer;

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within the time limit")]
    Timeout,
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl ConnectError {
    /// Whether it is us who lack something, and not the backend that failed.
    pub(crate) fn is_ours(&self) -> bool {
        let Self::Io(error) = self else { return false };
        let Some(errno) = Errno::from_io_error(error) else { return false };
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL]
            .contains(&errno)
    }
}

/// Connects within `limit`. Not cancel-safe in that a connection being made is
/// dropped with the future.
pub(crate) async fn connect(
    address: &str,
    names: &Names,
    timer: Timer,
    limit: Duration,
) -> Result<Box<UpstreamConnection>, ConnectError> {
    let address: Address = address.parse()?;
    timer.arm(limit);
    let mut stream = pin!(open(&address, names));
    let stream = poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(ConnectError::Io)),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(ConnectError::Timeout)),
    })
    .await?;
    timer.disarm();
    stream.set_nodelay(true)?;
    Ok(Box::new(UpstreamConnection::handshake(stream, timer).await?))
}

async fn open(address: &Address, names: &Names) -> io::Result<TcpStream> {
    match address {
        Address::Socket(address) => TcpStream::connect(address).await,
        // Tries what the name resolves to, in order.
        Address::Name { host, port } => {
            TcpStream::connect(&*names.resolve(host, *port).await?).await
        }
    }
}
