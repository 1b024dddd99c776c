//! What happened, and what happens.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::{access::Caller, api::Api, dto::Event, problem::Problem, sse};

/// Which events.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those after this one. A stream without it, and without `Last-Event-ID`, begins with
    /// what happens next.
    #[serde(default)]
    since: Option<u64>,
    /// How many at most, the last ones, of a list.
    #[serde(default)]
    limit: Option<usize>,
}

/// The last thousand events, oldest first; or, asked for as `text/event-stream`, all that
/// come. A stream has the `seq` of each event as `id`, so that `Last-Event-ID` goes on where
/// it was cut off; an event `gap` says how many are not to be had any more. A stream ends after
/// a quarter of an hour, or with the token or session that it was asked for by. At most 16
/// are served at a time by addresses, and 16 over the socket, four of them to one.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "events", params(Which),
    responses(
        (status = OK, content((Vec<Event> = "application/json"), (String = "text/event-stream"))),
        (status = SERVICE_UNAVAILABLE, body = Problem, description = "too many streams"),
    ))]
pub(crate) async fn events(
    State(api): State<Api>,
    Query(which): Query<Which>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !wants_stream(&headers) {
        let all = api.desk.events().since(which.since.unwrap_or(0));
        let most = which.limit.unwrap_or(all.len()).min(all.len());
        let last: Vec<Event> =
            all[all.len() - most..].iter().map(|event| Event::from(&**event)).collect();
        return Ok(Json(last).into_response());
    }
    let place = api.streams.take(&caller)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let since = last.or(which.since);
    let (access, leave) = (Arc::clone(&api.access), caller.leave);
    let allowed = move || access.holds(leave, Instant::now());
    Ok(sse::stream(api.desk.events(), since, place, allowed))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}
