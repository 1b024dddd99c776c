//! `sticky`: the cookie that binds a client to a backend.

use std::{ops::Range, time::Duration};

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    loader::Loader,
    reader::{Table, Text, Value},
    secret::{MAKE_16, read_key},
};
use crate::{SameSite, StickySettings, StickyValue};

/// What `sticky` says, and where its cookie is named.
#[derive(Debug)]
pub(super) struct Sticky {
    pub(super) settings: StickySettings,
    pub(super) place: Range<usize>,
}

/// Reads `sticky` of a cluster.
pub(super) fn read_sticky(
    mut table: Table<'_>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Option<Sticky> {
    let cookie = table.take("cookie");
    if cookie.is_none() {
        out.push(table.missing("cookie", "how is it called?").help("add `cookie = \"LBSESSION\"`"));
    }
    let cookie = cookie.and_then(Value::text).filter(check_cookie);
    let mut settings = StickySettings::new(cookie.as_ref().map_or("", Text::as_str));
    let value = table.take("value");
    let value_place = value.as_ref().map(Value::span);
    settings.value = match value.and_then(Value::word) {
        Some("sealed") => StickyValue::Sealed,
        Some("name") => StickyValue::Name,
        _ => StickyValue::Derived,
    };
    let (key, keys) = (table.take("key"), table.take("keys"));
    let keys_given = key.as_ref().or(keys.as_ref()).map(Value::key_span);
    settings.keys = read_keys(key, keys, loader, out);
    settings.ttl = table.take("ttl").filter(|ttl| !ttl.is_off()).and_then(read_ttl);
    if let Some(path) = table.take_str("path").filter(|path| check_attribute(path, '/')) {
        settings.path = path.as_str().into();
    }
    let domain = table.take_str("domain").filter(|domain| check_attribute(domain, '\0'));
    settings.domain = domain.map(|domain| domain.as_str().into());
    settings.secure = table.take_bool("secure").unwrap_or(settings.secure);
    settings.http_only = table.take_bool("http_only").unwrap_or(settings.http_only);
    match table.take("same_site").and_then(Value::word) {
        Some("strict") => settings.same_site = Some(SameSite::Strict),
        Some("none") => settings.same_site = Some(SameSite::None),
        Some("off") => settings.same_site = None,
        _ => {}
    }
    settings.partitioned = table.take_bool("partitioned").unwrap_or(settings.partitioned);
    let (whole, path) = (table.span(), table.path().to_owned());
    table.finish();
    let place = cookie.map(|cookie| cookie.span())?;
    let judge = Judge { settings: &settings, whole, path: &path, out };
    judge.keys(keys_given, value_place);
    judge.attributes(&place);
    Some(Sticky { settings, place })
}

/// `Max-Age` counts in seconds, and less than one would be none at all.
fn read_ttl(value: Value<'_>) -> Option<Duration> {
    let place = value.clone();
    let ttl = value.duration(Duration::from_nanos(1))?;
    if ttl < Duration::from_secs(1) {
        place.wrong("must be at least 1s", "browsers count in seconds");
        return None;
    }
    Some(ttl)
}

fn read_keys(
    key: Option<Value<'_>>,
    keys: Option<Value<'_>>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Vec<[u8; 16]> {
    if let (Some(key), Some(keys)) = (&key, &keys) {
        out.push(
            Diagnostic::error("both `key` and `keys` are given")
                .at(key.key_span(), "one key")
                .related(keys.key_span(), "several")
                .key(key.path())
                .help("the first of `keys` is used, all of them are accepted"),
        );
    }
    let whole = keys.clone();
    let several = keys.and_then(|keys| keys.list(None));
    if let (Some([]), Some(whole)) = (several.as_deref(), whole) {
        out.push(whole.error("must not be empty", "anybody can guess the key used otherwise"));
    }
    let several = several.unwrap_or_default();
    key.into_iter().chain(several).filter_map(|key| read_key(&key, MAKE_16, loader, out)).collect()
}

struct Judge<'j> {
    settings: &'j StickySettings,
    whole: Range<usize>,
    path: &'j str,
    out: &'j Diagnostics,
}

impl Judge<'_> {
    fn keys(&self, given: Option<Range<usize>>, value: Option<Range<usize>>) {
        match (self.settings.value, given) {
            (StickyValue::Sealed, None) => self.out.push(
                Diagnostic::error("sealed cookies need a key")
                    .at(value.unwrap_or_else(|| self.whole.clone()), "sealed with what?")
                    .key(format!("{}.value", self.path))
                    .absence()
                    .help("add `key = { file = \"…\" }`: anybody can guess the key used otherwise"),
            ),
            (StickyValue::Derived, None) => self.out.push(
                Diagnostic::note(
                    "cookies are made with a key that is derived from the cluster's name",
                )
                .at(self.whole.clone(), "it has no `key`")
                .key(format!("{}.key", self.path))
                .absence()
                .help("whoever knows the names can choose a backend; `key` keeps them from it"),
            ),
            (StickyValue::Name, Some(span)) => self.out.push(
                Diagnostic::warning("a cookie with the name of its backend has no use for a key")
                    .at(span, "not used")
                    .key(format!("{}.key", self.path)),
            ),
            _ => {}
        }
    }

    /// What browsers would ignore.
    fn attributes(&self, cookie: &Range<usize>) {
        let StickySettings { secure, path, domain, same_site, partitioned, .. } = self.settings;
        let name = &*self.settings.cookie;
        let ignored = |reason: &str, help: &str| {
            self.out.push(
                Diagnostic::error(format!("browsers ignore the cookie `{name}`"))
                    .at(cookie.clone(), reason)
                    .key(format!("{}.cookie", self.path))
                    .help(help),
            );
        };
        if *same_site == Some(SameSite::None) && !secure {
            ignored("`same_site = \"none\"` needs `secure = true`", "add `secure = true`");
        } else if *partitioned && !secure {
            ignored("`partitioned = true` needs `secure = true`", "add `secure = true`");
        } else if name.starts_with("__Host-") && !(*secure && &**path == "/" && domain.is_none()) {
            ignored(
                "`__Host-` needs `secure`, the path `/` and no domain",
                "add `secure = true`, and leave out `path` and `domain`",
            );
        } else if name.starts_with("__Secure-") && !secure {
            ignored("`__Secure-` needs `secure = true`", "add `secure = true`");
        }
    }
}

/// Why a text is not the name of a cookie, which is a token (RFC 6265, section
/// 4.1.1); `None` if it is one.
#[must_use]
pub fn cookie_problem(name: &str) -> Option<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match name.chars().find(|c| !u8::try_from(*c).is_ok_and(is_token)) {
        _ if name.is_empty() => Some("it is empty".to_owned()),
        Some(odd) => Some(format!("`{}` cannot stand in the name of a cookie", odd.escape_debug())),
        None => None,
    }
}

fn check_cookie(text: &Text<'_>) -> bool {
    let name = text.as_str();
    let Some(problem) = cookie_problem(name) else { return true };
    text.report(text.error(format!("`{name}` is not the name of a cookie"), problem));
    false
}

fn check_attribute(text: &Text<'_>, first: char) -> bool {
    let value = text.as_str();
    let wrong_start = first == '/' && !value.starts_with('/');
    let odd = value.chars().find(|c| !(' '..='~').contains(c) || *c == ';');
    let label = match odd {
        _ if value.is_empty() => "it is empty".to_owned(),
        Some(odd) => format!("`{}` cannot stand in it", odd.escape_debug()),
        None if wrong_start => "it does not begin with `/`".to_owned(),
        None => return true,
    };
    text.report(text.error(format!("`{}` cannot be sent to a browser", text.path()), label));
    false
}
