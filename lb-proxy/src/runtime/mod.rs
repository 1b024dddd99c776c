//! Threads and time: starting and ending a proxy, what a worker consists of, and
//! the one place that reads the clock.

mod builder;
pub(crate) mod clock;
mod control;
pub(crate) mod entropy;
mod port_holder;
mod proxy;
mod service;
pub(crate) mod site;
mod start_error;
pub(crate) mod timers;
pub(crate) mod worker;

pub use proxy::{Proxy, Running};
pub use service::{ClusterSettings, ClusterTimeouts, Service};
pub use start_error::StartError;
