//! Claims about where a request came from.

use std::{net::IpAddr, rc::Rc};

use http::{HeaderName, HeaderValue};

use super::parse;
use crate::{
    http::fuzzing::{Origin, Via, believed, request_changes},
    listen::TrustedProxies,
};

/// Headers, one a line, that a trusted proxy has sent. Whoever it believed, a backend
/// gets one line for each fact, the way ends with the proxy, and no claim arrives
/// that is none of those that count. And a client cannot choose its address: what
/// the proxy adds to its claims is what counts.
pub fn forwarded(input: &[u8]) {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let trusted = TrustedProxies::new([proxy.into()]);
    let Some(mut head) = parse(&[b"GET /\n", input].concat()) else { return };
    let client = IpAddr::from([192, 0, 2, 1]);
    for (name, added) in [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")] {
        let mut headers = head.headers.clone();
        let claimed = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let whole = [claimed, b", ", added.as_bytes()].concat();
        let Ok(whole) = HeaderValue::from_bytes(&whole) else { continue };
        headers.insert(name, whole);
        if name == "forwarded" {
            headers.remove("x-forwarded-for");
            // Bytes that are no text leave nothing to be believed.
            if headers[name].to_str().is_err() {
                continue;
            }
        }
        assert_eq!(
            believed(&headers, proxy, &trusted).map(|believed| believed.client),
            Some(client)
        );
    }
    let believed = believed(&head.headers, proxy, &trusted);
    let origin = Origin::new(proxy, Rc::new(Via::new(0)));
    request_changes(&head).apply_to_request(&mut head.headers, &origin, believed, head.version);
    let all = |name: &str| head.headers.get_all(name).iter().collect::<Vec<_>>();
    let way = all("x-forwarded-for");
    assert_eq!(way.len(), 1);
    assert!(way[0].as_bytes().ends_with(b"10.0.0.1"));
    let schemes = all("x-forwarded-proto");
    assert_eq!(schemes.len(), 1);
    let scheme = schemes[0].as_bytes().to_ascii_lowercase();
    assert!(scheme == b"http" || scheme == b"https", "{scheme:?}");
    assert!(all("forwarded").is_empty() && all("x-real-ip").is_empty());
    let claims = head.headers.keys().map(HeaderName::as_str);
    for claim in claims.filter(|name| name.replace('_', "-").starts_with("x-forwarded-")) {
        let kept = ["for", "proto", "host", "port", "prefix"];
        assert!(kept.contains(&&claim["x-forwarded-".len()..]), "{claim}");
    }
}
