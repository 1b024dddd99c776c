//! Sources.

use axum::{Json, extract::State};

use crate::admin::{api::Api, dto::Source};

/// Where the backends of each cluster come from, and how that is going.
#[utoipa::path(get, path = "/api/v1/sources", operation_id = "list_sources",
    responses((status = OK, body = Vec<Source>)))]
pub(crate) async fn list(State(api): State<Api>) -> Json<Vec<Source>> {
    let overview = api.desk.overview();
    let of_one = |cluster: &crate::control::ClusterOverview| {
        let sources = cluster.sources.sources();
        sources.iter().map(|one| Source::new(&cluster.name, one)).collect::<Vec<_>>()
    };
    Json(overview.clusters.iter().flat_map(of_one).collect())
}
