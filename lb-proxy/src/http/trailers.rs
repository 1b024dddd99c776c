//! Which fields may not follow a body.
//!
//! A recipient may merge trailers into the headers. So none of the fields comes back
//! behind the body that mean something only before it (RFC 9110, section 6.5.1):
//! framing, routing, request modifiers, authentication, response control, and
//! claims about where a request came from; nor one that the `Connection` header of
//! the same message called hop-by-hop.

use http::{HeaderMap, HeaderName, header};

use super::headers::{Named, is_claim};

const NOT_IN_TRAILERS: [HeaderName; 41] = [
    // About the connection, and about how the message is read.
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("content_length"),
    HeaderName::from_static("transfer_encoding"),
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    // Where to, and what of.
    header::HOST,
    header::FORWARDED,
    header::VIA,
    header::EXPECT,
    header::MAX_FORWARDS,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::CACHE_CONTROL,
    header::PRAGMA,
    // Who.
    header::COOKIE,
    header::SET_COOKIE,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("authentication-info"),
    // What to do with an answer.
    header::LOCATION,
    header::RETRY_AFTER,
    header::VARY,
    header::AGE,
    header::DATE,
    header::EXPIRES,
    header::WARNING,
    header::REFRESH,
];

/// Takes away what may not be in trailers, and what was `named` hop-by-hop.
pub(super) fn clean(trailers: &mut HeaderMap, named: &Named) {
    let is_named = |name: &HeaderName| named.as_ref().is_some_and(|named| named.contains(name));
    let is_forbidden = |name: &HeaderName| {
        NOT_IN_TRAILERS.contains(name) || is_claim(name.as_str()) || is_named(name)
    };
    let forbidden: Vec<_> = trailers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_fields_about_the_body_may_follow_it() {
        let mut trailers = HeaderMap::new();
        let names = [
            "x-sum",
            "digest",
            "Cookie",
            "X_Forwarded-For",
            "Content-Length",
            "via",
            "If-Match",
            "range",
            "Location",
            "www-authenticate",
            "date",
        ];
        for name in names {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            trailers.append(&name, HeaderValue::from_static("1"));
            trailers.append(&name, HeaderValue::from_static("2"));
        }
        clean(&mut trailers, &None);
        let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum", "digest"]);
    }

    #[test]
    fn what_was_hop_by_hop_before_a_body_is_so_behind_it() {
        let mut trailers = HeaderMap::new();
        let name = HeaderName::from_static("x-hop");
        trailers.append(&name, HeaderValue::from_static("1"));
        trailers.append("x-sum", HeaderValue::from_static("2"));
        clean(&mut trailers, &Some([name].into()));
        let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum"]);
    }
}
