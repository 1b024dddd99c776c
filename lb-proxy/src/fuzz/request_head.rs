//! What a backend gets of a client's head.

use std::rc::Rc;

use http::Version;

use super::parse;
use crate::{
    http::fuzzing::{Origin, Via, check, request_changes},
    listen::ListenerLimits,
};

/// `method target`, then headers, one a line: whatever a client sends, a backend
/// gets one host, no header about the connection, and only our word on where the
/// request came from.
pub fn request_head(input: &[u8]) {
    let Some(mut head) = parse(input) else { return };
    if check(&head, &ListenerLimits::default()).is_err() {
        return;
    }
    let origin = Origin::new([192, 0, 2, 1].into(), Rc::new(Via::new(0)));
    request_changes(&head).apply_to_request(&mut head.headers, &origin, None, head.version);
    let all = |name: &str| head.headers.get_all(name).iter().collect::<Vec<_>>();
    for gone in ["keep-alive", "proxy-connection", "upgrade", "forwarded", "x-real-ip"] {
        assert!(all(gone).is_empty(), "{gone}");
    }
    let claims = head.headers.keys().map(|name| name.as_str().replace('_', "-"));
    let claims = claims.filter(|name| name.starts_with("x-forwarded-"));
    assert_eq!(claims.count(), 2 + all("x-forwarded-host").len());
    assert_eq!(all("x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    assert_eq!(all("host").len(), usize::from(head.version == Version::HTTP_11));
    assert_eq!(all("x-forwarded-host"), all("host"));
    assert_eq!(all("via").last().map(|via| via.as_bytes().ends_with(b" lb-00000000")), Some(true));
    assert!(all("te").iter().all(|te| *te == "trailers"));
    assert_eq!(all("te").is_empty(), all("connection").is_empty());
    assert!(all("transfer-encoding").iter().all(|coding| *coding == "chunked"));
}
