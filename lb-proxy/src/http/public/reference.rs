//! URLs in headers.

use super::{Names, prefixed};

/// The public form of a URL reference; `None` when it is that already.
pub(super) fn public(reference: &str, names: &Names<'_>) -> Option<String> {
    let Some((scheme, rest)) = split_scheme(reference) else {
        return if reference.starts_with('/') { prefixed(reference, names) } else { None };
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let default_port = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let is = |other: &str| is_same(authority, other, default_port);
    if is(names.backend) {
        let path = prefixed(path, names).unwrap_or_else(|| path.to_owned());
        if names.host.is_empty() {
            // It must not begin with what looks like a host.
            return Some(format!("/{}", path.trim_start_matches('/')));
        }
        let (scheme, host) = (if scheme.is_empty() { "" } else { names.scheme }, names.host);
        return Some(url(scheme, host, &path)).filter(|public| public != reference);
    }
    if is(names.sent_host) || is(names.host) {
        let path = prefixed(path, names)?;
        let is_ours = scheme.eq_ignore_ascii_case("http");
        let host = if is(names.host) { authority } else { names.host };
        return Some(url(if is_ours { names.scheme } else { scheme }, host, &path));
    }
    None
}

/// The same for `5; url=/login`.
pub(super) fn refresh(value: &str, names: &Names<'_>) -> Option<String> {
    let begin = value.find([';', ','])? + 1;
    let (delay, rest) = value.split_at(begin);
    let (name, url) = rest.split_once('=')?;
    if !name.trim_ascii().eq_ignore_ascii_case("url") {
        return None;
    }
    let quote = url.trim_ascii_start().chars().next().filter(|first| matches!(first, '"' | '\''));
    let url = url.trim_ascii();
    let (url, quote) = match quote {
        Some(quote) => (url.strip_prefix(quote)?.strip_suffix(quote)?, quote.to_string()),
        None => (url, String::new()),
    };
    let url = public(url, names)?;
    Some(format!("{delay}{name}={quote}{url}{quote}"))
}

/// `http`, `https`, or nothing for `//…`; and what follows the slashes.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let at = reference.find("//")?;
    let (scheme, rest) = (&reference[..at], &reference[at + 2..]);
    let name = scheme.strip_suffix(':').unwrap_or(scheme);
    let is_web = name.eq_ignore_ascii_case("http") || name.eq_ignore_ascii_case("https");
    (scheme.is_empty() || is_web && name != scheme).then_some((name, rest))
}

fn url(scheme: &str, host: &str, path: &str) -> String {
    let colon = if scheme.is_empty() { "" } else { ":" };
    format!("{scheme}{colon}//{host}{path}")
}

/// Whether two authorities are one.
fn is_same(one: &str, other: &str, default_port: &str) -> bool {
    let (one, other) = (split_port(one), split_port(other));
    !one.0.is_empty()
        && one.0.eq_ignore_ascii_case(other.0)
        && one.1.unwrap_or(default_port) == other.1.unwrap_or(default_port)
}

/// `example.org:80`, `[::1]:80`.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (authority, None),
    }
}
