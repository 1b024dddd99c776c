//! The last requests.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use http::StatusCode;
use lb_proxy::KeptRequest;
use serde::Deserialize;
use utoipa::IntoParams;

use super::write::find_backend;
use crate::admin::{
    access::{Caller, Role},
    api::{Api, cluster},
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
/// 512 errors, up to 500 a second, and 512 others, up to 20 a second when it is busy. Client
/// addresses and queries are for those who may change something.
#[utoipa::path(get, path = "/api/v1/requests", operation_id = "list_requests", params(Which),
    responses(
        (status = OK, body = Vec<KeptOne>),
        (status = NOT_FOUND, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(which): Query<Which>,
    caller: Caller,
) -> Result<Json<Vec<KeptOne>>, Problem> {
    let status = which.status.as_deref().map(Statuses::read).transpose()?;
    let limit = which.limit.unwrap_or(100).clamp(1, MOST);
    let all = api.desk.traffic().requests();
    which.check_names(&api, &all)?;
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

impl Which {
    /// Whoever is asked for is there, or was: else it is a slip, and not that nobody came.
    fn check_names(&self, api: &Api, all: &[Arc<KeptRequest>]) -> Result<(), Problem> {
        let overview = api.desk.overview();
        let name = self.cluster.as_deref();
        let went_to =
            |one: &KeptRequest| name.is_none_or(|name| one.cluster.as_deref() == Some(name));
        if let Some(name) = name
            && !all.iter().any(|one| went_to(one))
        {
            cluster(&overview, name)?;
        }
        let Some(backend) = self.backend.as_deref() else { return Ok(()) };
        if all.iter().any(|one| went_to(one) && tried(one, backend)) {
            return Ok(());
        }
        if let Some(name) = name {
            // A cluster that is gone had others.
            let is_there = overview.cluster(name).is_some();
            return if is_there { find_backend(api, name, backend).map(drop) } else { Ok(()) };
        }
        let mut clusters = overview.clusters.iter();
        if clusters.any(|one| one.cluster.snapshot().find(backend).is_some()) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::NOT_FOUND, "no-such-backend", "No such backend")
            .detail(format!("no cluster has a backend `{backend}`"))
            .hint("`lb status` lists all backends"))
    }
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
