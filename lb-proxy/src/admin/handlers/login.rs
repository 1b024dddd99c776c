//! Signing in and out, and who is in.

use std::time::Instant;

use axum::{
    Extension, Json,
    extract::{Query, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use crate::{
    admin::{
        access::{Caller, Peer},
        api::Api,
        body, cookie,
        dto::{Login, WhoAmI},
        problem::Problem,
        sessions::IDLE,
    },
    control::{Door, unix_millis},
};

/// Gives a browser a session for a token. It is in a cookie that scripts cannot read and
/// other sites cannot use, ends after half an hour without a request and in any case after
/// twelve hours, and with the token. After five wrong tokens: 429.
#[utoipa::path(post, path = "/api/v1/login", operation_id = "login", request_body = Login,
    security(()),
    responses(
        (status = OK, body = WhoAmI, headers(("set-cookie" = String))),
        (status = UNAUTHORIZED, body = Problem),
        (status = TOO_MANY_REQUESTS, body = Problem),
    ))]
pub(crate) async fn login(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body::Json(Login { token }): body::Json<Login>,
) -> Result<Response, Problem> {
    let Peer::Address { remote, .. } = peer else {
        return Err(Problem::invalid("sessions are for browsers, and none comes by a socket")
            .hint("nobody has to sign in here"));
    };
    let now = Instant::now();
    let (number, known) = api.access.sign_in(token.trim().as_bytes(), remote.ip(), now)?;
    let idle = u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX);
    let who = WhoAmI {
        name: known.name.to_owned(),
        role: known.role.name().to_owned(),
        door: Door::Browser.to_string(),
        expires: Some(unix_millis().saturating_add(idle)),
    };
    Ok(with_cookie(Json(who).into_response(), cookie::keep(&headers, &number)))
}

/// Ends the session that asks for it.
#[utoipa::path(post, path = "/api/v1/logout", operation_id = "logout",
    responses((status = NO_CONTENT, headers(("set-cookie" = String)))))]
pub(crate) async fn logout(State(api): State<Api>, caller: Caller, headers: HeaderMap) -> Response {
    api.access.sign_out(caller.leave, Instant::now());
    with_cookie(StatusCode::NO_CONTENT.into_response(), cookie::forget(&headers))
}

/// Who asks, and what he may do.
#[utoipa::path(get, path = "/api/v1/whoami", operation_id = "whoami",
    responses((status = OK, body = WhoAmI)))]
pub(crate) async fn whoami(State(api): State<Api>, caller: Caller) -> Json<WhoAmI> {
    let left = api.access.lasts(caller.leave, Instant::now());
    let left = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    Json(WhoAmI {
        name: caller.author.name,
        role: caller.role.name().to_owned(),
        door: caller.author.door.to_string(),
        expires: left.map(|left| unix_millis().saturating_add(left)),
    })
}

/// The code of a link.
#[derive(Deserialize)]
pub(crate) struct Once {
    once: String,
}

/// The link of the start: a session, and on to what there is to see. Only for who follows
/// it: a program that looks at links asks by HEAD, a browser that fetches them before they
/// are followed says so in `Sec-Purpose`.
pub(crate) async fn once(
    State(api): State<Api>,
    Query(Once { once }): Query<Once>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if method != Method::GET || headers.contains_key("sec-purpose") {
        let title = "Not by this method";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not-so", title)
            .detail("it leads in only who follows it"));
    }
    let number = api.access.sign_in_once(&once, Instant::now())?;
    Ok(with_cookie(Redirect::to("/").into_response(), cookie::keep(&headers, &number)))
}

/// Where a browser begins.
pub(crate) async fn begin() -> Redirect {
    Redirect::to("/api/v1/status")
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
