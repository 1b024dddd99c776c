//! Making a connection to a backend.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
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
///
/// `Lookup` is the resolver's failure and says nothing about the backend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within the time limit")]
    Timeout,
    #[error("its name stands for no address: {0}")]
    Lookup(#[source] io::Error),
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

/// Connects, within `limit` to each address that a name stands for; finding those
/// may take as long once more. Not cancel-safe in that a connection being made is
/// dropped with the future.
pub(crate) async fn connect(
    address: &str,
    names: &Names,
    timer: Timer,
    limit: Duration,
) -> Result<Box<UpstreamConnection>, ConnectError> {
    let stream = match address.parse()? {
        Address::Socket(address) => open(address, &timer, limit).await?,
        Address::Name { host, port } => {
            let found = within(&timer, limit, names.resolve(&host, port)).await;
            // It is the resolver that takes so long.
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let addresses = found.map_err(ConnectError::Lookup)?;
            open_any(&addresses, &timer, limit).await?
        }
    };
    timer.disarm();
    stream.set_nodelay(true)?;
    Ok(Box::new(UpstreamConnection::handshake(stream, timer).await?))
}

/// Tries addresses in order.
async fn open_any(
    addresses: &[SocketAddr],
    timer: &Timer,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let mut last = None;
    for address in addresses {
        match open(*address, timer, limit).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| ConnectError::Lookup(io::ErrorKind::NotFound.into())))
}

async fn open(
    address: SocketAddr,
    timer: &Timer,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    Ok(within(timer, limit, TcpStream::connect(address)).await??)
}

async fn within<T>(
    timer: &Timer,
    limit: Duration,
    wait: impl Future<Output = T>,
) -> Result<T, ConnectError> {
    timer.arm(limit);
    let mut wait = pin!(wait);
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(ConnectError::Timeout)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{future::pending, rc::Rc};

    use socket2::{Domain, Socket, Type};
    use tokio::{
        net::TcpListener,
        runtime::{Builder, LocalOptions},
    };

    use super::*;
    use crate::runtime::{
        clock::Clock,
        timers::{TICK, Timers},
    };

    /// A listening socket that takes no more connections: they hang.
    fn full() -> (Vec<Socket>, SocketAddr) {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let filler = socket();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address);
            sockets.push(filler);
        }
        (sockets, address.as_socket().unwrap())
    }

    #[test]
    fn each_address_of_a_name_has_the_whole_limit() {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let clock = Rc::new(Clock::new());
            let timers = Timers::new(Rc::clone(&clock));
            let timer = timers.timer();
            let ticker = async {
                loop {
                    tokio::time::sleep(TICK).await;
                    timers.tick(clock.tick());
                }
            };
            let (_held, hangs) = full();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let works = listener.local_addr().unwrap();
            let addresses = [hangs, hangs, works];
            let limit = Duration::from_millis(100);
            let stream = tokio::select! {
                stream = open_any(&addresses, &timer, limit) => stream.unwrap(),
                () = ticker => unreachable!(),
            };
            assert_eq!(stream.peer_addr().unwrap(), works);
            let nowhere = open_any(&[], &timer, limit).await;
            assert!(matches!(nowhere, Err(ConnectError::Lookup(_))));
        });
    }

    #[test]
    fn a_resolver_that_hangs_is_no_backend_that_does() {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let clock = Rc::new(Clock::new());
            let timers = Timers::new(Rc::clone(&clock));
            let names = Names::asking(Rc::clone(&clock), Box::new(|_, _| Box::pin(pending())));
            let ticker = async {
                loop {
                    tokio::time::sleep(TICK).await;
                    timers.tick(clock.tick());
                }
            };
            let error = tokio::select! {
                result = connect("web:80", &names, timers.timer(), TICK) => result.unwrap_err(),
                () = ticker => unreachable!(),
            };
            assert!(matches!(error, ConnectError::Lookup(_)), "{error}");
        });
    }
}
