//! Who came, and what he did or was refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that was done by the API, or refused.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "seq": 7, "at": 1_790_000_000_000_u64, "kind": "refused", "from": "10.0.0.9",
    "method": "GET", "path": "/api/v1/status", "status": 401, "problem": "unauthorized",
    "detail": "the token is not known here", "changes": [], "count": 12,
}))]
pub(crate) struct AuditEntry {
    /// Counts from 1 with each start.
    pub(crate) seq: u64,
    /// When it happened; of several, the first.
    pub(crate) at: u64,
    /// `change`, `reload`, `login`, `logout` or `refused`.
    pub(crate) kind: String,
    /// The address it came from, or the user of the socket, or `signal`.
    pub(crate) from: String,
    /// Who it was, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    /// How he came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<String>,
    /// Of a signal its name.
    pub(crate) method: String,
    /// Of a signal nothing.
    pub(crate) path: String,
    /// What it was answered with.
    pub(crate) status: u16,
    /// The kind of problem, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The numbers of the changes that were made.
    pub(crate) changes: Vec<u64>,
    /// How often it happened within the second, from there and in vain.
    pub(crate) count: u64,
}
