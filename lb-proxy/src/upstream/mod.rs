//! Connections to backends: where to, how made, how kept.

mod address;
mod connect;
mod connection;
mod io;
mod pool;

pub use address::{Address, AddressError};
pub(crate) use connect::{ConnectError, connect};
pub(crate) use connection::{UpstreamConnection, poll_driven};
pub(crate) use pool::Pool;
