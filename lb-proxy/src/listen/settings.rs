//! What a listener is told: where to listen, how long to wait, how much to take.
//!
//! Field names are the keys of the configuration file (`timeout.header` is
//! `timeouts.header`), and the defaults here are its defaults.

use std::{net::SocketAddr, time::Duration};

use super::trusted::TrustedProxies;

/// One listening address.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Where to listen. Port 0 lets the system choose; see
    /// [`Running::addresses`](crate::Running::addresses).
    pub bind: SocketAddr,
    /// How long to wait for clients.
    pub timeouts: ListenerTimeouts,
    /// How much to take from clients.
    pub limits: ListenerLimits,
    /// Whose `X-Forwarded-*` is believed; nobody's unless set.
    pub trusted_proxies: TrustedProxies,
    /// Whether each request gets a name, `X-Request-Id`, for its backend and its client.
    pub request_id: bool,
}

impl ListenerSettings {
    /// hyper's own number of headers, which it keeps on the stack.
    pub(super) const DEFAULT_HEADERS: usize = 100;

    /// A listener with the default timeouts and limits.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            timeouts: ListenerTimeouts::default(),
            limits: ListenerLimits::default(),
            trusted_proxies: TrustedProxies::default(),
            request_id: true,
        }
    }
}

/// How long a listener waits for its clients. Each limit is checked every
/// 100 ms: it ends up to 200 ms late, never early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From the first byte of a request until its head is complete; then 408.
    pub header: Duration,
    /// For the next part of a request body; then 408, or an aborted connection
    /// when the answer has already begun.
    pub body_idle: Duration,
    /// Without a request; then the connection is closed quietly.
    pub keep_alive: Duration,
    /// While a client takes nothing of what waits for it; then a reset.
    pub send_stall: Duration,
    /// For requests in flight when the proxy drains, or goes on without this listener;
    /// then they are cut off.
    pub shutdown: Duration,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            send_stall: Duration::from_secs(30),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// How much a listener takes from its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of a request head; beyond: 431. A target longer than this is 431 as
    /// well, not 414. It holds for trailers too.
    pub header: usize,
    /// Number of header lines; beyond: 431. More than 100 costs an allocation
    /// per request.
    pub headers: usize,
    /// Bytes of a request target; beyond: 414.
    pub target: usize,
    /// Bytes of a request body; beyond: 413. `None`: no limit.
    pub body: Option<u64>,
    /// Connections at a time, over all workers; further ones are refused.
    pub connections: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            header: 64 * 1024,
            headers: ListenerSettings::DEFAULT_HEADERS,
            target: 16 * 1024,
            body: None,
            connections: 100_000,
        }
    }
}
