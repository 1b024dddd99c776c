//! What a request must satisfy before anybody is picked for it.
//!
//! The framing of the body (lengths, codings) was checked by the parser; this is
//! about what a proxy must add: one unambiguous host (RFC 9112, section 3.2), a
//! target it can forward, and the listener's limits.

use http::{Version, header};

use super::{
    head::{Head, RequestHead, Target},
    status::Trouble,
};
use crate::listen::ListenerLimits;

/// Says whether a request may be forwarded, and if not, why.
pub(crate) fn check(head: &impl RequestHead, limits: &ListenerLimits) -> Result<(), Trouble> {
    let length = match head.target() {
        _ if head.method() == "CONNECT" => return Err(Trouble::Method),
        Target::Authority(_) => return Err(Trouble::Target),
        Target::Absolute { scheme, authority, .. } if !is_web(scheme, authority) => {
            return Err(Trouble::Target);
        }
        Target::Origin { path, length } | Target::Absolute { path, length, .. } => {
            // Only a server as a whole is asked for by an asterisk.
            if !path.starts_with('/') && (path, head.method()) != ("*", "OPTIONS") {
                return Err(Trouble::Target);
            }
            length
        }
    };
    if length > limits.target {
        return Err(Trouble::TargetTooLong);
    }
    check_host(head)?;
    // `chunked` is undone here and done again; another coding would reach the
    // backend without its name.
    if !has_known_coding(head) {
        return Err(Trouble::Coding);
    }
    check_length(head, limits)
}

/// Whether a target is at a host, which then counts instead of the header's.
fn is_web(scheme: &str, authority: &str) -> bool {
    let host = authority.split_once('@').map_or(authority, |(_, host)| host);
    // A second `@` is no host byte.
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) && is_host(host)
}

/// Whether a text is `host[:port]`, as far as its bytes tell.
pub(super) fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_host_byte)
}

/// Whether a message has no transfer coding, or `chunked`, said once.
pub(crate) fn has_known_coding(head: &impl Head) -> bool {
    if head.header(&header::TRANSFER_ENCODING).is_none() {
        return true;
    }
    let mut lines = head.headers().filter(|(name, _)| *name == "transfer-encoding");
    lines.next().is_some_and(|(_, coding)| coding.eq_ignore_ascii_case(b"chunked"))
        && lines.next().is_none()
}

fn check_host(head: &impl RequestHead) -> Result<(), Trouble> {
    let Some(host) = head.header(&header::HOST) else {
        return match head.version() {
            Version::HTTP_10 => Ok(()),
            _ => Err(Trouble::Host),
        };
    };
    let hosts = head.headers().filter(|(name, _)| *name == "host").count();
    if hosts != 1 || !host.iter().copied().all(is_host_byte) {
        return Err(Trouble::Host);
    }
    Ok(())
}

/// What may stand in `host[:port]`: the unreserved, the sub-delimiters, percent
/// signs, and brackets and colons for addresses. No comma: two hosts joined by
/// one would be read differently by different backends.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%[]:".contains(&byte)
}

fn check_length(head: &impl RequestHead, limits: &ListenerLimits) -> Result<(), Trouble> {
    let Some(limit) = limits.body else { return Ok(()) };
    let length = head
        .header(&header::CONTENT_LENGTH)
        .and_then(|text| str::from_utf8(text).ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > limit => Err(Trouble::BodyTooLarge),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn verdict(request: http::request::Builder) -> Result<(), Trouble> {
        let limits = ListenerLimits { target: 20, body: Some(10), ..ListenerLimits::default() };
        check(&request.body(()).unwrap().into_parts().0, &limits)
    }

    fn get(uri: &str) -> http::request::Builder {
        Request::builder().uri(uri)
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(verdict(get("/a?b=c").header("host", "example.org:8080")), Ok(()));
        assert_eq!(verdict(get("/").header("host", "[::1]:80")), Ok(()));
        assert_eq!(verdict(get("/").header("host", "")), Ok(()));
        assert_eq!(verdict(get("http://a/b").header("host", "c")), Ok(()));
        assert_eq!(verdict(get("*").method("OPTIONS").header("host", "c")), Ok(()));
        assert_eq!(verdict(get("HTTPS://a@[::1]:1/").header("host", "c")), Ok(()));
    }

    #[test]
    fn a_host_is_needed_exactly_once() {
        assert_eq!(verdict(get("/")), Err(Trouble::Host));
        assert_eq!(verdict(get("/").header("host", "a").header("host", "a")), Err(Trouble::Host));
        assert_eq!(verdict(get("/").version(Version::HTTP_10)), Ok(()));
        let twice = get("/").version(Version::HTTP_10).header("host", "a").header("host", "b");
        assert_eq!(verdict(twice), Err(Trouble::Host));
    }

    #[test]
    fn a_host_is_a_host() {
        for host in ["a b", "a/b", "a,b", "user@a", "a\"b", "a\\b", "a?b", "a#b"] {
            assert_eq!(verdict(get("/").header("host", host)), Err(Trouble::Host), "{host}");
        }
    }

    #[test]
    fn a_long_target_is_refused() {
        assert_eq!(
            verdict(get("/23456789012345678901").header("host", "a")),
            Err(Trouble::TargetTooLong)
        );
        assert_eq!(verdict(get("/2345?78901234567890").header("host", "a")), Ok(()));
        assert_eq!(
            verdict(get("/2345?789012345678901").header("host", "a")),
            Err(Trouble::TargetTooLong)
        );
    }

    #[test]
    fn tunnels_and_bare_authorities_are_refused() {
        assert_eq!(verdict(get("a:1").method("CONNECT").header("host", "a")), Err(Trouble::Method));
        assert_eq!(verdict(get("a:1").header("host", "a")), Err(Trouble::Target));
    }

    #[test]
    fn the_host_of_a_target_is_a_host_too() {
        for uri in ["http://a,b/x", "http://a@b@c/x", "ftp://a/x", "http://a@/x"] {
            // Some of these the parser refuses already.
            if uri.parse::<http::Uri>().is_ok() {
                assert_eq!(verdict(get(uri).header("host", "a")), Err(Trouble::Target), "{uri}");
            }
        }
    }

    #[test]
    fn an_asterisk_is_for_options_only() {
        assert_eq!(verdict(get("*").header("host", "a")), Err(Trouble::Target));
        assert_eq!(verdict(get("*").method("PRI").header("host", "a")), Err(Trouble::Target));
    }

    #[test]
    fn only_chunked_is_a_transfer_coding_we_know() {
        let request = |coding| get("/").header("host", "a").header("transfer-encoding", coding);
        assert_eq!(verdict(request("Chunked")), Ok(()));
        assert_eq!(verdict(request("gzip, chunked")), Err(Trouble::Coding));
        for more in ["gzip", "chunked", "identity"] {
            let request = request("chunked").header("transfer-encoding", more);
            assert_eq!(verdict(request), Err(Trouble::Coding), "{more}");
        }
    }

    #[test]
    fn an_announced_body_beyond_the_limit_is_refused() {
        let request = |length| get("/").header("host", "a").header("content-length", length);
        assert_eq!(verdict(request("10")), Ok(()));
        assert_eq!(verdict(request("11")), Err(Trouble::BodyTooLarge));
    }
}
