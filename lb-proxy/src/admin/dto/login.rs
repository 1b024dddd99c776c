//! Signing in, and who is signed in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a browser signs in with.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The `token` or the `read_token`.
    pub(crate) token: String,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "admin", "role": "admin", "door": "browser", "expires": 1_790_000_000_000_u64 }))]
pub(crate) struct WhoAmI {
    /// A user of the machine, or the name of a token: what changes are signed with.
    pub(crate) name: String,
    /// `admin` or `viewer`.
    pub(crate) role: String,
    /// How he came in.
    pub(crate) door: String,
    /// When the session ends if it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
}
