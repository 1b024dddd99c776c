//! How the pure steps see a request or an answer.
//!
//! Checking, routing and rewriting read a head through [`Head`] and say what to
//! change; they never see the type the bytes were parsed into. So they serve
//! any parser, and a test writes a head as a list.

use http::{HeaderName, Version};

/// The head of a message.
pub(crate) trait Head {
    /// `HTTP/1.0` or `HTTP/1.1`, as received.
    fn version(&self) -> Version;

    /// The first value of a header.
    fn header(&self, name: &HeaderName) -> Option<&[u8]>;

    /// All headers in order, names in lower case.
    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])>;
}

/// The head of a request.
pub(crate) trait RequestHead: Head {
    /// The method, as received.
    fn method(&self) -> &str;

    /// What the request is about.
    fn target(&self) -> Target<'_>;
}

/// A request target, by its form (RFC 9112, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `/path?query`, or `*`.
    Origin {
        /// Without the query.
        path: &'a str,
        /// With the query.
        length: usize,
    },
    /// `http://host/path?query`, as clients send it to proxies.
    Absolute {
        scheme: &'a str,
        /// Host and port, perhaps behind a name and a password.
        authority: &'a str,
        /// Without the query.
        path: &'a str,
        /// All of it.
        length: usize,
    },
    /// `host:port`, as `CONNECT` has it.
    Authority(&'a str),
}

impl Head for http::request::Parts {
    fn version(&self) -> Version {
        self.version
    }

    fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name).map(http::HeaderValue::as_bytes)
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }
}

impl RequestHead for http::request::Parts {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn target(&self) -> Target<'_> {
        let whole = self.uri.path_and_query().map_or(0, |text| text.as_str().len());
        match (self.uri.authority(), self.uri.scheme_str()) {
            (None, _) => Target::Origin { path: self.uri.path(), length: whole },
            (Some(authority), Some(scheme)) => Target::Absolute {
                scheme,
                authority: authority.as_str(),
                path: self.uri.path(),
                length: scheme.len() + "://".len() + authority.as_str().len() + whole,
            },
            (Some(authority), None) => Target::Authority(authority.as_str()),
        }
    }
}

impl Head for http::response::Parts {
    fn version(&self) -> Version {
        self.version
    }

    fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name).map(http::HeaderValue::as_bytes)
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, uri: &str) -> String {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        format!("{:?}", request.into_parts().0.target())
    }

    #[test]
    fn targets_are_told_apart_by_their_form() {
        assert_eq!(target("GET", "/a?b"), r#"Origin { path: "/a", length: 4 }"#);
        assert_eq!(target("OPTIONS", "*"), r#"Origin { path: "*", length: 1 }"#);
        assert_eq!(
            target("GET", "http://a:1/b?c"),
            r#"Absolute { scheme: "http", authority: "a:1", path: "/b", length: 14 }"#
        );
        assert_eq!(target("CONNECT", "a:1"), r#"Authority("a:1")"#);
    }
}
