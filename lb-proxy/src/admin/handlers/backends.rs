//! Backends.

use axum::{
    Json,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use super::write::{Answer, By, How, ask, find_backend};
use crate::{
    admin::{
        api::{Api, cluster},
        body,
        dto::{Backend, BackendChanges, Changed, Cluster, NewBackend, read_drain},
        problem::Problem,
    },
    control::Wish,
};

/// The backends of a cluster, in the order of file and sources.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}/backends", operation_id = "list_backends",
    params(("cluster" = String, Path, description = "its name")),
    responses((status = OK, body = Vec<Backend>), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Backend>>, Problem> {
    let overview = api.desk.overview();
    Ok(Json(Cluster::new(cluster(&overview, &name)?, &overview, &api.desk).backends))
}

/// One backend.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}/backends/{backend}",
    operation_id = "show_backend",
    params(
        ("cluster" = String, Path, description = "its name"),
        ("backend" = String, Path, description = "its name, `/` as `%2F`"),
    ),
    responses((status = OK, body = Backend), (status = NOT_FOUND, body = Problem)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path((cluster, backend)): Path<(String, String)>,
) -> Result<Json<Backend>, Problem> {
    find_backend(&api, &cluster, &backend).map(Json)
}

/// Another backend. Where there are checks, it takes requests once one has passed.
#[utoipa::path(post, path = "/api/v1/clusters/{cluster}/backends", operation_id = "add_backend",
    params(("cluster" = String, Path, description = "its name"), How),
    request_body = NewBackend,
    responses(
        (status = CREATED, body = Changed, headers(("location" = String))),
        (status = OK, body = Changed, description = "of a dry run"),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn add(
    State(api): State<Api>,
    Path(cluster): Path<String>,
    Query(how): Query<How>,
    by: By,
    body::Json(backend): body::Json<NewBackend>,
) -> Result<Response, Problem> {
    let is_dry = how.dry_run;
    let name = backend.name.clone().unwrap_or_else(|| backend.address.clone());
    let place = format!("/api/v1/clusters/{}/backends/{}", encoded(&cluster), encoded(&name));
    let wish = Wish::Add { cluster, backend: backend.into() };
    let changed = Json(ask(&api, by, how, vec![wish]).await?);
    Ok(match is_dry {
        true => changed.into_response(),
        false => (StatusCode::CREATED, [(header::LOCATION, place)], changed).into_response(),
    })
}

/// Another state, weight or ceiling.
#[utoipa::path(patch, path = "/api/v1/clusters/{cluster}/backends/{backend}",
    operation_id = "change_backend",
    params(
        ("cluster" = String, Path, description = "its name"),
        ("backend" = String, Path, description = "its name, `/` as `%2F`"),
        How,
    ),
    request_body = BackendChanges,
    responses(
        (status = OK, body = Changed),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "nobody would be left"),
        (status = PRECONDITION_FAILED, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn patch(
    State(api): State<Api>,
    Path((cluster, backend)): Path<(String, String)>,
    Query(how): Query<How>,
    by: By,
    body::Json(changes): body::Json<BackendChanges>,
) -> Result<Answer, Problem> {
    let patch = changes.patch()?;
    ask(&api, by, how, vec![Wish::Patch { cluster, backend, patch }]).await.map(Json)
}

/// No such backend any more, also if the file or a source has it. With `drain`, its
/// clients have so long to go elsewhere: then the answer is 202, and it goes afterwards.
#[utoipa::path(delete, path = "/api/v1/clusters/{cluster}/backends/{backend}",
    operation_id = "remove_backend",
    params(
        ("cluster" = String, Path, description = "its name"),
        ("backend" = String, Path, description = "its name, `/` as `%2F`"),
        How,
    ),
    responses(
        (status = OK, body = Changed),
        (status = ACCEPTED, body = Changed, description = "it is drained first"),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "nobody would be left"),
        (status = PRECONDITION_FAILED, body = Problem),
    ))]
pub(crate) async fn remove(
    State(api): State<Api>,
    Path((cluster, backend)): Path<(String, String)>,
    Query(how): Query<How>,
    by: By,
) -> Result<Response, Problem> {
    let drain = read_drain(how.drain.as_deref())?;
    let is_later = drain.is_some() && !how.dry_run;
    let wish = Wish::Remove { cluster, backend, drain };
    let changed = Json(ask(&api, by, how, vec![wish]).await?);
    Ok(match is_later {
        true => (StatusCode::ACCEPTED, changed).into_response(),
        false => changed.into_response(),
    })
}

/// A name as one segment of a path.
fn encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(encoded("10.0.0.1:80"), "10.0.0.1:80");
        assert_eq!(encoded("a/b ö?"), "a%2Fb%20%C3%B6%3F");
    }
}
