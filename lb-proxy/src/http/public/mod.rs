//! What a backend says about itself, in the form its clients know.
//!
//! A backend knows neither the address that clients use nor a prefix that was removed
//! on the way to it. So what it says in `Location`, `Content-Location`, `URI` (which is
//! obsolete, and still sent), `Refresh` and the `Path` and `Domain` of cookies is put
//! right on the way back:
//!
//! * a URL at the backend's own address gets the host and the scheme the client used;
//! * where a prefix was removed, it is put before the path of such a URL, of one at
//!   the client's host, and of one that is only a path;
//! * everything else stays, above all relative references, which are right already.
//!
//! A path that begins with the prefix stays as well: a backend that reads
//! `X-Forwarded-Prefix` says it itself, and doing this twice must change nothing. A
//! backend that has a path of the same name below the prefix has to use relative
//! references. An `https` URL at the client's host keeps its scheme, or no backend
//! could send its clients there.
//!
//! Nothing is decoded, and what cannot be read stays. Bodies are not looked at.

mod cookie;
mod reference;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};

use super::{
    check::is_host,
    headers::{X_FORWARDED_HOST, X_FORWARDED_PREFIX, X_FORWARDED_PROTO},
};

const URI: HeaderName = HeaderName::from_static("uri");

/// How the client of a request sees what it asks for.
#[derive(Debug, Default)]
pub(super) struct PublicForm {
    /// The host that the backend is told.
    sent_host: Option<HeaderValue>,
    /// The host and the scheme that a trusted neighbour tells.
    said_host: Option<HeaderValue>,
    said_scheme: Option<HeaderValue>,
    /// What was removed on the way to the backend.
    prefix: Option<Box<str>>,
    /// That, and what others have removed before.
    whole_prefix: Option<HeaderValue>,
}

/// What the rules read.
#[derive(Debug, Clone, Copy)]
struct Names<'a> {
    /// `host:port` of the backend.
    backend: &'a str,
    /// The host that the backend was told, and the one the client has asked for.
    /// Empty when there is none.
    sent_host: &'a str,
    host: &'a str,
    scheme: &'a str,
    /// Empty, or `/…`.
    prefix: &'a str,
    /// The same with those that were removed before.
    whole_prefix: &'a str,
}

impl PublicForm {
    /// Of a request whose headers are those that a backend is to see. Unless
    /// `is_trusted`, its neighbour is the client.
    pub(super) fn of(headers: &HeaderMap, prefix: Option<&str>, is_trusted: bool) -> Self {
        // The last line, and of it the last member, is the neighbour's own.
        let last = |name| headers.get_all(name).iter().next_back().cloned();
        let said = |name| is_trusted.then(|| last(name)).flatten();
        Self {
            sent_host: headers.get(header::HOST).cloned(),
            said_host: said(X_FORWARDED_HOST),
            said_scheme: said(X_FORWARDED_PROTO),
            prefix: prefix.map(Into::into),
            whole_prefix: prefix.and_then(|_| headers.get(X_FORWARDED_PREFIX).cloned()),
        }
    }

    /// Puts the headers of an answer right. `address` is the backend's.
    pub(super) fn apply(&self, headers: &mut HeaderMap, address: &str) {
        let sent_host = last(self.sent_host.as_ref()).unwrap_or_default();
        let said_host = last(self.said_host.as_ref()).filter(|host| is_host(host));
        let is_https = last(self.said_scheme.as_ref())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let names = Names {
            backend: address.split_once("://").map_or(address, |(_, rest)| rest),
            sent_host,
            host: said_host.unwrap_or(sent_host),
            scheme: if is_https { "https" } else { "http" },
            prefix,
            whole_prefix: last(self.whole_prefix.as_ref()).unwrap_or(prefix),
        };
        for name in [header::LOCATION, header::CONTENT_LOCATION, URI] {
            change(headers, name, |value| reference::public(value, &names));
        }
        change(headers, header::REFRESH, |value| reference::refresh(value, &names));
        change(headers, header::SET_COOKIE, |value| cookie::public(value, &names));
    }
}

/// Changes every line of a header for which the rule has another text.
///
/// What is not UTF-8 is read as Latin-1, which has a character for every byte. Rules
/// act on ASCII only and leave the others as they are.
fn change(headers: &mut HeaderMap, name: HeaderName, rule: impl Fn(&str) -> Option<String>) {
    let Entry::Occupied(mut lines) = headers.entry(name) else { return };
    for line in lines.iter_mut() {
        let changed = match str::from_utf8(line.as_bytes()) {
            Ok(text) => rule(text).map(String::into_bytes),
            Err(_) => rule(&line.as_bytes().iter().copied().map(char::from).collect::<String>())
                .map(|text| text.chars().filter_map(|byte| u8::try_from(byte).ok()).collect()),
        };
        if let Some(Ok(changed)) = changed.map(|bytes| HeaderValue::from_bytes(&bytes)) {
            *line = changed;
        }
    }
}

/// The last member of a list: what is left of it a client may have made up.
fn last(value: Option<&HeaderValue>) -> Option<&str> {
    let value = value?.to_str().ok()?;
    Some(value.rsplit(',').next().unwrap_or(value).trim())
}

/// Puts the prefix before a path that does not begin with it yet.
fn prefixed(path: &str, names: &Names<'_>) -> Option<String> {
    let prefix = names.prefix.trim_end_matches('/');
    let is_below = |prefix: &str| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
    };
    if prefix.is_empty() || is_below(prefix) || is_below(names.whole_prefix.trim_end_matches('/')) {
        return None;
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(format!("{prefix}{slash}{path}"))
}

#[cfg(test)]
mod tests;
