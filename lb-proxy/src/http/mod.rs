//! The request's way through. [`forward`] is the story; the rest are its steps.
//!
//! | module | step |
//! |---|---|
//! | `serve`, `client_io`, `client` | one client connection, its phases and limits |
//! | `head` | how the pure steps read a message |
//! | `check`, `route` | may it be forwarded, and where to |
//! | `arrival` | the same without a connection, for explanations |
//! | `rewrite` | what a backend sees of it |
//! | `headers`, `trailers`, `forwarded`, `via`, `request_id` | what is taken away and set on the way |
//! | `public` | what a backend says about itself, put right on the way back |
//! | `binder`, `cookies`, `key` | whom the client is bound to, and what a strategy may pick by |
//! | `forward`, `outgoing`, `deadlines` | a request from the first try to the last |
//! | `exchange`, `flight`, `replay` | a try with a backend, and what follows a failed one |
//! | `load_report`, `load_probe` | what a backend says of its load, and asking it |
//! | `attempts` | what is remembered of the tries |
//! | `session` | which session a request belongs to |
//! | `body`, `driver`, `upload` | bytes in both directions |
//! | `status` | answers of our own |
//! | `records`, `spares` | what is logged and kept of it, in used boxes |

mod arrival;
pub(crate) mod attempts;
pub(crate) mod binder;
pub(crate) mod body;
mod check;
mod client;
mod client_io;
mod cookies;
mod deadlines;
mod driver;
mod exchange;
pub(crate) mod flat_write;
mod flight;
mod forward;
mod forwarded;
mod head;
mod headers;
pub(crate) mod key;
pub(crate) mod load_probe;
pub(crate) mod load_report;
mod outgoing;
mod public;
mod records;
mod replay;
mod request_id;
pub(crate) mod retry;
mod rewrite;
pub(crate) mod route;
mod serve;
mod session;
mod spares;
mod status;
pub(crate) mod sticky;
mod trailers;
mod upload;
pub(crate) mod via;

/// The pure steps, for fuzzers.
#[cfg(any(all(test, feature = "config"), feature = "fuzz"))]
pub(crate) mod fuzzing {
    pub(crate) use super::{
        binder::Binder,
        check::check,
        forwarded::believed,
        headers::{Origin, request_changes},
        via::Via,
    };
}

pub use arrival::{Arrival, Refusal};
pub use binder::{Bound, Claim};
pub use key::{KeyRule, RequestKey};
pub use load_probe::ProbeSettings;
pub use load_report::{Metric, ReportSettings};
pub(crate) use request_id::RequestIds;
pub use retry::{RetryOn, RetrySettings};
pub use route::{
    Condition, Explained, HostPattern, PathError, PathPattern, RequestFacts, Route, RouteTable,
    Unrouted, ValuePattern, Verdict,
};
pub(crate) use serve::serve;
pub(crate) use spares::Spares;
pub use sticky::{SameSite, StickySettings, StickyValue};
