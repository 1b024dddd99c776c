//! A request that is over.

use std::time::Duration;

use lb_core::{cluster::Standing, strategy::Reason};
use lb_proxy::{KeptRequest, KeptTry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request that was kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "at": 1_790_000_000_000_u64,
    "took_ms": 5.12, "method": "GET", "host": "www.example.org", "path": "/api/x",
    "route": "api", "cluster": "web", "status": 200, "end": "done", "error": false,
    "sticky": "moved", "bytes_in": 0, "bytes_out": 4711, "tries": [{
        "backend": "s1", "address": "10.0.0.1:3000", "reason": "least-loaded",
        "why": "of those looked at, it had the least in flight for its weight",
        "after_ms": 0.0, "total_ms": 0.21, "error": "backend-refused", "replayed": false,
    }],
}))]
pub(crate) struct KeptOne {
    /// What it is called, here, by its backend and by its client (`X-Request-Id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// When it came.
    pub(crate) at: u64,
    /// Until the last byte of its answer was written.
    pub(crate) took_ms: f64,
    /// Where it came from, for those who may change something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    pub(crate) method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Its first 1024 bytes.
    pub(crate) path: String,
    /// The same of what stood behind the `?`, for those who may change something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// What it was answered; 0: nothing.
    pub(crate) status: u16,
    /// `done`, or why it did not end well.
    pub(crate) end: String,
    /// Whether it was answered with 500 or more other than 501, or ended badly without a
    /// mistake of the client's.
    pub(crate) error: bool,
    /// What became of the client's binding: `kept`, `new` or `moved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sticky: Option<String>,
    /// Bytes of its body.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body.
    pub(crate) bytes_out: u64,
    /// The backends that were tried, in order.
    pub(crate) tries: Vec<OneTry>,
}

/// A try with a backend.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct OneTry {
    pub(crate) backend: String,
    pub(crate) address: String,
    /// Why it was picked, in a word: `turn`, `least-loaded`, `key`, `preferred`…
    pub(crate) reason: String,
    /// The same in words.
    pub(crate) why: String,
    /// From the request to the pick.
    pub(crate) after_ms: f64,
    /// Until there was a connection; absent where one was at hand, or none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect_ms: Option<f64>,
    /// From the pick to the head of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_ms: Option<f64>,
    /// From the pick until the backend was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// It was sent once more, as a kept connection had been closed.
    pub(crate) replayed: bool,
}

impl KeptOne {
    /// With what tells of the client and its secrets only where `is_whole`.
    pub(crate) fn new(kept: &KeptRequest, is_whole: bool) -> Self {
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: text(&kept.id),
            at: u64::try_from(kept.at.as_millis()).unwrap_or(u64::MAX),
            took_ms: millis(kept.took),
            client: is_whole.then(|| kept.client.to_string()),
            method: kept.method.to_string(),
            host: text(&kept.host),
            path: kept.path.to_string(),
            query: text(&kept.query).filter(|_| is_whole),
            route: text(&kept.route),
            cluster: text(&kept.cluster),
            status: kept.status,
            end: kept.end.to_owned(),
            error: kept.is_error,
            sticky: kept.sticky.map(str::to_owned),
            bytes_in: kept.bytes_in,
            bytes_out: kept.bytes_out,
            tries: kept.tries.iter().map(OneTry::new).collect(),
        }
    }
}

impl OneTry {
    fn new(one: &KeptTry) -> Self {
        Self {
            backend: one.backend.to_string(),
            address: one.address.to_string(),
            reason: one.reason.to_string(),
            why: why(one.reason, one.standing),
            after_ms: millis(one.after),
            connect_ms: one.connect.map(millis),
            first_byte_ms: one.first_byte.map(millis),
            total_ms: one.total.map(millis),
            status: one.status,
            error: one.error.map(str::to_owned),
            replayed: one.replayed,
        }
    }
}

/// To the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Where it stood counts more than how it was chosen.
fn why(reason: Reason, standing: Standing) -> String {
    let how = match reason {
        Reason::Turn => "it was its turn",
        Reason::Draw => "it was drawn",
        Reason::Idle => "it had nothing in flight",
        Reason::LeastLoaded => "of those looked at, it had the least in flight for its weight",
        Reason::Probed => "of those asked, it was the fastest that had not much to do",
        Reason::Fastest => "of those looked at, it should have answered soonest",
        Reason::LeastTraffic => "it had moved the fewest bytes for its weight",
        Reason::First => "it was the first that could take it",
        Reason::Key => "its key belongs there",
        Reason::Rehash => "whom its key belongs to could not take it, and this one is next",
        Reason::Preferred => "the client is bound to it",
        Reason::Trial => "somebody had to find out whether it is back",
        Reason::LastResort => "everything the strategy chose was closed or full",
        Reason::Standby => "nobody of the tier in use could take it, and this one stands by",
        other => return format!("the strategy says `{other}`"),
    };
    match standing {
        Standing::HalfOpen => format!("it was ejected, and this request tried it: {how}"),
        Standing::Panic => format!("it was out, and used for want of better ones: {how}"),
        Standing::Draining => format!("{how}; it was draining"),
        _ => how.to_owned(),
    }
}
