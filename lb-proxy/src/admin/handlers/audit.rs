//! Who came, and what he did or was refused.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::{api::Api, dto::AuditEntry, problem::Problem};

/// Which entries.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those after this one.
    #[serde(default)]
    since: u64,
    /// How many at most, the last ones: 1 to 1000, 100 unless it is said.
    #[serde(default)]
    limit: Option<usize>,
}

/// What was done by the API since the start, and what was refused: the last thousand of
/// each, oldest first. What was in vain is counted for a second before it is here. Only for
/// who may change something.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "audit", params(Which),
    responses((status = OK, body = Vec<AuditEntry>), (status = FORBIDDEN, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(which): Query<Which>,
) -> Json<Vec<AuditEntry>> {
    Json(api.audit.since(which.since, which.limit.unwrap_or(100).clamp(1, 1_000)))
}
