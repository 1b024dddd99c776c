//! Why a proxy did not start.

use std::io;
use std::net::SocketAddr;

/// Why a proxy did not start. Nothing is left behind: sockets that were bound are
/// closed again, and threads that were started have ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A route leads to a cluster that is not in the list.
    #[error("route {prefix} leads to cluster number {cluster}, and there are {count}")]
    Route {
        /// The route's prefix.
        prefix: Box<str>,
        /// Where it leads.
        cluster: usize,
        /// How many clusters there are.
        count: usize,
    },
    /// A thread, or its runtime, could not be made.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (is another instance running?)",
        io::ErrorKind::AddrNotAvailable => " (no interface of this host has the address)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}
