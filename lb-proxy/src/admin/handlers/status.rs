//! All of it at a glance.

use axum::{Json, extract::State};

use crate::admin::{
    api::Api,
    dto::{Cluster, Route, Status},
};

/// What runs, and what is the matter with it.
#[utoipa::path(get, path = "/api/v1/status", responses((status = OK, body = Status)))]
pub(crate) async fn status(State(api): State<Api>) -> Json<Status> {
    let overview = api.desk.overview();
    let one = |cluster| Cluster::new(cluster, &overview, &api.desk);
    let clusters: Vec<Cluster> = overview.clusters.iter().map(one).collect();
    Json(Status::new(&overview, &clusters, api.log.now().into()))
}

/// The routes, in the order in which they are tried.
#[utoipa::path(get, path = "/api/v1/routes", responses((status = OK, body = Vec<Route>)))]
pub(crate) async fn routes(State(api): State<Api>) -> Json<Vec<Route>> {
    Json(Route::all(&api.desk.overview()))
}
