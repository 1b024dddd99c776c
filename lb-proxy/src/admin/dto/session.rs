//! Who has which sessions.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many sessions the backends of a cluster have: estimates, to within 5 % in two of
/// three cases. The balancer keeps no list of them; it counts different clients that came.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "bound_by": "cookie WEB", "window_s": 1_800, "sessions": 1_204,
    "backends": [{ "backend": "s1", "state": "up", "sessions": 611 }],
}))]
pub(crate) struct Sessions {
    pub(crate) cluster: String,
    /// `cookie WEB`, or `key client-ip`; absent where clients are not bound, and nothing is
    /// counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound_by: Option<String>,
    /// Clients that came within so many seconds: as long as the cookie lasts, else half an
    /// hour; and since the start.
    pub(crate) window_s: u64,
    /// Different ones. Less than the sum if some went from one backend to another.
    pub(crate) sessions: u64,
    /// In the order of file and sources, then those that are gone.
    pub(crate) backends: Vec<BackendSessions>,
}

/// How many sessions a backend has.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BackendSessions {
    pub(crate) backend: String,
    /// As in `GET /clusters`; absent where it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    pub(crate) sessions: u64,
}

/// Whose session it is: by one of `cookie`, `client` and `key`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "cookie": "WEB=5f1c6f0f6b2d9a11" }))]
pub(crate) struct SessionAsked {
    /// In this cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cookie: Option<String>,
    /// The address of a client, where the strategy goes by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) client: Option<IpAddr>,
    /// What stands where the strategy looks for its key: the value of a header, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// Where a session is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "cluster": "web", "bound_by": "cookie WEB", "backend": "s1", "address": "10.0.0.1:3000",
    "state": "up", "how": "the cookie names it by a keyed hash of its name",
    "if_draining": "it stays on s1, until the drain ends",
    "if_down": "it goes to whoever `least-conn` finds, and is bound to that one",
}))]
pub(crate) struct SessionFound {
    pub(crate) cluster: String,
    /// `cookie WEB`, or `key client-ip`.
    pub(crate) bound_by: String,
    /// Absent where it is bound to nobody who is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// As in `GET /clusters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// How that is known, or why it is bound to nobody.
    pub(crate) how: String,
    /// When the cookie was sealed, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
    /// When it ends, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    /// What becomes of it if the backend drains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) if_draining: Option<String>,
    /// What becomes of it if the backend is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) if_down: Option<String>,
    /// What was taken for granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assumes: Option<String>,
}
