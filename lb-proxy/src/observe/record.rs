//! What is known of one request, filled along its way and written at its end.
//!
//! A record holds on to what the request came with (a count each, no copies), and
//! only to what the format of the log asks for.

use std::{rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use lb_core::Tick;

/// Why a request ended, where it is not for an answer of ours: those end with the
/// word in the answer.
pub(crate) mod end {
    /// Its answer was sent to the last byte.
    pub(crate) const DONE: &str = "done";
    /// The client's connection ended first.
    pub(crate) const CLIENT_ABORT: &str = "client-abort";
    /// The client took or sent nothing for too long.
    pub(crate) const CLIENT_TIMEOUT: &str = "client-timeout";
    /// The proxy was told to end, and `timeout.shutdown` was over.
    pub(crate) const SHUTDOWN: &str = "shutdown";
}

/// One request.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Tick,
    /// The client's address, as text.
    pub(crate) client: HeaderValue,
    /// The listener's address, as text.
    pub(crate) listener: Rc<str>,
    /// `None`: what came was no request.
    pub(crate) request: Option<Asked>,
    pub(crate) id: Option<HeaderValue>,
    pub(crate) route: Option<Rc<str>>,
    pub(crate) cluster: Option<Rc<str>>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) picked_by: Option<PickedBy>,
    pub(crate) sticky: Option<Stickiness>,
    /// 0: nothing was answered.
    pub(crate) status: u16,
    /// Bytes of the request's body.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body.
    pub(crate) bytes_out: u64,
    /// The first reason counts: what follows a failure is its consequence.
    end: Option<&'static str>,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) referer: Option<HeaderValue>,
}

/// One backend that was tried.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) backend: Box<str>,
    pub(crate) address: Box<str>,
    pub(crate) result: AttemptResult,
    /// Until there was a connection; `None` where one was at hand.
    pub(crate) connect: Option<Duration>,
    /// From the pick until the first byte of an answer.
    pub(crate) first_byte: Option<Duration>,
    /// From the pick until the backend was done.
    pub(crate) total: Duration,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptResult {
    /// The backend answered.
    Status(u16),
    /// It did not, in one word.
    Failed(&'static str),
}

/// Who chose the backend that was tried last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PickedBy {
    Strategy,
    Sticky,
    Retry,
    Panic,
}

/// What became of a client's binding to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stickiness {
    Kept,
    New,
    Moved,
}

/// Which headers a format asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(super) host: bool,
    /// User agent and referer.
    pub(super) agent: bool,
}

impl Asked {
    pub(crate) fn new<B>(request: &Request<B>, wanted: Wanted) -> Self {
        let headers = request.headers();
        let agent = |name| wanted.agent.then(|| value(headers, name)).flatten();
        Self {
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            host: wanted.host.then(|| value(headers, &header::HOST)).flatten(),
            user_agent: agent(&header::USER_AGENT),
            referer: agent(&header::REFERER),
        }
    }

    /// The target's host counts, whatever the header says; a name and password in
    /// front of it are nobody's business.
    pub(super) fn host(&self) -> Option<&[u8]> {
        let authority = self.target.authority().map(|authority| authority.as_str());
        let host = authority.map(|text| text.rsplit_once('@').map_or(text, |(_, host)| host));
        host.map(str::as_bytes).or_else(|| self.host.as_ref().map(HeaderValue::as_bytes))
    }

    /// The path; of `CONNECT`, what it wants to connect to.
    pub(super) fn path(&self, query: bool) -> &str {
        match self.target.path_and_query() {
            Some(text) if query => text.as_str(),
            Some(text) => text.path(),
            None => self.target.authority().map_or("", |authority| authority.as_str()),
        }
    }

    pub(super) fn protocol(&self) -> &'static str {
        if self.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
    }
}

fn value(headers: &HeaderMap, name: &http::HeaderName) -> Option<HeaderValue> {
    headers.get(name).cloned()
}

impl Record {
    /// Nothing has happened yet.
    pub(crate) fn new(started: Tick, client: HeaderValue, listener: Rc<str>) -> Self {
        Self {
            started,
            client,
            listener,
            request: None,
            id: None,
            route: None,
            cluster: None,
            attempts: Vec::new(),
            picked_by: None,
            sticky: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            end: None,
        }
    }

    /// Says why it ended, unless that was said before.
    pub(crate) fn ends(&mut self, why: &'static str) {
        self.end.get_or_insert(why);
    }

    pub(super) fn end(&self) -> &'static str {
        self.end.unwrap_or(end::DONE)
    }

    /// Whether it is logged whatever the sample is.
    pub(super) fn is_failure(&self) -> bool {
        self.status >= 500 || self.end() != end::DONE
    }
}

impl PickedBy {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Sticky => "sticky",
            Self::Retry => "retry",
            Self::Panic => "panic",
        }
    }
}

impl Stickiness {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::New => "new",
            Self::Moved => "moved",
        }
    }
}
