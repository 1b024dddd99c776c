//! Clusters.

use axum::{
    Json,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
};
use http::header;

use super::write::{Answer, By, How, ask};
use crate::{
    admin::{
        api::{Api, cluster},
        body,
        dto::{Changed, Cluster, NewStrategy, SettingChanges},
        problem::Problem,
    },
    control::{SettingTable, Wish},
};

/// All clusters with their backends, in the order of the file.
#[utoipa::path(get, path = "/api/v1/clusters", operation_id = "list_clusters",
    responses((status = OK, body = Vec<Cluster>)))]
pub(crate) async fn list(State(api): State<Api>) -> Json<Vec<Cluster>> {
    let overview = api.desk.overview();
    let one = |cluster| Cluster::new(cluster, &overview, &api.desk);
    Json(overview.clusters.iter().map(one).collect())
}

/// One cluster with its backends. Its `ETag` is for `If-Match`.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}", operation_id = "show_cluster",
    params(("cluster" = String, Path, description = "its name")),
    responses((status = OK, body = Cluster), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let overview = api.desk.overview();
    let found = Cluster::new(cluster(&overview, &name)?, &overview, &api.desk);
    let etag = [(header::ETAG, found.etag.clone())];
    Ok((etag, Json(found)).into_response())
}

/// Another strategy, by name or as a table of what the file may have there. Loads, health
/// and states stay.
#[utoipa::path(put, path = "/api/v1/clusters/{cluster}/strategy", operation_id = "set_strategy",
    params(("cluster" = String, Path, description = "its name"), How),
    request_body = NewStrategy,
    responses(
        (status = OK, body = Changed),
        (status = NOT_FOUND, body = Problem),
        (status = PRECONDITION_FAILED, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn set_strategy(
    State(api): State<Api>,
    Path(cluster): Path<String>,
    Query(how): Query<How>,
    by: By,
    body::Json(NewStrategy { strategy }): body::Json<NewStrategy>,
) -> Result<Answer, Problem> {
    ask(&api, by, how, vec![Wish::Strategy { cluster, strategy }]).await.map(Json)
}

/// Another interval, path, limit, … of the checks of a cluster. What is known of its
/// backends stays.
#[utoipa::path(patch, path = "/api/v1/clusters/{cluster}/health", operation_id = "set_health",
    params(("cluster" = String, Path, description = "its name"), How),
    request_body = SettingChanges,
    responses(
        (status = OK, body = Changed),
        (status = NOT_FOUND, body = Problem),
        (status = PRECONDITION_FAILED, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn set_health(
    State(api): State<Api>,
    Path(cluster): Path<String>,
    Query(how): Query<How>,
    by: By,
    body::Json(changes): body::Json<SettingChanges>,
) -> Result<Answer, Problem> {
    let wish = changes.wish(cluster, SettingTable::Health)?;
    ask(&api, by, how, vec![wish]).await.map(Json)
}

/// Another name, lifetime or attribute of the cookie that binds clients, or none. Its
/// keys are for the file alone.
#[utoipa::path(patch, path = "/api/v1/clusters/{cluster}/sticky", operation_id = "set_sticky",
    params(("cluster" = String, Path, description = "its name"), How),
    request_body = SettingChanges,
    responses(
        (status = OK, body = Changed),
        (status = NOT_FOUND, body = Problem),
        (status = PRECONDITION_FAILED, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn set_sticky(
    State(api): State<Api>,
    Path(cluster): Path<String>,
    Query(how): Query<How>,
    by: By,
    body::Json(changes): body::Json<SettingChanges>,
) -> Result<Answer, Problem> {
    let wish = changes.wish(cluster, SettingTable::Sticky)?;
    ask(&api, by, how, vec![wish]).await.map(Json)
}
