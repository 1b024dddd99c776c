//! Where Apache's balancer looks for a session's route.
//!
//! For whoever comes from `stickysession=`: the applications there append the
//! route to their own session ids, in a cookie or in the URL. The rules are those
//! of `mod_proxy_balancer` 2.4, surprises included: a parameter is found at the end
//! of a longer name as well, the first cookie of the name decides even if it is
//! empty, and the *first* dot of the value begins the route.

/// The route that a request asks for.
///
/// `name` is what `stickysession` was set to: a cookie's name, or a cookie's and a
/// parameter's with `|` between. The parameter is looked for in the path (after
/// `;`) and in the query, and comes first. Names are case-sensitive, and quotes are
/// not taken off. `cookies` are the values of the `Cookie` fields.
pub fn route<'a>(
    path_and_query: &'a str,
    cookies: impl IntoIterator<Item = &'a [u8]>,
    name: &str,
) -> Option<&'a [u8]> {
    let (cookie, parameter) = name.split_once('|').unwrap_or((name, name));
    let value = in_url(path_and_query.as_bytes(), parameter.as_bytes())
        .or_else(|| cookies.into_iter().find_map(|field| in_cookies(field, cookie.as_bytes())))?;
    after_dot(value)
}

/// What comes after the first dot, unless it is nothing.
pub(super) fn after_dot(value: &[u8]) -> Option<&[u8]> {
    let dot = value.iter().position(|byte| *byte == b'.')?;
    Some(&value[dot + 1..]).filter(|route| !route.is_empty())
}

/// The value of the first `name=` that is not the end of the URL.
fn in_url<'a>(url: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_delimiter = |byte: &u8| matches!(byte, b';' | b'?' | b'&');
    let value = occurrences(url, name)
        .filter_map(|(_, rest)| rest.strip_prefix(b"="))
        .find(|value| !value.is_empty())?;
    // Delimiters at the start are skipped, those after it end the value.
    let start = value.iter().position(|byte| !is_delimiter(byte))?;
    value[start..].split(is_delimiter).next()
}

/// The value of the first cookie of that name, up to `;` or `,`.
fn in_cookies<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let begins = |before: &[u8]| {
        before.last().is_none_or(|byte| matches!(byte, b';' | b',') || is_space(*byte))
    };
    let value = occurrences(field, name)
        .filter(|(before, _)| begins(before))
        .filter_map(|(_, rest)| {
            let space = rest.iter().take_while(|byte| is_space(**byte)).count();
            rest[space..].strip_prefix(b"=")
        })
        .find(|value| !value.is_empty())?;
    value.split(|byte| matches!(byte, b';' | b',')).next()
}

/// What is before and after each occurrence of `name`; none of an empty one.
fn occurrences<'a>(text: &'a [u8], name: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let last = if name.is_empty() { 0 } else { (text.len() + 1).saturating_sub(name.len()) };
    (0..last)
        .filter(move |at| text[*at..].starts_with(name))
        .map(move |at| (&text[..at], &text[at + name.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(url: &'a str, cookies: &[&'a str]) -> Option<&'a str> {
        let cookies = cookies.iter().map(|field| field.as_bytes());
        route(url, cookies, "R|r").map(|route| std::str::from_utf8(route).unwrap())
    }

    #[test]
    fn the_url_comes_before_the_cookies_unless_it_has_no_value() {
        assert_eq!(found("/;r=.a", &["R=.b"]), Some("a"));
        assert_eq!(found("/?x=1&r=.a#f", &[]), Some("a#f"));
        assert_eq!(found("/;r=a", &["R=.b"]), None, "a value without a route decides, too");
        assert_eq!(found("/;r=", &["R=.b"]), Some("b"));
        assert_eq!(found("/;r=&x=1.a", &["R=.b"]), Some("a"), "delimiters before a value go");
        assert_eq!(found("/?bar=.a", &[]), Some("a"), "the end of a longer name");
    }

    #[test]
    fn a_cookie_begins_after_a_separator_and_ends_at_one() {
        assert_eq!(found("/", &["xR=.a; R=.b"]), Some("b"));
        assert_eq!(found("/", &["x=1,R\t=.b,c"]), Some("b"));
        assert_eq!(found("/", &["x=1", "R=.b"]), Some("b"), "in the second field");
        assert_eq!(found("/", &["R", "R="]), None);
        assert_eq!(found("/", &["R=\".b\""]), Some("b\""), "quotes stay");
        assert_eq!(found("/", &["R=x."]), None, "an empty route");
    }

    #[test]
    fn without_a_name_nothing_is_found() {
        assert_eq!(route("/=.a", [&b"=.a"[..]], ""), None);
        assert_eq!(route("", [&b""[..]], "long|longer"), None);
    }
}
