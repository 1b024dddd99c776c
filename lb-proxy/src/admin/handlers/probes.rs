//! For whoever only wants to know whether it runs: no token is needed, and nothing is said
//! of what runs.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::{api::Api, problem::Problem};

/// What this is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "name": "lb", "version": "0.1.0" }))]
pub(crate) struct Version {
    name: &'static str,
    version: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", security(()),
    responses((status = NO_CONTENT)))]
pub(crate) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Requests are taken: a configuration is served, every listener is open, and it is not
/// stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", security(()),
    responses((status = NO_CONTENT), (status = SERVICE_UNAVAILABLE, body = Problem)))]
pub(crate) async fn readyz(State(api): State<Api>) -> Result<StatusCode, Problem> {
    let overview = api.desk.overview();
    let reasons = [
        ("no configuration is served yet", overview.config_generation == 0),
        ("not every listener is open", overview.listeners.len() < overview.config.listeners.len()),
        ("it is stopping", !api.desk.is_open()),
    ];
    let reasons: Vec<&str> =
        reasons.into_iter().filter(|(_, holds)| *holds).map(|(why, _)| why).collect();
    if reasons.is_empty() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let title = "Not ready";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", title);
    Err(problem.detail(reasons.join("; ")))
}

/// Which version it is.
#[utoipa::path(get, path = "/version", operation_id = "version", security(()),
    responses((status = OK, body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version { name: "lb", version: env!("CARGO_PKG_VERSION") })
}
