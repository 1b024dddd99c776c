//! Checks of backends: what the last ones have found, and one now.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use http::StatusCode;
use lb_core::{Cluster, backend::IncarnationId};
use lb_proxy::NotChecked;

use super::write::find_backend;
use crate::{
    admin::{
        access::{Caller, Role},
        api::{Api, cluster},
        dto::{Check, CheckedNow},
        problem::Problem,
    },
    control::{Overview, Refused},
};

/// The last checks of a backend, oldest first, at most 20.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}/backends/{backend}/checks",
    operation_id = "list_checks",
    params(
        ("cluster" = String, Path, description = "its name"),
        ("backend" = String, Path, description = "its name, `/` as `%2F`"),
    ),
    responses((status = OK, body = Vec<Check>), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path((name, backend)): Path<(String, String)>,
) -> Result<Json<Vec<Check>>, Problem> {
    let overview = api.desk.overview();
    let (cluster, incarnation) = find(&api, &overview, &name, &backend)?;
    let shows_body = caller.role == Role::Admin;
    let results = overview.prober.results(&cluster, incarnation);
    Ok(Json(results.iter().map(|one| Check::new(one, shows_body)).collect()))
}

/// Checks a backend now, as its cluster says, and answers what was found. It counts like
/// any other check.
#[utoipa::path(post, path = "/api/v1/clusters/{cluster}/backends/{backend}/check",
    operation_id = "check_backend",
    params(
        ("cluster" = String, Path, description = "its name"),
        ("backend" = String, Path, description = "its name, `/` as `%2F`"),
    ),
    responses(
        (status = OK, body = CheckedNow),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "its cluster has no checks"),
        (status = SERVICE_UNAVAILABLE, body = Problem, description = "too many at once"),
    ))]
pub(crate) async fn check(
    State(api): State<Api>,
    Path((name, backend)): Path<(String, String)>,
) -> Result<Json<CheckedNow>, Problem> {
    let overview = api.desk.overview();
    let (found, incarnation) = find(&api, &overview, &name, &backend)?;
    if cluster(&overview, &name)?.settings.health.is_none() {
        let problem: Problem =
            Refused::Conflict { detail: format!("`{name}` has no checks") }.into();
        let hint = format!("give it some: `lb set-health {name} path=/healthz`");
        return Err(problem.hint(hint));
    }
    let result = overview.prober.check_now(&found, incarnation).await;
    let result = result.map_err(|why| match why {
        NotChecked::Busy => {
            let mut problem: Problem = Refused::Busy.into();
            problem.detail = Some(why.to_string().into());
            problem
        }
        why => {
            Problem::new(StatusCode::CONFLICT, "not-checked", "Not checked").detail(why.to_string())
        }
    })?;
    let condition = found.conditions().into_iter().find(|one| one.incarnation == incarnation);
    let (health, why) = condition
        .map(|one| (one.health.to_string(), one.reason.to_string()))
        .unwrap_or_else(|| ("gone".to_owned(), "it has left meanwhile".to_owned()));
    Ok(Json(CheckedNow { check: Check::new(&result, true), health, why }))
}

fn find(
    api: &Api,
    overview: &Overview,
    name: &str,
    backend: &str,
) -> Result<(Cluster, IncarnationId), Problem> {
    let found = &cluster(overview, name)?.cluster;
    let snapshot = found.snapshot();
    match snapshot.find(backend) {
        Some(slot) => Ok((found.clone(), snapshot.view().incarnation(slot))),
        // It says who is near.
        None => Err(find_backend(api, name, backend).err().unwrap_or_else(|| {
            Problem::new(StatusCode::CONFLICT, "conflict", "It comes just now").hint("try again")
        })),
    }
}
