//! Threads and time: starting, reloading and ending a proxy, what a worker consists of, and
//! the one place that reads the clock.

mod builder;
pub(crate) mod clock;
mod control;
pub(crate) mod entropy;
mod instance;
mod listeners;
pub(crate) mod open_count;
mod plan;
mod port_holder;
mod progress;
mod proxy;
mod reloaded;
mod service;
pub(crate) mod site;
mod start_error;
pub(crate) mod timers;
pub(crate) mod worker;

pub use listeners::ListenerChanges;
pub use proxy::{Proxy, Running};
pub use reloaded::Reloaded;
pub use service::{ClusterSettings, ClusterTimeouts, Service};
pub use start_error::StartError;
