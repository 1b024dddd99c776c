//! What is answered when something cannot be done: RFC 9457, with a hint what to do.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Why something was not done (RFC 9457). `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:lb:problem:would-empty-cluster",
    "title": "No backend would be left",
    "status": 409,
    "detail": "web/s2 is the last usable backend of `web`",
    "hint": "enable another one first, or repeat with `?force=true`",
}))]
pub(crate) struct Problem {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    pub(crate) kind: Box<str>,
    /// The kind in words; stable.
    pub(crate) title: Box<str>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What happened this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Box<str>>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<Box<str>>,
    /// Which parts of the body are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
    /// What is wrong with a configuration, if it is about one.
    #[serde(flatten)]
    pub(crate) mistakes: Option<Box<ConfigMistakes>>,
    /// When to try again.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ConfigMistakes {
    /// Each as `lb check --json` has it.
    #[schema(value_type = Vec<Object>)]
    pub(crate) diagnostics: Vec<Value>,
    /// The same, as `lb check` prints it.
    pub(crate) report: String,
}

/// One part of a body that is wrong.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldError {
    /// A JSON pointer.
    #[schema(example = "/weight")]
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) detail: String,
}

impl Problem {
    /// A problem of this kind, a word for the URN.
    pub(crate) fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        Self {
            kind: format!("urn:lb:problem:{kind}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            hint: None,
            errors: Vec::new(),
            mistakes: None,
            retry_after: None,
        }
    }

    pub(crate) fn detail(mut self, detail: impl Into<Box<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which part of the body is wrong.
    pub(crate) fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "Nothing is here")
            .detail(format!("there is no `{path}`"))
            .hint("`GET /openapi.json` says what there is")
    }

    pub(crate) fn invalid(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request makes no sense")
            .detail(detail)
    }
}

/// On the answer: what it says, for whoever writes it down.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The word of the URN.
    pub(crate) kind: Box<str>,
    pub(crate) detail: Option<Box<str>>,
}

/// Says in our words what the router found wrong by itself: a parameter that does not
/// exist, a path that cannot be read.
pub(crate) async fn in_our_words(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(is_plain && (status.is_client_error() || status.is_server_error())) {
        return response;
    }
    let body = to_bytes(response.into_body(), 16 << 10).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let said = text.split_once(": ").filter(|(before, _)| before.starts_with("Failed to"));
    let detail = said.map_or(&*text, |(_, detail)| detail);
    Problem::new(status, "bad-request", "The request makes no sense")
        .detail(detail)
        .hint("`GET /openapi.json` says what there is, with all parameters")
        .into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // It is all texts and numbers: that cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let kind = self.kind.rsplit(':').next().unwrap_or_default().into();
        response.extensions_mut().insert(Told { kind, detail: self.detail });
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
