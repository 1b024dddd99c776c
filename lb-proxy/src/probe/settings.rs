//! What an active check is told.

use std::{ops::RangeInclusive, time::Duration};

/// How the backends of a cluster are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked of them.
    pub kind: CheckKind,
    /// Another port than the one requests go to.
    pub port: Option<u16>,
    /// Between two checks of a backend.
    pub interval: Duration,
    /// The same while it is down; `interval` unless set.
    pub interval_down: Option<Duration>,
    /// A check that takes longer has failed.
    pub timeout: Duration,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            kind: CheckKind::Tcp,
            port: None,
            interval: Duration::from_secs(2),
            interval_down: None,
            timeout: Duration::from_secs(1),
        }
    }
}

/// What a backend must do to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Accept a connection.
    Tcp,
    /// Answer a request.
    Http(HttpCheck),
}

/// A request and the answer that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// `GET` unless set.
    pub method: http::Method,
    /// Path and query.
    pub path: http::uri::PathAndQuery,
    /// `Host`; the backend's address unless set here or in `headers`.
    pub headers: http::HeaderMap,
    /// Statuses that pass; 200 to 399 unless set.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the first 4 KiB of the body must contain.
    pub body: Option<Box<str>>,
}

impl HttpCheck {
    /// `GET path`; any status from 200 to 399 passes.
    #[must_use]
    pub fn get(path: http::uri::PathAndQuery) -> Self {
        Self {
            method: http::Method::GET,
            path,
            headers: http::HeaderMap::new(),
            statuses: vec![200..=399],
            body: None,
        }
    }
}
