//! Where a request came from, as far as proxies in front of us can be believed.
//!
//! Each proxy adds its neighbour's address at the end of `X-Forwarded-For`, so only
//! the end of it is worth anything: read from the right, the first address that is
//! none of the trusted proxies is the client's. What stands left of it the client
//! may have made up, and so may be what cannot be read; the search ends there, with
//! the last address that was believed.
//!
//! A neighbour that is not trusted is the client. A trusted one is believed about
//! `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `-Prefix`; other claims, and other
//! spellings of these, go as they always do: who does not set them does not remove
//! them either. Backends make URLs of `-Proto`: they get one, `http` or `https`, and what
//! we know ourselves where a neighbour says anything else.
//!
//! `Forwarded` (RFC 7239) is read where it comes without `X-Forwarded-For`, and goes on
//! in that form. Two headers that say the same can be made to differ, and backends
//! read the older ones.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    check::is_host,
    headers::{Origin, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PREFIX, X_FORWARDED_PROTO},
};
use crate::listen::TrustedProxies;

/// What a trusted neighbour said about a request.
#[derive(Debug)]
pub(crate) struct Believed {
    /// Where it came from.
    pub(crate) client: IpAddr,
    /// What is to be said in the older form as well.
    forwarded: Option<Element>,
}

/// What one proxy said in `Forwarded`.
#[derive(Debug, Default)]
struct Element {
    by_client: Option<IpAddr>,
    scheme: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

/// What a neighbour says about a request; `None` when it is not trusted, and the
/// client itself as far as we know.
pub(crate) fn believed(
    headers: &HeaderMap,
    neighbour: IpAddr,
    trusted: &TrustedProxies,
) -> Option<Believed> {
    if !trusted.contains(neighbour) {
        return None;
    }
    if headers.contains_key(X_FORWARDED_FOR) {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let entries = entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty());
        let mut client = neighbour;
        for address in entries.map_while(|entry| read_address(str::from_utf8(entry).ok()?)) {
            client = address;
            if !trusted.contains(address) {
                break;
            }
        }
        return Some(Believed { client, forwarded: None });
    }
    let mut client = neighbour;
    let mut forwarded = None;
    for element in elements(headers) {
        let Some(address) = element.by_client else { break };
        client = address;
        forwarded = Some(element);
        if !trusted.contains(address) {
            break;
        }
    }
    Some(Believed { client, forwarded })
}

/// Whether a header of a trusted neighbour stays.
pub(super) fn is_kept(name: &str) -> bool {
    name.strip_prefix("x-forwarded-")
        .is_some_and(|what| matches!(what, "for" | "proto" | "host" | "port" | "prefix"))
}

/// What a trusted neighbour says where a header stands for one fact: the last member of
/// the last line. What is left of it a client may have made up.
pub(super) fn last_said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let line = headers.get_all(name).iter().next_back()?.as_bytes();
    line.rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii)
}

/// The scheme that a trusted neighbour says; nothing else is one.
pub(super) fn said_scheme(headers: &HeaderMap) -> Option<&'static str> {
    let said = last_said(headers, &X_FORWARDED_PROTO)?;
    ["http", "https"].into_iter().find(|scheme| said.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Says on what a trusted neighbour said, and adds the neighbour.
pub(super) fn say_on(headers: &mut HeaderMap, from: &Origin, believed: Believed) {
    let Element { scheme, host, .. } = believed.forwarded.unwrap_or_default();
    let mut way = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR).iter().map(|line| line.as_bytes().trim_ascii()) {
        if line.is_empty() {
            continue;
        }
        way.extend_from_slice(line);
        way.extend_from_slice(b", ");
    }
    if way.is_empty() && believed.client != from.neighbour {
        way.extend_from_slice(format!("{}, ", believed.client).as_bytes());
    }
    way.extend_from_slice(from.address.as_bytes());
    // Of parts that were the value of a header each.
    if let Ok(way) = HeaderValue::from_bytes(&way) {
        headers.insert(X_FORWARDED_FOR, way);
    }
    let scheme = said_scheme(headers).map(HeaderValue::from_static).or(scheme);
    headers.insert(X_FORWARDED_PROTO, scheme.unwrap_or_else(|| from.scheme.clone()));
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = host.or_else(|| headers.get(header::HOST).cloned())
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Adds a prefix that was stripped to those that were stripped before.
pub(super) fn say_prefix(headers: &mut HeaderMap, prefix: &str) {
    let is_path = |value: &&str| value.starts_with('/') && !value.starts_with("//");
    let before = headers.get(X_FORWARDED_PREFIX).and_then(|value| value.to_str().ok());
    let before = before.filter(is_path).unwrap_or_default().trim_end_matches('/');
    if let Ok(whole) = HeaderValue::from_str(&format!("{before}{prefix}")) {
        headers.insert(X_FORWARDED_PREFIX, whole);
    }
}

/// The elements of all `Forwarded` lines, last first.
fn elements(headers: &HeaderMap) -> impl Iterator<Item = Element> {
    let lines = headers.get_all(header::FORWARDED).iter().rev();
    lines.flat_map(|line| {
        // A line that cannot be read says nothing.
        let line = line.to_str().unwrap_or("?");
        // A client that opens a quotation and does not close it would swallow what
        // the proxy behind it has added.
        let is_balanced = split(line, '\0').1;
        let elements: Vec<_> = match is_balanced {
            true => split(line, ',').0,
            false => line.split(',').collect(),
        };
        elements.into_iter().rev().filter(|element| !element.trim().is_empty()).map(read_element)
    })
}

/// The parts of a text between `separator`s that stand in no quotation, and whether
/// every quotation ends.
fn split(text: &str, separator: char) -> (Vec<&str>, bool) {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|character| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match character {
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    });
    (parts.collect(), !quoted)
}

fn read_element(text: &str) -> Element {
    let mut element = Element::default();
    for pair in split(text, ';').0 {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim();
        let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'));
        // What needs an escape is neither an address nor a host.
        let Some(value) = value.filter(|value| !value.contains('\\')) else { continue };
        let header = || HeaderValue::from_str(value).ok();
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => element.by_client = read_address(value),
            name if name.eq_ignore_ascii_case("proto") && is_scheme(value) => {
                element.scheme = header();
            }
            name if name.eq_ignore_ascii_case("host") && is_host(value) => element.host = header(),
            _ => {}
        }
    }
    element
}

fn is_scheme(value: &str) -> bool {
    value.eq_ignore_ascii_case("http") || value.eq_ignore_ascii_case("https")
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn read_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
