//! The `Via` field (RFC 9110, section 7.6.3), and how a loop is found by it.
//!
//! A backend that is, by some way round, this proxy again would be asked until
//! all ports are used up. So what goes to backends carries a name that no other
//! proxy has, and what comes in with that name has been here. Answers carry only
//! `lb`: clients need not know how many of us there are.

use http::{HeaderMap, HeaderValue, Version, header};

/// The values of one proxy. Made once per worker, as each of them counts its
/// references to it.
#[derive(Debug)]
pub(crate) struct Via {
    name: Box<str>,
    http_10: HeaderValue,
    http_11: HeaderValue,
}

impl Via {
    pub(crate) fn new(instance: u32) -> Self {
        let name = format!("lb-{instance:08x}");
        let value = |version: &str| {
            HeaderValue::try_from(format!("{version} {name}")).expect("it is visible ASCII")
        };
        Self { http_10: value("1.0"), http_11: value("1.1"), name: name.into() }
    }

    /// What is added to a request that was received in this version.
    pub(crate) fn of_request(&self, version: Version) -> HeaderValue {
        match version {
            Version::HTTP_10 => self.http_10.clone(),
            _ => self.http_11.clone(),
        }
    }

    /// Whether a message has been here.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let is_ours = |member: &[u8]| {
            let mut words = member.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.nth(1) == Some(self.name.as_bytes())
        };
        let mut fields = headers.get_all(header::VIA).iter();
        fields.any(|field| field.as_bytes().split(|byte| *byte == b',').any(is_ours))
    }
}

/// What is added to an answer that was received in this version.
pub(super) fn of_answer(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 lb",
        _ => "1.1 lb",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_name_is_a_loop() {
        let via = Via::new(0x1b);
        assert_eq!(via.of_request(Version::HTTP_11), "1.1 lb-0000001b");
        assert_eq!(via.of_request(Version::HTTP_10), "1.0 lb-0000001b");
        for (fields, is_loop) in [
            (vec![], false),
            (vec!["1.1 lb-0000001b"], true),
            (vec!["1.1 other", "1.0 a, 1.1  lb-0000001b (comment), 1.1 b"], true),
            (vec!["1.1 lb", "1.1 lb-0000001c", "1.1 x-lb-0000001b", "lb-0000001b"], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(header::VIA, HeaderValue::from_static(field));
            }
            assert_eq!(via.is_in(&headers), is_loop, "{fields:?}");
        }
    }
}
