//! The key of one request.
//!
//! It outlives the head it was read from, which goes to the connection of the first
//! try. So it holds on to the bytes that the head shares, and copies only what is short
//! or made up: no key of one part allocates, and none of several that is short.

use std::{
    io::{Cursor, Write as _},
    net::IpAddr,
    ops::Range,
};

use http::{HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};

use super::{
    super::{cookies, route::RequestFacts},
    KeyRule,
};

/// The key of a request, for all of its tries. Never empty.
#[derive(Debug, Clone)]
pub struct RequestKey(Held);

#[derive(Debug, Clone)]
enum Held {
    Short(Short),
    Long(Box<[u8]>),
    /// A part of a header's value.
    Line(HeaderValue, Range<u32>),
    /// A part of the target.
    Target(PathAndQuery, Range<u32>),
}

/// Bytes that were copied.
#[derive(Debug, Clone, Copy)]
struct Short {
    bytes: [u8; SHORT],
    length: u8,
}

/// As long as may be without making the whole longer. An address as text has up to 39.
const SHORT: usize = 47;

impl RequestKey {
    /// What `rule` finds in a request for `target`; `None` where there is nothing.
    ///
    /// O(1), but for searches in cookies and queries.
    #[must_use]
    pub fn new(rule: &KeyRule, target: &Uri, facts: &RequestFacts<'_>) -> Option<Self> {
        let held = match rule {
            KeyRule::ClientIp => Held::Short(octets(facts.client())),
            KeyRule::ClientIpText => Held::Short(text(facts.client())),
            KeyRule::Uri => target_part(target, |whole| Some(0..whole.as_str().len()))?,
            KeyRule::Path => target_part(target, |whole| Some(0..whole.path().len()))?,
            KeyRule::Header(name) => line(facts, name)?,
            KeyRule::Cookie(name) => cookie(facts, name)?,
            KeyRule::Query(name) => target_part(target, |whole| argument(whole, name))?,
            KeyRule::Composed(parts) => composed(parts, target, facts)?,
        };
        Some(Self(held))
    }

    /// The key of all requests of a client; `None` where the rule goes by something else
    /// too.
    #[must_use]
    pub fn of_client(rule: &KeyRule, client: IpAddr) -> Option<Self> {
        match rule {
            KeyRule::ClientIp => Some(Self(Held::Short(octets(client)))),
            KeyRule::ClientIpText => Some(Self(Held::Short(text(client)))),
            _ => None,
        }
    }

    /// The bytes to pick by.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Short(short) => &short.bytes[..usize::from(short.length)],
            Held::Long(bytes) => bytes,
            Held::Line(line, part) => within(line.as_bytes(), part),
            Held::Target(target, part) => within(target.as_str().as_bytes(), part),
        }
    }
}

fn within<'a>(whole: &'a [u8], part: &Range<u32>) -> &'a [u8] {
    &whole[part.start as usize..part.end as usize]
}

/// `None` where it is empty.
fn part(part: Range<usize>) -> Option<Range<u32>> {
    let part = u32::try_from(part.start).ok()?..u32::try_from(part.end).ok()?;
    (!part.is_empty()).then_some(part)
}

fn octets(client: IpAddr) -> Short {
    let mut bytes = [0; SHORT];
    let length = match client.to_canonical() {
        IpAddr::V4(address) => {
            bytes[..4].copy_from_slice(&address.octets());
            4
        }
        IpAddr::V6(address) => {
            bytes[..16].copy_from_slice(&address.octets());
            16
        }
    };
    Short { bytes, length }
}

fn text(client: IpAddr) -> Short {
    let mut text = Cursor::new([0; SHORT]);
    // An address is never longer.
    let _ = write!(text, "{}", client.to_canonical());
    let length = u8::try_from(text.position()).unwrap_or_default();
    Short { bytes: text.into_inner(), length }
}

fn target_part(
    target: &Uri,
    find: impl FnOnce(&PathAndQuery) -> Option<Range<usize>>,
) -> Option<Held> {
    let whole = target.path_and_query()?;
    Some(Held::Target(whole.clone(), part(find(whole)?)?))
}

/// Where the value of a parameter stands.
fn argument(target: &PathAndQuery, name: &str) -> Option<Range<usize>> {
    let end = target.as_str().len();
    let mut start = end - target.query()?.len();
    for pair in target.query()?.split('&') {
        if let Some((known, value)) = pair.split_once('=')
            && known.eq_ignore_ascii_case(name)
        {
            let from = start + known.len() + 1;
            return Some(from..from + value.len());
        }
        start += pair.len() + 1;
    }
    None
}

fn line(facts: &RequestFacts<'_>, name: &HeaderName) -> Option<Held> {
    let line = facts.first_line(name)?;
    Some(Held::Line(line.clone(), part(0..line.len())?))
}

fn cookie(facts: &RequestFacts<'_>, name: &str) -> Option<Held> {
    let lines = facts.headers().get_all(header::COOKIE);
    let (line, value) = lines.iter().find_map(|line| {
        let mut pairs = cookies::pairs(line.as_bytes());
        Some((line, pairs.find_map(|pair| cookies::value_of(pair, name.as_bytes()))?))
    })?;
    let start = value.as_ptr().addr() - line.as_bytes().as_ptr().addr();
    Some(Held::Line(line.clone(), part(start..start + value.len())?))
}

fn composed(parts: &[KeyRule], target: &Uri, facts: &RequestFacts<'_>) -> Option<Held> {
    let mut made = Made { short: Short { bytes: [0; SHORT], length: 0 }, long: Vec::new() };
    let mut has_any = false;
    for rule in parts {
        let part = RequestKey::new(rule, target, facts);
        let part = part.as_ref().map_or(&[][..], RequestKey::as_bytes);
        has_any |= !part.is_empty();
        made.push(&u32::try_from(part.len()).ok()?.to_be_bytes());
        made.push(part);
    }
    has_any.then(|| made.held())
}

/// Bytes that are put together, on the heap only when they are many.
struct Made {
    short: Short,
    /// Empty unless all of them are here.
    long: Vec<u8>,
}

impl Made {
    fn push(&mut self, more: &[u8]) {
        let length = usize::from(self.short.length);
        let room = self.short.bytes.get_mut(length..length + more.len());
        match (room, u8::try_from(length + more.len())) {
            (Some(room), Ok(length)) if self.long.is_empty() => {
                room.copy_from_slice(more);
                self.short.length = length;
            }
            _ => {
                if self.long.is_empty() {
                    self.long.extend_from_slice(&self.short.bytes[..length]);
                }
                self.long.extend_from_slice(more);
            }
        }
    }

    fn held(self) -> Held {
        match self.long.is_empty() {
            true => Held::Short(self.short),
            false => Held::Long(self.long.into()),
        }
    }
}
