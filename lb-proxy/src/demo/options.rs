//! What a demo backend is called, and how it misbehaves.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::StatusCode;

use super::DemoBackend;

/// How a [`DemoBackend`] is to be. Ends with [`start`](Self::start).
#[derive(Debug, Clone)]
#[must_use = "`start` starts the backend"]
pub struct DemoOptions {
    pub(super) name: String,
    pub(super) bind: SocketAddr,
    pub(super) delay: Duration,
    pub(super) status: StatusCode,
    pub(super) close_idle: Option<u64>,
    pub(super) reports_load: bool,
}

impl DemoOptions {
    /// A well-behaved backend of this name on a free port of this machine.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            delay: Duration::ZERO,
            status: StatusCode::OK,
            close_idle: None,
            reports_load: false,
        }
    }

    /// Listens here. Port 0 is any free one.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// Waits so long before every answer.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers with this status instead of 200.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Closes keep-alive connections without a warning, after 1 to 20 requests
    /// and 0 to 10 ms of idleness. The same seed closes the same ones.
    pub fn close_idle(mut self, seed: u64) -> Self {
        self.close_idle = Some(seed);
        self
    }

    /// Says in each answer how loaded it is, in ORCA's `endpoint-load-metrics`: the
    /// requests that it works on, how long they take, and how much of the last second
    /// it had any.
    pub fn report_load(mut self) -> Self {
        self.reports_load = true;
        self
    }

    /// Binds and starts.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or no thread be had.
    pub fn start(self) -> io::Result<DemoBackend> {
        DemoBackend::start(self)
    }
}
