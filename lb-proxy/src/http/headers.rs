//! Which headers are taken away and which are set on the way through, in both
//! directions.
//!
//! Taken away is what concerns one connection only (RFC 9110, section 7.6.1),
//! and what a client says about where it came from, unless it is a
//! [trusted proxy](super::forwarded). A head is read once, front to back, and the answer is a set of bits;
//! only what is there is then looked up and removed.

use std::{net::IpAddr, rc::Rc};

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::{
    forwarded::{Believed, is_kept, say_on},
    head::Head,
    via::{self, Via},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Names that are removed wherever they stand, each with its bit.
const REMOVED: [(u16, HeaderName); 9] = [
    (1, header::CONNECTION),
    (1 << 1, KEEP_ALIVE),
    (1 << 2, PROXY_CONNECTION),
    (1 << 3, header::TE),
    (1 << 4, header::TRANSFER_ENCODING),
    (1 << 5, header::UPGRADE),
    (1 << 6, header::FORWARDED),
    (1 << 7, header::EXPECT),
    (1 << 8, header::CONTENT_LENGTH),
];
const CONNECTION: u16 = 1;
const CHUNKED: u16 = 1 << 4;
const FORWARDED: u16 = 1 << 6;
const EXPECT: u16 = 1 << 7;
const LENGTH: u16 = 1 << 8;

/// What a `Connection` header may name without effect: no headers, headers that
/// are removed anyway, and two that never are about one connection. Who names
/// those wants a backend to read the message differently from us.
const NOT_REMOVED_BY_NAME: [&[u8]; 8] = [
    b"keep-alive",
    b"close",
    b"te",
    b"upgrade",
    b"connection",
    b"transfer-encoding",
    b"host",
    b"content-length",
];

/// How many names `Connection` may list; a browser lists two. Each is looked up.
const MOST_NAMED: usize = 32;

/// What has to change in the headers of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    removed: u16,
    /// Named by `Connection`, or claims about the client.
    also_removed: Vec<HeaderName>,
    trailers_wanted: bool,
    chunked: bool,
    /// How many lengths are claimed; one that is not a number counts as several.
    lengths: usize,
    /// A length is not the way we write numbers: `007`.
    odd_length: bool,
    /// How many names `Connection` lists.
    named: usize,
    has_date: bool,
    /// It came through a proxy.
    has_via: bool,
    /// There is a header that [`PublicForm`](super::public::PublicForm) may change.
    names_places: bool,
}

/// What is known about the way a request came, and the neighbour it came from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// What we add to the proxies it came through.
    pub(crate) via: Rc<Via>,
    /// Its address.
    pub(crate) neighbour: IpAddr,
    /// The same as text.
    pub(super) address: HeaderValue,
    /// The scheme it used.
    pub(super) scheme: HeaderValue,
}

impl Origin {
    pub(crate) fn new(neighbour: IpAddr, via: Rc<Via>) -> Self {
        let neighbour = neighbour.to_canonical();
        let address = HeaderValue::from_str(&neighbour.to_string());
        Self {
            via,
            neighbour,
            address: address.expect("an IP address is visible ASCII"),
            scheme: HeaderValue::from_static("http"),
        }
    }
}

/// Names that only `Connection`, or the list of claims, gave a meaning.
pub(crate) type Named = Option<Box<[HeaderName]>>;

/// What has to change in a request before a backend sees it.
pub(crate) fn request_changes(head: &impl Head) -> Changes {
    let mut changes = scan(head);
    // We answer `100-continue` ourselves, when the backend begins to take the
    // body. The length stays: the backend reads the body by it.
    changes.removed &= !LENGTH;
    changes
}

/// What has to change in an answer before a client sees it.
///
/// `no_content`: a 204, which has no length.
pub(crate) fn response_changes(head: &impl Head, no_content: bool) -> Changes {
    let mut changes = scan(head);
    // Of several lengths, or of a length beside a coding, hyper has believed the
    // right one and knows it; the client must not see the other.
    let ambiguous = changes.chunked || changes.lengths > 1;
    if !ambiguous && !no_content {
        changes.removed &= !LENGTH;
    }
    changes.removed &= !(FORWARDED | EXPECT);
    changes.also_removed.retain(|name| !is_claim(name.as_str()));
    changes
}

/// Whether a header says where a request came from, or is another spelling of its
/// name. `_` counts as `-`: backends that get headers as variables cannot tell them
/// apart.
pub(super) fn is_claim(name: &str) -> bool {
    let begins = |with: &[u8]| {
        let is_same =
            |(byte, wanted): (u8, &u8)| byte == *wanted || (byte, *wanted) == (b'_', b'-');
        name.len() >= with.len() && name.bytes().zip(with).all(is_same)
    };
    name.starts_with('x')
        && (begins(b"x-forwarded-")
            || name.len() == 9 && begins(b"x-real-ip")
            || name.len() == 12 && begins(b"x-request-id") && name != "x-request-id")
}

/// Whether a backend gets a header that routes may ask for, unless `Connection` names
/// it. `is_trusted`: the neighbour is believed.
pub(super) fn is_passed_on(name: &str, is_trusted: bool) -> bool {
    name != "forwarded" && (!is_claim(name) || is_trusted && is_kept(name))
}

/// Whether a header is for one connection only because `Connection` says so.
pub(super) fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let mut lines = headers.get_all(header::CONNECTION).iter();
    !NOT_REMOVED_BY_NAME.contains(&name)
        && lines.any(|line| tokens(line.as_bytes()).any(|token| token.eq_ignore_ascii_case(name)))
}

fn scan(head: &impl Head) -> Changes {
    let mut changes = Changes::default();
    for (name, value) in head.headers() {
        match name {
            "connection" => {
                changes.removed |= CONNECTION;
                changes.name_by_connection(value);
            }
            "keep-alive" => changes.removed |= 1 << 1,
            "proxy-connection" => changes.removed |= 1 << 2,
            "te" => {
                changes.removed |= 1 << 3;
                changes.trailers_wanted |= tokens(value).any(|token| token == b"trailers");
            }
            "transfer-encoding" => {
                changes.removed |= CHUNKED;
                changes.chunked = true;
            }
            "upgrade" => changes.removed |= 1 << 5,
            "forwarded" => changes.removed |= FORWARDED,
            "expect" if value.eq_ignore_ascii_case(b"100-continue") => changes.removed |= EXPECT,
            "content-length" => {
                changes.removed |= LENGTH;
                changes.lengths += if is_number(value) { 1 } else { 2 };
                changes.odd_length |= value.len() > 1 && value[0] == b'0';
            }
            "date" => changes.has_date = true,
            "via" => changes.has_via = true,
            "location" | "content-location" | "uri" | "refresh" | "set-cookie" => {
                changes.names_places = true;
            }
            // Who gets headers as variables cannot tell them from those that say how
            // long the message is.
            "content_length" | "transfer_encoding" => {
                changes.also_removed.extend(HeaderName::from_bytes(name.as_bytes()).ok());
            }
            name if is_claim(name) => {
                changes.also_removed.extend(HeaderName::from_bytes(name.as_bytes()).ok());
            }
            _ => {}
        }
    }
    changes
}

impl Changes {
    /// Whether `Connection` lists more than anybody has a use for.
    pub(crate) fn names_too_much(&self) -> bool {
        self.named > MOST_NAMED
    }

    /// Whether a request has been here.
    pub(crate) fn is_loop(&self, headers: &HeaderMap, via: &Via) -> bool {
        self.has_via && via.is_in(headers)
    }

    /// Whether a backend may have said where something is.
    pub(crate) fn names_places(&self) -> bool {
        self.names_places
    }

    /// Adds what a `Connection` header names.
    fn name_by_connection(&mut self, value: &[u8]) {
        for token in tokens(value) {
            self.named += 1;
            if self.named > MOST_NAMED {
                return;
            }
            if !NOT_REMOVED_BY_NAME.iter().any(|known| token.eq_ignore_ascii_case(known)) {
                self.also_removed.extend(HeaderName::from_bytes(token).ok());
            }
        }
    }

    /// Makes a request's headers those the backend is to see. Returns what may not
    /// come back as a trailer. `believed` is what a trusted neighbour has said.
    pub(crate) fn apply_to_request(
        mut self,
        headers: &mut HeaderMap,
        from: &Origin,
        believed: Option<Believed>,
        version: Version,
    ) -> Named {
        if believed.is_some() {
            self.also_removed.retain(|name| !is_kept(name.as_str()));
        }
        self.clean(headers);
        if self.chunked {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if self.trailers_wanted {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        match believed {
            Some(believed) => say_on(headers, from, believed),
            None => {
                if let Some(host) = headers.get(header::HOST).cloned() {
                    headers.insert(X_FORWARDED_HOST, host);
                }
                headers.insert(X_FORWARDED_FOR, from.address.clone());
                headers.insert(X_FORWARDED_PROTO, from.scheme.clone());
            }
        }
        headers.append(header::VIA, from.via.of_request(version));
        self.named()
    }

    /// Makes an answer's headers those the client is to see. Returns what may not
    /// come back as a trailer.
    pub(crate) fn apply_to_response(
        self,
        headers: &mut HeaderMap,
        date: impl FnOnce() -> HeaderValue,
        version: Version,
    ) -> Named {
        self.clean(headers);
        if !self.has_date {
            headers.insert(header::DATE, date());
        }
        headers.append(header::VIA, via::of_answer(version));
        self.named()
    }

    fn named(self) -> Named {
        (!self.also_removed.is_empty()).then(|| self.also_removed.into())
    }

    /// Removes what has to go, and has a length said the one way that everybody
    /// reads alike: to some, a number that begins with 0 is octal.
    fn clean(&self, headers: &mut HeaderMap) {
        self.remove(headers);
        if self.odd_length
            && let Some(length) = headers.get(header::CONTENT_LENGTH)
            && let Some(length) = length.to_str().ok().and_then(|text| text.parse::<u64>().ok())
        {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
    }

    fn remove(&self, headers: &mut HeaderMap) {
        if self.removed != 0 {
            for (bit, name) in &REMOVED {
                if self.removed & bit != 0 {
                    headers.remove(name);
                }
            }
        }
        for name in &self.also_removed {
            headers.remove(name);
        }
    }
}

/// The members of a list in a header.
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
