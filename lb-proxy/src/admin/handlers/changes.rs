//! What people did.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::write::{Answer, By, How, ask};
use crate::{
    admin::{
        api::Api,
        body,
        dto::{Bulk, Change, Changed},
        problem::Problem,
    },
    control::{Page, Wish},
};

/// Which changes.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those after this one.
    #[serde(default)]
    since: Option<u64>,
    /// Those before this one, with `order=newest`.
    #[serde(default)]
    before: Option<u64>,
    /// `oldest` first, unless it is said, or `newest`.
    #[serde(default)]
    order: Order,
    /// How many at most: 1 to 1000, 100 unless it is said.
    #[serde(default)]
    limit: Option<usize>,
}

/// Which come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    #[default]
    Oldest,
    Newest,
}

impl Which {
    fn page(&self) -> Result<Page, Problem> {
        let wrong = |detail: &str| Err(Problem::invalid(detail));
        match (self.order, self.since, self.before) {
            (Order::Oldest, _, Some(_)) => wrong("`before` is for `order=newest`"),
            (Order::Newest, Some(_), _) => wrong("`since` is for `order=oldest`"),
            (Order::Oldest, since, None) => Ok(Page::After(since.unwrap_or(0))),
            (Order::Newest, None, before) => Ok(Page::Before(before.unwrap_or(u64::MAX))),
        }
    }
}

/// Changes at once, or in an answer.
const MOST: usize = 1_000;

/// Everything people changed, oldest or newest first.
#[utoipa::path(get, path = "/api/v1/changes", operation_id = "list_changes", params(Which),
    responses((status = OK, body = Vec<Change>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Change>>, Problem> {
    let limit = which.limit.unwrap_or(100).clamp(1, MOST);
    let changes = api.desk.changes(which.page()?, limit).await.map_err(|error| {
        let title = "The journal cannot be read";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-journal", title).detail(error)
    })?;
    Ok(Json(changes.into_iter().map(Into::into).collect()))
}

/// Several changes at once: all of them, or none.
#[utoipa::path(post, path = "/api/v1/changes", operation_id = "change", params(How),
    request_body = Bulk,
    responses(
        (status = OK, body = Changed),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem),
        (status = PRECONDITION_FAILED, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn make(
    State(api): State<Api>,
    Query(how): Query<How>,
    by: By,
    body::Json(Bulk { changes }): body::Json<Bulk>,
) -> Result<Answer, Problem> {
    if changes.is_empty() || changes.len() > MOST {
        return Err(Problem::invalid(format!("1 to {MOST} changes are made at once"))
            .at("/changes", format!("there are {}", changes.len())));
    }
    let wishes: Result<Vec<Wish>, Problem> =
        changes.into_iter().map(|operation| operation.wish()).collect();
    ask(&api, by, how, wishes?).await.map(Json)
}

/// The value before a change again. Refused if it was changed since.
#[utoipa::path(post, path = "/api/v1/changes/{id}/undo", operation_id = "undo",
    params(("id" = u64, Path, description = "the number of the change"), How),
    responses(
        (status = OK, body = Changed),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem),
    ))]
pub(crate) async fn undo(
    State(api): State<Api>,
    Path(change): Path<u64>,
    Query(how): Query<How>,
    by: By,
) -> Result<Answer, Problem> {
    ask(&api, by, how, vec![Wish::Undo { change }]).await.map(Json)
}
