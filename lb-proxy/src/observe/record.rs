//! What is known of one request, filled along its way and written at its end.
//!
//! A record holds on to what the request came with (a count each, no copies): to what says
//! what was asked for, and of the rest to what the format of the log wants.

use std::{borrow::Cow, cell::Ref, net::IpAddr, rc::Rc};

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use lb_core::{Outcome, Tick, cluster::Standing, strategy::Reason};

use crate::http::{
    attempts::{Attempt, Attempts},
    binder::Stickiness,
};

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
    /// The other end's address, as text.
    neighbour: HeaderValue,
    /// Where a trusted neighbour says it came from.
    came_from: Option<IpAddr>,
    /// The listener's address, as text.
    pub(crate) listener: Rc<str>,
    /// `None`: what came was no request.
    pub(crate) request: Option<Asked>,
    pub(crate) id: Option<HeaderValue>,
    pub(crate) route: Option<Rc<str>>,
    pub(crate) cluster: Option<Rc<str>>,
    pub(crate) attempts: Option<Rc<Attempts>>,
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

/// Which headers a format asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
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
            host: value(headers, &header::HOST),
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
    pub(crate) fn new(started: Tick, neighbour: HeaderValue, listener: Rc<str>) -> Self {
        Self {
            started,
            neighbour,
            came_from: None,
            listener,
            request: None,
            id: None,
            route: None,
            cluster: None,
            attempts: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            end: None,
        }
    }

    /// A trusted neighbour says where it came from.
    pub(crate) fn came_from(&mut self, client: IpAddr) {
        self.came_from = Some(client);
    }

    /// The client's address. It is made a text only for those who read it.
    pub(super) fn client(&self) -> Cow<'_, str> {
        match self.came_from {
            Some(client) => client.to_string().into(),
            None => String::from_utf8_lossy(self.neighbour.as_bytes()),
        }
    }

    /// Lets go of the request, and returns the list of its tries. What little there is of
    /// the connection stays until it is used [again](Self::begin_again).
    pub(crate) fn clear(&mut self) -> Option<Rc<Attempts>> {
        (self.request, self.id, self.route, self.cluster) = (None, None, None, None);
        self.attempts.take()
    }

    /// As new, where it was cleared. Less is written than for a new one, and this is done
    /// for every request.
    pub(crate) fn begin_again(
        &mut self,
        started: Tick,
        neighbour: &HeaderValue,
        listener: &Rc<str>,
    ) {
        self.started = started;
        self.neighbour.clone_from(neighbour);
        self.came_from = None;
        self.listener.clone_from(listener);
        self.status = 0;
        (self.bytes_in, self.bytes_out) = (0, 0);
        self.end = None;
    }

    /// Says why it ended, unless that was said before.
    pub(crate) fn ends(&mut self, why: &'static str) {
        self.end.get_or_insert(why);
    }

    /// The tries, in order.
    pub(super) fn attempts(&self) -> Option<Ref<'_, [Attempt]>> {
        self.attempts.as_ref().map(|attempts| attempts.list())
    }

    /// Why the backend that was tried last, in a word. That it is not one of those that
    /// requests normally go to tells more than how it was chosen.
    pub(super) fn picked_by(&self) -> Option<&'static str> {
        let attempts = self.attempts()?;
        let last = attempts.last()?;
        let word = match (last.standing, last.reason) {
            (Standing::Panic, _) => "panic",
            (Standing::HalfOpen, _) => "trial",
            (_, Reason::Standby) => "standby",
            (_, Reason::LastResort) => "last-resort",
            _ if attempts.len() > 1 => "retry",
            (_, Reason::Preferred) => "sticky",
            _ => "strategy",
        };
        Some(word)
    }

    /// What became of the client's binding to a backend.
    pub(super) fn sticky(&self) -> Option<Stickiness> {
        let stickiness = self.attempts.as_ref()?.stickiness();
        (stickiness != Stickiness::None).then_some(stickiness)
    }

    pub(super) fn end(&self) -> &'static str {
        self.end.unwrap_or(end::DONE)
    }

    /// Whether something went wrong that is not the client's mistake.
    pub(super) fn is_error(&self) -> bool {
        let is_clients = (400..500).contains(&self.status);
        Outcome::Status(self.status).is_held_against() || self.end() != end::DONE && !is_clients
    }

    /// Whether it is logged whatever the sample is.
    pub(super) fn is_failure(&self) -> bool {
        self.status >= 500 || self.end() != end::DONE
    }
}
