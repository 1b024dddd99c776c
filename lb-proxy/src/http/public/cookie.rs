//! `Path` and `Domain` of cookies.
//!
//! Only what stands between two semicolons is exchanged; names, values and all other
//! attributes keep every byte.

use super::{Names, prefixed, reference::split_port};

/// The public form of a `Set-Cookie` line; `None` when it is that already, or no
/// cookie at all.
pub(super) fn public(line: &str, names: &Names<'_>) -> Option<String> {
    let is_domain = |part: &str| {
        part.trim_ascii_start().get(..6).is_some_and(|name| name.eq_ignore_ascii_case("domain"))
    };
    if names.prefix.is_empty() && !line.split(';').any(is_domain) {
        return None;
    }
    let mut parts = line.split(';');
    let pair = parts.next()?;
    let name = pair.split_once('=')?.0.trim_ascii();
    // A browser takes such a cookie only with `Path=/`, and wants it for all of the
    // host.
    let is_host_wide = name.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("__Host-"));
    let mut changed = false;
    let mut public = pair.to_owned();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let is = |attribute: &str| name.trim_ascii().eq_ignore_ascii_case(attribute);
        if is("domain") && is_backend(value.trim_ascii(), names) {
            changed = true;
            continue;
        }
        public.push(';');
        let path = Some(value.trim_ascii()).filter(|path| is("path") && path.starts_with('/'));
        match path.filter(|_| !is_host_wide).and_then(|path| public_path(path, names)) {
            Some(path) => {
                public.push_str(name);
                public.push('=');
                public.push_str(&path);
                changed = true;
            }
            None => public.push_str(part),
        }
    }
    changed.then_some(public)
}

/// The root becomes the prefix itself, as it is in the route: `/api` belongs to it or
/// not.
fn public_path(path: &str, names: &Names<'_>) -> Option<String> {
    match path {
        "/" if names.prefix.len() > 1 => Some(names.prefix.to_owned()),
        _ => prefixed(path, names),
    }
}

fn is_backend(domain: &str, names: &Names<'_>) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let is = |authority: &str| domain.eq_ignore_ascii_case(split_port(authority).0);
    !domain.is_empty() && is(names.backend) && !is(names.host)
}
