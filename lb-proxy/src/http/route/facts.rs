//! What routes know of a request.
//!
//! A route must not go by a header that its backend never sees: what a stranger claims
//! about where it came from, and what `Connection` says is not for the backend. So such
//! headers are not there for routes either. Of what a trusted proxy says about scheme and
//! host only its own word is there, and not what a client has put before it.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{
    super::{
        forwarded::{last_said, said_scheme},
        headers::{X_FORWARDED_HOST, X_FORWARDED_PROTO, is_named_by_connection, is_passed_on},
    },
    PathError,
    path::normal_path,
};

/// A request, as far as routes read it.
#[derive(Debug, Clone)]
pub struct RequestFacts<'a> {
    method: &'a Method,
    host: &'a str,
    path: Cow<'a, str>,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    client: IpAddr,
    is_trusted: bool,
}

impl<'a> RequestFacts<'a> {
    /// A request for `path_and_query` (or `*`) to `host`, the value of its `Host`
    /// header; empty when there is none. `client` is where it came from, as told by a
    /// trusted proxy, unless it is that of [a stranger](Self::of_stranger).
    ///
    /// Allocates only for paths that are not in the form they are compared in.
    ///
    /// # Errors
    ///
    /// When different servers would take the path for different ones.
    pub fn new(
        method: &'a Method,
        host: &'a str,
        path_and_query: &'a str,
        headers: &'a HeaderMap,
        client: IpAddr,
    ) -> Result<Self, PathError> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let path = normal_path(path)?;
        let client = client.to_canonical();
        Ok(Self { method, host, path, query, headers, client, is_trusted: true })
    }

    /// The same of a neighbour that is not believed: what it says in `X-Forwarded-*` is
    /// not there.
    #[must_use]
    pub fn of_stranger(self) -> Self {
        Self { is_trusted: false, ..self }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method
    }

    /// The host, as sent.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host
    }

    /// The path in the form that is compared.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query
    }

    /// The lines of a header; none where the header is not for backends. Of
    /// `X-Forwarded-Proto` and `-Host` there is only the last member of the last line, and
    /// of the former only `http` or `https`.
    pub fn lines(&self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let is_there = self.is_for_backends(name);
        let is_one_fact = [X_FORWARDED_PROTO, X_FORWARDED_HOST].contains(name);
        let said = match is_there && is_one_fact {
            // What is no scheme does not get to a backend.
            true if *name == X_FORWARDED_PROTO => said_scheme(self.headers).map(str::as_bytes),
            true => last_said(self.headers, name),
            false => None,
        };
        let lines = self.headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let lines = lines.take(if is_there && !is_one_fact { usize::MAX } else { 0 });
        said.into_iter().chain(lines)
    }

    /// The first line of a header as it was sent; none where the header is not for
    /// backends.
    pub(in crate::http) fn first_line(&self, name: &HeaderName) -> Option<&'a HeaderValue> {
        self.headers.get(name).filter(|_| self.is_for_backends(name))
    }

    /// The headers, as they were sent.
    pub(in crate::http) fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    fn is_for_backends(&self, name: &HeaderName) -> bool {
        is_passed_on(name.as_str(), self.is_trusted) && !is_named_by_connection(self.headers, name)
    }
}
