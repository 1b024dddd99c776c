//! The cookie of a session.
//!
//! Browsers keep one jar for all ports of a host. So the port that the browser knows us by
//! is in the name, or two balancers on one machine would sign each other's users out.
//! There is no TLS here, so it is neither `Secure` nor `__Host-`.

use http::{HeaderMap, HeaderValue, header, uri::Authority};

use super::sessions::LONGEST;

/// Of more in one request nothing is looked at.
const MOST: usize = 8;

/// What the browser may have as the number of its session.
pub(super) fn values(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let name = name(headers);
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';'));
    let own = pairs.filter_map(move |pair| {
        pair.trim().strip_prefix(name.as_str())?.strip_prefix('=').map(str::trim)
    });
    own.take(MOST)
}

/// What has the browser keep this number.
pub(super) fn keep(headers: &HeaderMap, number: &str) -> Option<HeaderValue> {
    let (name, seconds) = (name(headers), LONGEST.as_secs());
    let text = format!("{name}={number}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    HeaderValue::from_str(&text).ok()
}

/// What has it forget its number.
pub(super) fn forget(headers: &HeaderMap) -> Option<HeaderValue> {
    let text = format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", name(headers));
    HeaderValue::from_str(&text).ok()
}

fn name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST);
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    match host.and_then(|host| host.port_u16()) {
        Some(port) => format!("lb_session_{port}"),
        None => "lb_session".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str, cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        headers
    }

    #[test]
    fn each_port_has_a_cookie_of_its_own() {
        let both = ["a=b; lb_session_9900=one; lb_session_9901=two", "lb_session_9900=three"];
        let found: Vec<String> =
            values(&headers("localhost:9900", &both)).map(str::to_owned).collect();
        assert_eq!(found, ["one", "three"]);
        assert_eq!(values(&headers("localhost", &both)).count(), 0);
        let kept = keep(&headers("localhost:9900", &[]), "one").unwrap();
        assert!(kept.to_str().unwrap().starts_with("lb_session_9900=one; "), "{kept:?}");
    }
}
