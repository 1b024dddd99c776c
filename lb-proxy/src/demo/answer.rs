//! What a demo backend answers.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderName},
};
use hyper::body::Incoming;
use serde_json::json;

use super::{
    backend::Counters,
    load::Load,
    options::DemoOptions,
    reply::{Framing, Reply},
};
use crate::duration::parse_duration;

const X_BACKEND: HeaderName = HeaderName::from_static("x-backend");
const LOAD: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// What all connections of a backend share.
#[derive(Debug)]
pub(super) struct Site {
    name: String,
    /// The name as JSON, quotes included.
    name_json: String,
    name_header: Option<HeaderValue>,
    port: u16,
    delay: Duration,
    status: StatusCode,
    counters: Arc<Counters>,
    load: Load,
    reports_load: bool,
}

impl Site {
    pub(super) fn new(options: &DemoOptions, address: SocketAddr, counters: Arc<Counters>) -> Self {
        Self {
            name: options.name.clone(),
            name_json: json!(options.name).to_string(),
            name_header: HeaderValue::from_str(&options.name).ok(),
            port: address.port(),
            delay: options.delay,
            status: options.status,
            counters,
            load: Load::new(),
            reports_load: options.reports_load,
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        let work = (request.uri().path() != "/load").then(|| self.load.begin());
        let mut response = match work {
            Some(_) => self.work(request).await,
            None => json_answer(StatusCode::OK, format!("{}\n", self.load.to_json())),
        };
        if let Some(name) = &self.name_header {
            response.headers_mut().insert(X_BACKEND, name.clone());
        }
        if self.reports_load
            && let Ok(report) = HeaderValue::from_str(&self.load.to_report())
        {
            response.headers_mut().insert(LOAD, report);
        }
        response
    }

    async fn work(&self, request: Request<Incoming>) -> Response<Reply> {
        let count = self.counters.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let path = request.uri().path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = path.split_once('/').map_or((path, None), |(a, b)| (a, Some(b)));
        match (first, rest) {
            ("bytes", Some(length)) => pattern(length, Framing::Sized),
            ("chunked", Some(length)) => pattern(length, Framing::Chunked),
            ("truncate", Some(length)) => pattern(length, Framing::Truncated),
            ("status", Some(code)) => self.status_answer(code, count, &request),
            ("delay", Some(delay)) => match parse_duration(delay) {
                Ok(delay) => {
                    tokio::time::sleep(delay).await;
                    self.who(self.status, count, &request)
                }
                Err(reason) => refused(&reason),
            },
            ("headers", None) => self.headers(&request),
            ("echo", None) => echo(request),
            _ => self.who(self.status, count, &request),
        }
    }

    fn who(&self, status: StatusCode, count: u64, request: &Request<Incoming>) -> Response<Reply> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // Written by hand for the order of the fields, which is the order of interest.
        let text = format!(
            "{{\"name\":{},\"port\":{},\"count\":{count},\"method\":{},\"path\":{}}}\n",
            self.name_json,
            self.port,
            json!(request.method().as_str()),
            json!(path),
        );
        json_answer(status, text)
    }

    fn status_answer(
        &self,
        code: &str,
        count: u64,
        request: &Request<Incoming>,
    ) -> Response<Reply> {
        match code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()) {
            Some(status) if status.is_informational() => refused(&"a 1xx status is not an answer"),
            Some(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => {
                let mut response = Response::new(Reply::Text(bytes::Bytes::new()));
                *response.status_mut() = status;
                response
            }
            Some(status) => self.who(status, count, request),
            None => refused(&format_args!("`{code}` is not a status")),
        }
    }

    fn headers(&self, request: &Request<Incoming>) -> Response<Reply> {
        let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.as_str()).or_default().push(value);
        }
        let document = json!({
            "name": self.name,
            "method": request.method().as_str(),
            "target": request.uri().to_string(),
            "version": format!("{:?}", request.version()),
            "headers": headers,
        });
        json_answer(StatusCode::OK, format!("{document}\n"))
    }
}

fn pattern(length: &str, framing: Framing) -> Response<Reply> {
    match length.parse() {
        Ok(length) => {
            let mut response = Response::new(Reply::pattern(length, framing));
            let binary = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(CONTENT_TYPE, binary);
            response
        }
        Err(_) => refused(&format_args!("`{length}` is not a number of bytes")),
    }
}

fn echo(request: Request<Incoming>) -> Response<Reply> {
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        let mut response = refused(&"send something with POST or PUT");
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, PUT"));
        return response;
    }
    let (head, body) = request.into_parts();
    let mut response = Response::new(Reply::Echo(body));
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    response
}

fn refused(reason: &dyn Display) -> Response<Reply> {
    json_answer(StatusCode::BAD_REQUEST, format!("{}\n", json!({ "error": reason.to_string() })))
}

fn json_answer(status: StatusCode, text: String) -> Response<Reply> {
    let mut response = Response::new(Reply::Text(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
