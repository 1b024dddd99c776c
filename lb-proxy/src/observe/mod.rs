//! What an operator sees of the traffic: the access log, and counters.
//!
//! | module | holds |
//! |---|---|
//! | `record` | what is known of one request |
//! | `access_log` | the log, and each worker's part of it |
//! | `counters` | what is counted |
//! | `meter`, `histogram`, `sketch`, `readings` | requests, errors, latency and clients of each backend, for series |
//! | `observer` | how that is read from outside |
//! | `recent` | the last requests, kept to be asked about |
//! | `writer`, `sink` | the thread that writes, and what it writes to |
//! | `render`, `json`, `template`, `variable`, `escape`, `stamp` | from a record to a line |

mod access_log;
#[cfg(feature = "bench")]
pub mod bench;
mod counters;
mod escape;
mod histogram;
mod json;
pub(crate) mod meter;
mod observer;
mod readings;
mod recent;
pub(crate) mod record;
mod render;
mod settings;
mod sink;
mod sketch;
mod stamp;
mod template;
mod variable;
mod writer;

pub use access_log::AccessLog;
pub(crate) use access_log::{WorkerLog, WorkerLogs};
pub(crate) use counters::{Board, RetryReason, Tally};
pub use counters::{
    ClusterCounters, Counters, HealthCounters, ProbeCounters, ReloadCounters, RetryCounters,
    StickyCounters,
};
pub use histogram::Histogram;
pub(crate) use meter::Meters;
pub use observer::Observer;
#[cfg(test)]
pub(crate) use readings::MeterBoard;
pub use readings::{ClientsSeen, Counted, Reading};
pub(crate) use recent::Recents;
pub use recent::{KeptRequest, KeptTry};
pub use settings::{AccessLogSettings, LogFormat, LogTarget};
pub(crate) use sketch::Window;
pub use stamp::rfc3339;
pub use template::{Template, TemplateError};
