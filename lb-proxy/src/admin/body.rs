//! Bodies: small, whole, and in time, before anybody looks at them.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Larger ones are answered with 413.
const LARGEST: usize = 1 << 20;
/// Later ones with 408.
const LATEST: Duration = Duration::from_secs(10);

/// Reads the body to its end, and passes it on as a whole.
pub(super) async fn read_whole(request: Request, next: Next) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let reading = Limited::new(body, LARGEST).collect();
    let bytes = match tokio::time::timeout(LATEST, reading).await {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let title = "The body is too large";
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title);
            return Err(problem.detail(format!("at most {LARGEST} bytes are taken")));
        }
        Ok(Err(error)) => {
            let title = "The body could not be read";
            let problem = Problem::new(StatusCode::BAD_REQUEST, "bad-body", title);
            return Err(problem.detail(error.to_string()));
        }
        Err(_) => {
            let title = "The body did not come";
            let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", title);
            return Err(problem.detail(format!("{} s were waited", LATEST.as_secs())));
        }
    };
    Ok(next.run(Request::from_parts(head, Body::from(bytes))).await)
}

/// A body in JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let title = "The body could not be read";
            Problem::new(rejection.status(), "bad-body", title).detail(rejection.body_text())
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let title = "The body makes no sense";
            let status = match error.is_data() {
                true => StatusCode::UNPROCESSABLE_ENTITY,
                false => StatusCode::BAD_REQUEST,
            };
            Problem::new(status, "invalid-body", title).detail(error.to_string())
        })
    }
}

/// A body in JSON, or none.
#[derive(Debug)]
pub(super) struct JsonOrNone<T>(pub(super) Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonOrNone<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // It was read as a whole, so its size is known.
        match request.body().size_hint().exact() {
            Some(0) => Ok(Self(None)),
            _ => Json::from_request(request, state).await.map(|Json(value)| Self(Some(value))),
        }
    }
}

/// What every answer says, whatever it is.
pub(super) async fn seal(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
