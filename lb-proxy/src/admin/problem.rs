//! What is answered when something cannot be done: RFC 9457, with a hint what to do.

use axum::{
    body::Body,
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // It is all texts and numbers: that cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
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
