//! Which fields may follow a body.
//!
//! A recipient may merge trailers into the headers, so what is taken away or set
//! in the head must not come back behind the body; nor may what has a meaning only
//! before it: framing, routing, authentication (RFC 9110, section 6.5.1). What is
//! left are fields about the body, such as a checksum.

use http::{HeaderMap, HeaderName, header};

use super::headers::is_claim;

const NOT_IN_TRAILERS: [HeaderName; 19] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::HOST,
    header::FORWARDED,
    header::VIA,
    header::EXPECT,
    header::COOKIE,
    header::SET_COOKIE,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
];

/// Takes away what may not be in trailers.
pub(super) fn clean(trailers: &mut HeaderMap) {
    let is_forbidden =
        |name: &HeaderName| NOT_IN_TRAILERS.contains(name) || is_claim(name.as_str());
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
        for name in ["x-sum", "digest", "Cookie", "X_Forwarded-For", "Content-Length", "via"] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            trailers.append(&name, HeaderValue::from_static("1"));
            trailers.append(&name, HeaderValue::from_static("2"));
        }
        clean(&mut trailers);
        let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum", "digest"]);
    }
}
