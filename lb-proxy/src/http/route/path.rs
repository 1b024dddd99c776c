//! What a request asks for, in the one form that routes compare.
//!
//! Servers differ in how they read a path. nginx decodes it, merges slashes and
//! resolves dots before it compares; Envoy and HAProxy do so when told, Apache
//! refuses encoded slashes, Tomcat cuts parameters off before it resolves dots. A
//! route must not be chosen by one reading while the backend follows another. So:
//!
//! * dot segments are resolved, and several slashes are one;
//! * what may stand in a path unescaped is compared unescaped, everything else as
//!   `%XX` in upper case: `/%61%c3%a4` is `/a%C3%A4`;
//! * `;` and `%3B` are two things, as are `/` and `%2F`;
//! * a path is refused that climbs above the root, that holds a zero byte, in which
//!   dots are segments to some servers only (`..;x`, `..%2f`, `..\`), or in which
//!   servers do not agree what `..` removes: after a segment that is empty, or is
//!   when its parameters are cut off, and after one with an encoded slash.
//!
//! An encoded slash is data: names of packages and projects need it. So are
//! parameters (`;x=1`), as sessions are kept in them. Where the route would be another
//! if the slash were one, or if the parameters were not there, the request is refused
//! as well (see [`RouteTable::decide`](super::RouteTable::decide)).

use std::{borrow::Cow, fmt, fmt::Write as _};

use regex::Regex;

/// The path of a route.
#[derive(Debug, Clone)]
pub enum PathPattern {
    /// This and everything below it. `/api` is `/api` and what begins with `/api/`;
    /// `/api/` is only the latter.
    Prefix(Box<str>),
    /// Only this.
    Exact(Box<str>),
    /// Only this, with or without a slash at the end.
    EitherSlash(Box<str>),
    /// What this finds something in, unless it is anchored. It sees the path in the
    /// form of this module: dots resolved, unusual bytes as `%XX`.
    Regex(Regex),
}

/// Why a path has no single meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More `..` than segments before it.
    #[error("the path climbs above the root")]
    AboveRoot,
    /// Servers read it in different ways.
    #[error("different servers would take the path for different ones")]
    Ambiguous,
}

impl PathPattern {
    /// The same in the form that is compared.
    pub(super) fn normal(&self) -> Self {
        // What no path can be is left as it is, and never matches.
        let normal = |path: &str| normal_path(path).unwrap_or(Cow::Borrowed(path)).into();
        match self {
            Self::Prefix(prefix) => Self::Prefix(normal(prefix)),
            Self::Exact(path) => Self::Exact(normal(path)),
            Self::EitherSlash(path) => {
                Self::EitherSlash(path.strip_suffix('/').map_or_else(|| normal(path), normal))
            }
            Self::Regex(regex) => Self::Regex(regex.clone()),
        }
    }

    /// Whether a path fits. Both must be in the form that is compared.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => match path.strip_prefix(&**prefix) {
                None => false,
                Some(rest) => rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'),
            },
            Self::Exact(exact) => **exact == *path,
            Self::EitherSlash(either) => **either == *path.strip_suffix('/').unwrap_or(path),
            Self::Regex(regex) => regex.is_match(path),
        }
    }

    /// How it is ordered among the others of a host: the class, then the length.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Exact(_) => (0, 0),
            Self::EitherSlash(_) => (1, 0),
            // It says nothing about the path: whoever says something comes before it.
            Self::Prefix(prefix) if **prefix == *"/" => (4, 0),
            Self::Prefix(prefix) => (2, usize::MAX - prefix.len()),
            Self::Regex(_) => (3, 0),
        }
    }
}

/// Expressions are equal when their text is.
impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(one), Self::Prefix(other))
            | (Self::Exact(one), Self::Exact(other))
            | (Self::EitherSlash(one), Self::EitherSlash(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Eq for PathPattern {}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => f.write_str(prefix),
            Self::Exact(path) => write!(f, "= {path}"),
            Self::EitherSlash(path) => write!(f, "= {path}[/]"),
            Self::Regex(regex) => write!(f, "~ {regex}"),
        }
    }
}

/// Brings a path into the form that is compared. `*`, the target of `OPTIONS *`,
/// means the server as a whole and goes where `/` goes.
pub(super) fn normal_path(path: &str) -> Result<Cow<'_, str>, PathError> {
    if path == "*" {
        return Ok(Cow::Borrowed("/"));
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let mut normal = String::with_capacity(path.len());
    let mut seen_empty = false;
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let segment = normal_segment(segment);
        match &*segment {
            "" | "." => {
                seen_empty |= segment.is_empty() && !is_last;
                if is_last {
                    normal.push('/');
                }
            }
            ".." if seen_empty => return Err(PathError::Ambiguous),
            ".." => {
                let end = normal.rfind('/').ok_or(PathError::AboveRoot)?;
                if has_encoded_slash(&normal[end..]) {
                    return Err(PathError::Ambiguous);
                }
                normal.truncate(end);
                if is_last {
                    normal.push('/');
                }
            }
            _ if is_ambiguous(&segment) => return Err(PathError::Ambiguous),
            _ => {
                seen_empty |= segment.starts_with(';');
                normal.push('/');
                normal.push_str(&segment);
            }
        }
    }
    Ok(Cow::Owned(normal))
}

/// The path as those read it who take an encoded slash, or a backslash, for a slash,
/// who cut parameters off, or who do both in either order. Nothing, and without
/// allocation, where all read it alike. The path must be in the form that is compared.
pub(super) fn other_readings(path: &str) -> impl Iterator<Item = String> {
    let readings: &[fn(&str) -> String] = match (has_encoded_slash(path), path.contains(';')) {
        (false, false) => &[],
        (true, false) => &[with_slashes_decoded],
        (false, true) => &[without_parameters],
        (true, true) => &[
            with_slashes_decoded,
            without_parameters,
            |path| without_parameters(&with_slashes_decoded(path)),
            |path| with_slashes_decoded(&without_parameters(path)),
        ],
    };
    readings.iter().map(move |reading| reading(path))
}

fn has_encoded_slash(path: &str) -> bool {
    path.contains("%2F") || path.contains("%5C")
}

fn with_slashes_decoded(path: &str) -> String {
    merged(path.replace("%2F", "/").replace("%5C", "/"))
}

fn without_parameters(path: &str) -> String {
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or(segment));
    merged(segments.collect::<Vec<_>>().join("/"))
}

/// With several slashes as one.
fn merged(mut path: String) -> String {
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// Whether a path is in the form that is compared, for sure.
fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && path.iter().all(|byte| *byte == b'/' || is_path_byte(*byte))
        && path.windows(2).all(|two| two != b"//")
        && !has_dots(path)
}

/// Whether a segment may be one of dots.
fn has_dots(path: &[u8]) -> bool {
    path.windows(2).enumerate().any(|(at, two)| {
        two == b"/." && path.get(at + 2).is_none_or(|next| matches!(next, b'/' | b'.' | b';'))
    })
}

/// Whether a segment, as sent, is one of dots.
pub(super) fn is_dots(segment: &str) -> bool {
    matches!(&*normal_segment(segment), "." | "..")
}

/// What may stand in a segment unescaped (`pchar` of RFC 3986).
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn normal_segment(segment: &str) -> String {
    let mut normal = String::with_capacity(segment.len());
    let mut bytes = segment.as_bytes();
    while let [byte, rest @ ..] = bytes {
        let (byte, is_plain, rest) = match (byte, rest) {
            (b'%', [high, low, rest @ ..])
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) =>
            {
                let byte = high << 4 | low;
                (byte, is_path_byte(byte) && byte != b';', rest)
            }
            _ => (*byte, is_path_byte(*byte), rest),
        };
        if is_plain {
            normal.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(normal, "%{byte:02X}");
        }
        bytes = rest;
    }
    normal
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether a segment, which is no dot segment, is one to somebody.
fn is_ambiguous(segment: &str) -> bool {
    let mut parts = segment.split("%2F").flat_map(|part| part.split("%5C"));
    segment.contains("%00")
        || parts.any(|part| {
            let part = part.split(';').next().unwrap_or(part);
            let part = part.split("%3B").next().unwrap_or(part);
            part == "." || part == ".."
        })
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn normal(path: &str) -> String {
        normal_path(path).unwrap().into_owned()
    }

    #[test]
    fn an_ordinary_path_is_not_copied() {
        for path in ["/", "/a/b", "/a/", "/.well-known/x", "/a;b=c/d@e", "*"] {
            assert!(matches!(normal_path(path), Ok(Cow::Borrowed(_))), "{path}");
        }
    }

    #[test]
    fn dots_are_resolved_and_slashes_merged() {
        for (path, expected) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/..a/...", "/..a/..."),
            ("/a/%2e%2E/b", "/b"),
            ("//a///b//", "/a/b/"),
            ("/a/..//b", "/b"),
            ("/a/..", "/"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn one_byte_has_one_spelling() {
        for (path, expected) in [
            ("/%61dmin", "/admin"),
            ("/%c3%a4", "/%C3%A4"),
            ("/ä", "/%C3%A4"),
            ("/a%40b|c", "/a@b%7Cc"),
            ("/a%3bb;c", "/a%3Bb;c"),
            ("/a%2fb", "/a%2Fb"),
            ("/100%", "/100%25"),
            ("/%zz", "/%25zz"),
            ("/%252e%252e/x", "/%252e%252e/x"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_climbs_above_the_root_is_refused() {
        for path in ["/..", "/a/../../b", "/%2e%2e/a", "/./.."] {
            assert_eq!(normal_path(path), Err(PathError::AboveRoot), "{path}");
        }
    }

    #[test]
    fn what_only_some_servers_take_for_dots_is_refused() {
        for path in [
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/..%3bx/b",
            "/a/.;/b",
            "/a%2f../b",
            "/a/..%2Fb",
            "/a\\..\\b",
            "/a/..%5cb",
            "/a//../b",
            "/a%00b",
            "/a%2Fx/../b",
            "/a%5cx/b/../../c",
            "/;/../b",
            "/a/;x=1/../b",
        ] {
            assert_eq!(normal_path(path), Err(PathError::Ambiguous), "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_and_a_parameter_have_other_readings() {
        for (path, expected) in [
            ("/a/b", &[][..]),
            ("/a%3Bb", &[]),
            ("/a%2F%5Cb/%2F", &["/a/b/"]),
            ("/a;x/;y/b;z", &["/a/b"]),
            ("/;x", &["/"]),
            ("/a;b%2Fc/d", &["/a;b/c/d", "/a/d", "/a/c/d", "/a/d"]),
            ("/a%2F;b/c", &["/a/;b/c", "/a%2F/c", "/a/c", "/a/c"]),
        ] {
            assert_eq!(other_readings(path).collect::<Vec<_>>(), expected, "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_form_is_its_own(path in "/([a./;%\\\\ä]|%2e|%2F|%3b|%41){0,12}") {
            if let Ok(once) = normal_path(&path) {
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.contains("//"));
                prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
                let twice = normal_path(&once).map(Cow::into_owned);
                prop_assert_eq!(twice, Ok(once.clone().into_owned()));
            }
        }
    }
}
