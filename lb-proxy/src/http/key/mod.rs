//! What strategies by key pick by.
//!
//! A rule says which part of a request is its key, and reads it as the client has sent
//! it: nothing is decoded. So a key is what nginx's `$request_uri`, `$http_NAME`,
//! `$cookie_NAME` and `$arg_NAME` are, and nginx's hashes send it to the same backend
//! here and there. Two spellings of one thing are two keys; keys in the form in which
//! routes compare paths would have been one, but would agree with nobody. It differs from
//! nginx's where that reads what few clients send: of a header of several lines nginx
//! joins all of them, and of a cookie in quotes it keeps those, and names in any case are
//! one to it.
//!
//! A part that is missing or empty is no key; what a strategy does then is its own
//! matter. In a key of several parts it is an empty part, unless all of them are.

mod request;

use std::fmt;

use http::HeaderName;

pub use self::request::RequestKey;

/// Where the key of a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRule {
    /// The client's address, as far as trusted proxies tell it: 4 or 16 octets.
    ClientIp,
    /// The same as text, as nginx's `$remote_addr`.
    ClientIpText,
    /// Path and query.
    Uri,
    /// The path.
    Path,
    /// The first line of this header, unless backends do not get it.
    Header(HeaderName),
    /// The first cookie of this name, without quotes.
    Cookie(Box<str>),
    /// The first parameter of the query with this name, in any case, and a `=`.
    Query(Box<str>),
    /// Several parts, each with its length before it: `a` and `bc` are not `ab` and `c`.
    Composed(Box<[Self]>),
}

impl KeyRule {
    /// The rules of its parts; itself where it is one.
    #[must_use]
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Composed(parts) => parts,
            part => std::slice::from_ref(part),
        }
    }
}

/// As a configuration file has it, without quotes.
impl fmt::Display for KeyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp | Self::ClientIpText => f.write_str("client-ip"),
            Self::Uri => f.write_str("uri"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Composed(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    write!(f, "{comma}{part}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
