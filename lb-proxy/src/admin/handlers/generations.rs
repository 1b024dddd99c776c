//! The last states of clusters, each with its causes.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::{
    api::{Api, cluster},
    dto::Generation,
    problem::Problem,
};

/// Which generations.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Of this cluster only.
    #[serde(default)]
    cluster: Option<String>,
}

/// The last states of each cluster, oldest first, with what caused them. Of each cluster
/// the last 256 are kept.
#[utoipa::path(get, path = "/api/v1/generations", operation_id = "list_generations",
    params(Which),
    responses((status = OK, body = Vec<Generation>), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Generation>>, Problem> {
    let overview = api.desk.overview();
    if let Some(name) = &which.cluster {
        cluster(&overview, name)?;
    }
    let clusters = overview
        .clusters
        .iter()
        .filter(|one| which.cluster.as_ref().is_none_or(|name| *name == one.name));
    let mut all = Vec::new();
    for one in clusters {
        let generations = one.cluster.generations();
        all.extend(generations.iter().map(|generation| Generation::new(&one.name, generation)));
    }
    Ok(Json(all))
}
