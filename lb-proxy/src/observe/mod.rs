//! What an operator sees of the traffic: the access log, and counters.
//!
//! | module | holds |
//! |---|---|
//! | `record` | what is known of one request |
//! | `access_log` | the log, and each worker's part of it |
//! | `counters` | what is counted |
//! | `writer`, `sink` | the thread that writes, and what it writes to |
//! | `render`, `json`, `template`, `variable`, `escape`, `stamp` | from a record to a line |

mod access_log;
#[cfg(feature = "bench")]
pub mod bench;
mod counters;
mod escape;
mod json;
pub(crate) mod record;
mod render;
mod settings;
mod sink;
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
pub use settings::{AccessLogSettings, LogFormat, LogTarget};
pub use stamp::rfc3339;
pub use template::{Template, TemplateError};
