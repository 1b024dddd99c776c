//! Connections to backends: where to, how made, how kept.

mod address;
mod connect;
mod connection;
mod io;
mod names;
mod pool;

pub use address::{Address, AddressError, HostError, PortError};
#[cfg(feature = "config")]
pub(crate) use address::{check_host, read_ip, read_port};
pub(crate) use connect::{ConnectError, connect};
pub(crate) use connection::{UpstreamConnection, poll_driven};
pub(crate) use io::Traffic;
pub(crate) use names::Names;
pub(crate) use pool::Pool;
