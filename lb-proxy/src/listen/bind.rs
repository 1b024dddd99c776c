//! Binding one address for several workers.
//!
//! Each worker has a socket of its own on the same address (`SO_REUSEPORT`), and
//! the kernel spreads new connections over them. That option has a trap: a second
//! instance of the same user binds as well, and takes half of the traffic without
//! a word. So the address is bound once without the option first, to find out
//! whether it is free.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel keeps for us until we take them; it caps this at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds `address` once per worker. Port 0 becomes the same free port for all.
pub(crate) fn bind(address: SocketAddr, workers: NonZeroUsize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        socket(address)?.bind(&address.into())?;
    }
    bind_beside(address, workers)
}

/// The same where sockets of our own may be on the address, which are soon closed.
pub(crate) fn bind_beside(
    address: SocketAddr,
    workers: NonZeroUsize,
) -> io::Result<Vec<TcpListener>> {
    let first = listen(address)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers.get() {
        listeners.push(listen(address)?);
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it: one system call less per connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0` is two listeners; without this the first would
        // take the other's port, or not, as the system is configured.
        socket.set_only_v6(true)?;
    }
    // Connections of a former life in TIME_WAIT do not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[test]
    fn workers_share_a_port_that_the_system_chose() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), TWO).unwrap();
        let ports: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 2);
        assert!(ports[0] != 0 && ports[0] == ports[1]);
    }

    #[test]
    fn a_second_instance_is_noticed() {
        let first = bind("127.0.0.1:0".parse().unwrap(), TWO).unwrap();
        let taken = first[0].local_addr().unwrap();
        assert_eq!(bind(taken, TWO).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(bind(taken, TWO).is_ok());
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let first = bind("0.0.0.0:0".parse().unwrap(), TWO).unwrap();
        let port = first[0].local_addr().unwrap().port();
        assert!(bind((std::net::Ipv6Addr::UNSPECIFIED, port).into(), TWO).is_ok());
    }
}
