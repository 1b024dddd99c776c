//! A reverse proxy and load balancer: the library behind the binary `lb`.
//!
//! [`Proxy::start`] takes a [`Service`]: where to listen, which path goes to which
//! cluster, and the clusters, which come from [`lb_core`]. The proxy brings its
//! own threads; its example shows all there is to embedding it. [`Running::reload`] takes
//! another service up while it serves.
//!
//! # How it works
//!
//! Each worker thread serves alone, with its own listening sockets, its own
//! connections to backends and its own view of the clusters; a request never
//! crosses threads. Bodies are streamed both ways, and read only as fast as the
//! other side takes them.
//!
//! * `config`: the configuration file, which nothing else here knows of (feature `config`)
//! * `demo`: a backend to try things against (feature `demo`)
//! * `runtime`: threads, time limits, starting, reloading and ending
//! * `listen`: listening sockets
//! * `http`: a request's way through
//! * `upstream`: connections to backends
//! * `probe`: checks of backends, beside the request path
//! * `observe`: the access log, and counters

#![warn(missing_docs)]

#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(any(feature = "config", feature = "demo"))]
mod duration;
#[cfg(any(all(test, feature = "config"), feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod http;
mod listen;
mod observe;
mod probe;
mod runtime;
mod upstream;

#[cfg(any(feature = "config", feature = "demo"))]
pub use self::duration::parse_duration;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use self::observe::bench;
pub use self::{
    http::{
        Arrival, Bound, Claim, Condition, Explained, HostPattern, KeyRule, Metric, PathError,
        PathPattern, ProbeSettings, Refusal, ReportSettings, RequestFacts, RequestKey, RetryOn,
        RetrySettings, Route, RouteTable, SameSite, StickySettings, StickyValue, Unrouted,
        ValuePattern, Verdict,
    },
    listen::{ListenerLimits, ListenerSettings, ListenerTimeouts, TrustedProxies},
    observe::{
        AccessLog, AccessLogSettings, ClientsSeen, ClusterCounters, Counted, Counters,
        HealthCounters, Histogram, KeptRequest, KeptTry, LogFormat, LogTarget, Observer,
        ProbeCounters, Reading, ReloadCounters, RetryCounters, StickyCounters, Template,
        TemplateError, rfc3339,
    },
    probe::{CheckKind, CheckResult, HealthCheck, HttpCheck, NotChecked, Prober, Watched},
    runtime::{
        ClusterSettings, ClusterTimeouts, ListenerChanges, Proxy, Reloaded, Running, Service,
        StartError, clock::now,
    },
    upstream::{Address, AddressError, HostError, PortError},
};
