//! What a request is called, here, by its backend and by its client.
//!
//! A UUID of version 7 (RFC 9562): sortable by time, and made of what is at hand, coarse
//! time and the worker's generator. The texts are cut from blocks, so that most
//! requests allocate nothing for theirs, and all places share it.

use std::cell::RefCell;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::client::Client;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The length of the text of a UUID.
const LENGTH: usize = 36;

/// How many texts are cut from one block. One that is held on to holds the block.
const PER_BLOCK: usize = 64;

/// A longer name is none that a log should have to take.
const LONGEST: usize = 128;

/// Makes names.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    block: RefCell<BytesMut>,
}

impl RequestIds {
    /// A name that nobody else has. `millis` since 1970, and any random numbers.
    fn next(&self, millis: u64, random: [u64; 2]) -> HeaderValue {
        let text = text(uuid(millis, random));
        let mut block = self.block.borrow_mut();
        if block.capacity() < LENGTH {
            *block = BytesMut::with_capacity(LENGTH * PER_BLOCK);
        }
        block.extend_from_slice(&text);
        let text = block.split().freeze();
        HeaderValue::from_maybe_shared(text).expect("digits and dashes are visible ASCII")
    }
}

/// What a request is called: as a trusted neighbour calls it, else by a name of ours;
/// `None` where requests have no names.
pub(super) fn of(headers: &HeaderMap, client: &Client) -> Option<HeaderValue> {
    let settings = client.settings();
    if !settings.request_id {
        return None;
    }
    let is_trusted = || settings.trusted_proxies.contains(client.origin.neighbour);
    if let Some(id) = given(headers).filter(|_| is_trusted()) {
        return Some(id.clone());
    }
    let worker = &client.worker;
    let random = [worker.entropy.next(), worker.entropy.next()];
    Some(worker.request_ids.next(worker.clock.unix_millis(), random))
}

/// The name that a trusted neighbour gave a request: said once, not too long, and of
/// visible ASCII without what needs an escape in an answer of ours or in a log.
fn given(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    let id = lines.next()?;
    let is_sane = (1..=LONGEST).contains(&id.len())
        && id.as_bytes().iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\'<>&".contains(byte))
        && lines.next().is_none();
    is_sane.then_some(id)
}

fn uuid(millis: u64, [a, b]: [u64; 2]) -> u128 {
    let version_and_a = 0x7 << 12 | a & 0xfff;
    let variant_and_b = 0b10 << 62 | b >> 2;
    u128::from(millis) << 80 | u128::from(version_and_a) << 64 | u128::from(variant_and_b)
}

fn text(uuid: u128) -> [u8; LENGTH] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; LENGTH];
    for (byte, place) in uuid.to_be_bytes().into_iter().zip(PLACES) {
        text[place] = DIGITS[usize::from(byte >> 4)];
        text[place + 1] = DIGITS[usize::from(byte & 0xf)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_time_version_and_variant() {
        // The example of RFC 9562, appendix A.6.
        let uuid = uuid(0x017f_22e2_79b0, [0xcc3, 0x18c4_dc0c_0c07_398f << 2]);
        assert_eq!(str::from_utf8(&text(uuid)).unwrap(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn names_are_whole_across_blocks() {
        let ids = RequestIds::default();
        let made: Vec<_> = (0..200).map(|n| ids.next(1, [0, n << 2])).collect();
        for (n, id) in made.iter().enumerate() {
            let expected = format!("00000000-0001-7000-8000-{n:012x}");
            assert_eq!(id.to_str().unwrap(), expected);
        }
    }

    #[test]
    fn only_a_sane_name_is_taken() {
        let taken = |names: &[&str]| {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.append(X_REQUEST_ID, HeaderValue::from_bytes(name.as_bytes()).unwrap());
            }
            given(&headers).is_some()
        };
        assert!(taken(&["a"]) && taken(&[&"a".repeat(128)]));
        for names in [
            &[][..],
            &[""],
            &["a b"],
            &["ä"],
            &["a", "a"],
            &["<b>"],
            &["a\"b"],
            &[&"a".repeat(129)],
        ] {
            assert!(!taken(names), "{names:?}");
        }
    }
}
