//! What an operator sees of the traffic: the access log, and counters.

mod settings;

pub use settings::{AccessLogSettings, LogFormat, LogTarget};
