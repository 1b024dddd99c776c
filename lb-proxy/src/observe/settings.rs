//! What the access log is told.

use std::path::PathBuf;

use super::template::Template;

/// Where and how requests are logged.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogSettings {
    /// Where to.
    pub to: LogTarget,
    /// How.
    pub format: LogFormat,
    /// The share of requests that is logged, in percent; failed ones always are.
    pub sample: f64,
    /// Log query strings.
    pub query: bool,
}

impl Default for AccessLogSettings {
    fn default() -> Self {
        Self { to: LogTarget::Stdout, format: LogFormat::Combined, sample: 100.0, query: false }
    }
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file: appended to, and opened again when asked to.
    File(PathBuf),
}

/// What a line looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Apache's common log format.
    Common,
    /// The same with referer and user agent.
    Combined,
    /// The same with times, and backends, statuses and times per attempt.
    Lb,
    /// One object a line.
    Json,
    /// In words of one's own.
    Template(Template),
}
