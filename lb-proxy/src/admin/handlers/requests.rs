//! The last requests.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use http::StatusCode;
use lb_proxy::KeptRequest;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::{
    access::{Caller, Role},
    api::Api,
    dto::KeptOne,
    problem::Problem,
};

/// Which requests.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// What they were answered: `404`, or all of a kind, `5xx`.
    #[serde(default)]
    status: Option<String>,
    /// Only errors: answers of 500 or more other than 501, and what ended badly.
    #[serde(default)]
    errors: bool,
    /// Those for which this backend was tried.
    #[serde(default)]
    backend: Option<String>,
    /// Those that went to this cluster.
    #[serde(default)]
    cluster: Option<String>,
    /// How many at most: 1 to 1000, 100 unless it is said.
    #[serde(default)]
    limit: Option<usize>,
}

const MOST: usize = 1_000;

/// The last requests, newest first: where each went, and why. Each worker keeps the last
/// 512 errors and 512 others; of the latter at most 20 a second when it is busy. Client
/// addresses and queries are for those who may change something.
#[utoipa::path(get, path = "/api/v1/requests", operation_id = "list_requests", params(Which),
    responses((status = OK, body = Vec<KeptOne>), (status = UNPROCESSABLE_ENTITY, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(which): Query<Which>,
    caller: Caller,
) -> Result<Json<Vec<KeptOne>>, Problem> {
    let status = which.status.as_deref().map(Statuses::read).transpose()?;
    let limit = which.limit.unwrap_or(100).clamp(1, MOST);
    let all = api.desk.traffic().requests();
    let wanted = all.iter().filter(|one| {
        status.is_none_or(|status| status.has(one.status))
            && (one.is_error || !which.errors)
            && which.cluster.as_deref().is_none_or(|name| one.cluster.as_deref() == Some(name))
            && which.backend.as_deref().is_none_or(|name| tried(one, name))
    });
    let is_whole = caller.role == Role::Admin;
    Ok(Json(wanted.take(limit).map(|one| KeptOne::new(one, is_whole)).collect()))
}

/// One request, by its `X-Request-Id`.
#[utoipa::path(get, path = "/api/v1/requests/{id}", operation_id = "show_request",
    params(("id" = String, Path, description = "what it is called")),
    responses((status = OK, body = KeptOne), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Json<KeptOne>, Problem> {
    let all = api.desk.traffic().requests();
    let found = all.iter().find(|one| one.id.as_deref() == Some(&*id)).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no-such-request", "No such request")
            .detail(format!("no request `{id}` is kept"))
            .hint(
                "errors are kept longest, and of the others some; without `request_id`, \
                 requests have no names",
            )
    })?;
    Ok(Json(KeptOne::new(found, caller.role == Role::Admin)))
}

fn tried(request: &KeptRequest, backend: &str) -> bool {
    request.tries.iter().any(|one| *one.backend == *backend)
}

/// Some statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statuses {
    One(u16),
    /// `5`: 500 to 599.
    Kind(u16),
}

impl Statuses {
    fn read(text: &str) -> Result<Self, Problem> {
        let kind = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
        let read = match kind {
            Some(kind) => kind.parse().ok().filter(|kind| (1..=5).contains(kind)).map(Self::Kind),
            None => text.parse().ok().filter(|one| (100..=599).contains(one)).map(Self::One),
        };
        read.ok_or_else(|| {
            Problem::invalid(format!("`{text}` is no status")).hint("write `404` or `5xx`")
        })
    }

    fn has(self, status: u16) -> bool {
        match self {
            Self::One(one) => status == one,
            Self::Kind(kind) => status / 100 == kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_asked_for_by_number_or_by_kind() {
        let has = |text: &str, status| Statuses::read(text).map(|some| some.has(status)).ok();
        assert_eq!((has("404", 404), has("404", 405)), (Some(true), Some(false)));
        assert_eq!((has("5xx", 503), has("5xx", 499)), (Some(true), Some(false)));
        for text in ["", "xx", "6xx", "99", "5x", "-5xx", "600", "abc"] {
            assert_eq!(has(text, 500), None, "{text}");
        }
    }
}
