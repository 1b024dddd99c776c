//! What we answer ourselves when nobody else can.
//!
//! One function, [`Trouble::verdict`], maps who was at fault and in which phase
//! to a status and a reason word. The word is for the person who reads the
//! answer and for the log; names of clusters and backends stay inside.
//! HTML, or `application/problem+json` (RFC 9457) for clients that ask for it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::ResponseBody;

/// How many seconds a client should wait that nobody is there for at present: backends
/// come back, and places become free, at any time.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request could not be answered by a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Target,
    TargetTooLong,
    Host,
    Method,
    Coding,
    /// Not HTTP.
    Request,
    HeadTooLarge,
    /// HTTP/2 without TLS or an upgrade.
    Version,
    HeadStalled,
    BodyStalled,
    BodyTooLarge,
    BodyBroken,
    NoRoute,
    /// It has been here before.
    Loop,
    ForeignHost,
    NoBackend,
    Overload,
    OutOfResources,
    Refused,
    /// The backend's name stands for no address.
    Unresolved,
    ConnectTimeout,
    Reset,
    Malformed,
    FirstByteTimeout,
    /// Of all tries together.
    TotalTimeout,
}

/// Who was at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Backend,
    Us,
}

/// What a trouble means for the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) side: Side,
    pub(crate) status: StatusCode,
    pub(crate) word: &'static str,
}

impl Trouble {
    /// The whole table.
    pub(crate) const fn verdict(self) -> Verdict {
        use Side::{Backend, Client, Us};
        let (side, status, word) = match self {
            Self::Target => (Client, StatusCode::BAD_REQUEST, "bad-target"),
            Self::TargetTooLong => (Client, StatusCode::URI_TOO_LONG, "target-too-long"),
            Self::Host => (Client, StatusCode::BAD_REQUEST, "bad-host"),
            Self::Method => (Client, StatusCode::NOT_IMPLEMENTED, "method-not-supported"),
            Self::Coding => (Client, StatusCode::NOT_IMPLEMENTED, "coding-not-supported"),
            Self::Request => (Client, StatusCode::BAD_REQUEST, "bad-request"),
            Self::HeadTooLarge => {
                (Client, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large")
            }
            Self::Version => {
                (Client, StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version-not-supported")
            }
            Self::HeadStalled => (Client, StatusCode::REQUEST_TIMEOUT, "head-timeout"),
            Self::BodyStalled => (Client, StatusCode::REQUEST_TIMEOUT, "body-timeout"),
            Self::BodyTooLarge => (Client, StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::BodyBroken => (Client, StatusCode::BAD_REQUEST, "bad-body"),
            Self::NoRoute => (Us, StatusCode::NOT_FOUND, "no-route"),
            Self::ForeignHost => (Client, StatusCode::MISDIRECTED_REQUEST, "unknown-host"),
            Self::Loop => (Us, StatusCode::LOOP_DETECTED, "loop"),
            Self::NoBackend => (Us, StatusCode::SERVICE_UNAVAILABLE, "no-backend"),
            Self::Overload => (Us, StatusCode::SERVICE_UNAVAILABLE, "at-capacity"),
            Self::OutOfResources => (Us, StatusCode::SERVICE_UNAVAILABLE, "out-of-resources"),
            Self::Refused => (Backend, StatusCode::BAD_GATEWAY, "backend-refused"),
            Self::Unresolved => (Backend, StatusCode::BAD_GATEWAY, "backend-unresolved"),
            Self::ConnectTimeout => {
                (Backend, StatusCode::GATEWAY_TIMEOUT, "backend-connect-timeout")
            }
            Self::Reset => (Backend, StatusCode::BAD_GATEWAY, "backend-reset"),
            Self::Malformed => (Backend, StatusCode::BAD_GATEWAY, "backend-malformed"),
            Self::FirstByteTimeout => (Backend, StatusCode::GATEWAY_TIMEOUT, "backend-timeout"),
            Self::TotalTimeout => (Backend, StatusCode::GATEWAY_TIMEOUT, "total-timeout"),
        };
        Verdict { side, status, word }
    }

    /// The log line of an answer of ours: `debug`, as it is one per request;
    /// clients being odd is `trace`.
    pub(crate) fn log(self) {
        let Verdict { side, status, word } = self.verdict();
        let status = status.as_u16();
        match side {
            Side::Client => tracing::trace!(status, word, "request refused"),
            Side::Backend | Side::Us => tracing::debug!(status, word, "request failed"),
        }
    }
}

/// How the client wants an answer of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Html,
    Problem,
}

impl Form {
    /// By the `Accept` header: JSON for those who ask for it and not for HTML.
    pub(crate) fn accepted(accept: Option<&[u8]>) -> Self {
        let has = |accept: &[u8], word: &[u8]| accept.windows(word.len()).any(|part| part == word);
        match accept {
            Some(accept) if has(accept, b"json") && !has(accept, b"text/html") => Self::Problem,
            _ => Self::Html,
        }
    }
}

/// The answer to a request that ran into trouble.
/// `id` is what the request is called, without anything that needs an escape.
pub(crate) fn answer(
    trouble: Trouble,
    form: Form,
    id: Option<&HeaderValue>,
) -> Response<ResponseBody> {
    let (kind, text) = content(trouble, form, id);
    let mut response = Response::new(ResponseBody::own(text));
    *response.status_mut() = trouble.verdict().status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// The same as bytes, for a connection whose parser is gone. It ends with the
/// connection.
pub(crate) fn raw_answer(trouble: Trouble) -> Vec<u8> {
    let (kind, text) = content(trouble, Form::Html, None);
    let status = trouble.verdict().status;
    let head = format!(
        "HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        status.as_str(),
        reason(status),
        text.len()
    );
    [head.as_bytes(), &text].concat()
}

fn content(trouble: Trouble, form: Form, id: Option<&HeaderValue>) -> (&'static str, Bytes) {
    let Verdict { status, word, .. } = trouble.verdict();
    let (code, reason) = (status.as_str(), reason(status));
    let id = id.and_then(|id| id.to_str().ok());
    let (kind, text) = match form {
        Form::Html => {
            let id = id.map_or_else(String::new, |id| format!("<p>request {id}\n"));
            let title = format!("{code} {reason}");
            (
                "text/html; charset=utf-8",
                format!("<!doctype html><title>{title}</title><h1>{title}</h1><p>{word}\n{id}"),
            )
        }
        Form::Problem => {
            let id = id.map_or_else(String::new, |id| format!(",\"request_id\":\"{id}\""));
            (
                "application/problem+json",
                format!(
                    "{{\"type\":\"about:blank\",\"title\":\"{reason}\",\"status\":{code},\"detail\":\"{word}\"{id}}}\n"
                ),
            )
        }
    };
    (kind, Bytes::from(text))
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        let form = |accept: &str| Form::accepted(Some(accept.as_bytes()));
        assert_eq!(form("application/json"), Form::Problem);
        assert_eq!(form("application/problem+json, */*"), Form::Problem);
        assert_eq!(form("text/html,application/json;q=0.9"), Form::Html);
        assert_eq!(form("*/*"), Form::Html);
        assert_eq!(Form::accepted(None), Form::Html);
    }

    #[test]
    fn a_problem_is_valid_json() {
        let id = HeaderValue::from_static("r-1");
        for id in [None, Some(&id)] {
            let (kind, text) = content(Trouble::NoBackend, Form::Problem, id);
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(kind, "application/problem+json");
            assert_eq!(value["status"], 503);
            assert_eq!(value["detail"], "no-backend");
            assert_eq!(value["request_id"].as_str(), id.map(|_| "r-1"));
        }
    }

    #[test]
    fn who_is_turned_away_for_now_is_told_when_to_come_back() {
        for (trouble, expected) in [
            (Trouble::NoBackend, Some("1")),
            (Trouble::Overload, Some("1")),
            (Trouble::OutOfResources, Some("1")),
            (Trouble::Refused, None),
            (Trouble::NoRoute, None),
        ] {
            let answer = answer(trouble, Form::Html, None);
            let after = answer.headers().get(header::RETRY_AFTER);
            assert_eq!(after.map(|after| after.to_str().unwrap()), expected, "{trouble:?}");
        }
    }

    #[test]
    fn a_raw_answer_says_how_long_it_is() {
        let text = String::from_utf8(raw_answer(Trouble::HeadStalled)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
    }
}
