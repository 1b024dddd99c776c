//! What the process logs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::Logged;

/// What is logged to the standard error now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "level": "debug", "usual": "info", "by": "ann (socket, uid 1000)",
    "until": 1_790_000_000_000_u64,
}))]
pub(crate) struct LogLevel {
    /// The filter in force.
    pub(crate) level: String,
    /// What `LB_LOG`, the file or the default says.
    pub(crate) usual: String,
    /// Who has set another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// When it goes back by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<u64>,
}

impl From<Logged> for LogLevel {
    fn from(logged: Logged) -> Self {
        let Logged { level, usual, by, until } = logged;
        Self { level, usual, by, until }
    }
}

/// What is to be logged.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "level": "debug", "for": "10m" }))]
pub(crate) struct WantedLevel {
    /// A level or a filter, as in `LB_LOG`; null is what is usual.
    pub(crate) level: Option<String>,
    /// For how long; then it goes back by itself.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<String>,
}
