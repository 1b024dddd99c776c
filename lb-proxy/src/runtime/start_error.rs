//! Why a proxy did not start, or not reload.

use std::{io, net::SocketAddr};

use rustix::io::Errno;

use super::port_holder::port_holder;

/// Why a proxy did not start, or did not take up another service. Nothing is left
/// behind: sockets that were bound are closed again, threads that were started have
/// ended, and a proxy that was running goes on as before.
///
/// The text has what the system said, so it is not told again as a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {error}{}", hint(error, holder.as_deref()))]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
        /// Who listens there already, where that can be seen.
        holder: Option<Box<str>>,
    },
    /// A route leads to a cluster that is not in the list.
    #[error("route {name} leads to cluster number {cluster}, and there are {count}")]
    Route {
        /// The route's name.
        name: Box<str>,
        /// Where it leads.
        cluster: usize,
        /// How many clusters there are.
        count: usize,
    },
    /// A thread, or its runtime, could not be made.
    #[error("cannot start a thread: {0}{hint}", hint = hint(.0, None))]
    Thread(io::Error),
    /// It drains, was stopped, or has no worker left: it takes up nothing new.
    #[error("the proxy is ending and takes up no other service")]
    Ending,
}

impl StartError {
    pub(super) fn bind(address: SocketAddr, error: io::Error) -> Self {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        let holder = if taken { port_holder(address) } else { None };
        Self::Bind { address, error, holder }
    }
}

fn hint(error: &io::Error, holder: Option<&str>) -> String {
    let hint = match (error.kind(), Errno::from_io_error(error)) {
        (io::ErrorKind::AddrInUse, _) => match holder {
            Some(holder) => return format!(" ({holder} listens there)"),
            None => "is another instance running?",
        },
        (io::ErrorKind::AddrNotAvailable, _) => "no interface of this host has the address",
        (io::ErrorKind::PermissionDenied, _) => "ports below 1024 need CAP_NET_BIND_SERVICE",
        (_, Some(Errno::MFILE)) => "raise the limit of open files: `ulimit -n`",
        _ => return String::new(),
    };
    format!(" ({hint})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_is_told_once_and_with_a_hint() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        for (errno, hint) in [
            (Errno::ADDRINUSE, "another instance"),
            (Errno::ADDRNOTAVAIL, "no interface"),
            (Errno::ACCESS, "CAP_NET_BIND_SERVICE"),
            (Errno::MFILE, "ulimit -n"),
        ] {
            let error = StartError::bind(address, errno.into());
            assert!(error.to_string().contains(hint), "{error}");
            assert!(std::error::Error::source(&error).is_none());
        }
    }
}
