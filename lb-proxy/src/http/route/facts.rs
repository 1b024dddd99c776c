//! What routes know of a request.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, Method};

use super::{PathError, path::normal_path};

/// A request, as far as routes read it.
#[derive(Debug, Clone)]
pub struct RequestFacts<'a> {
    method: &'a Method,
    host: &'a str,
    path: Cow<'a, str>,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    client: IpAddr,
}

impl<'a> RequestFacts<'a> {
    /// A request for `path_and_query` (or `*`) to `host`, the value of its `Host`
    /// header; empty when there is none. `client` is where it came from.
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
        Ok(Self { method, host, path, query, headers, client: client.to_canonical() })
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

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }
}
