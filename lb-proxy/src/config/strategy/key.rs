//! `key`: what a strategy picks by.

use http::HeaderName;

use crate::{
    KeyRule,
    config::{
        diagnostic::Diagnostic,
        reader::{Text, Value, did_you_mean},
        sticky::cookie_problem,
    },
};

const RULES: &str = "keys: `client-ip`, `uri`, `path`, `header:NAME`, `cookie:NAME`, \
                     `query:NAME`, or a list of them";

/// Reads a rule, or several with commas between.
///
/// # Errors
///
/// What is wrong, as sentences.
pub fn read_key_rule(text: &str) -> Result<KeyRule, String> {
    let parts = text.split(',').map(|part| {
        let part = part.trim();
        parse(part).map_err(|(problem, help)| format!("`{part}` {problem}; {help}"))
    });
    Ok(joined(parts.collect::<Result<_, _>>()?))
}

/// Reads `key = "…"` or `key = ["…", …]`.
pub(super) fn read_key(value: &Value<'_>) -> Option<KeyRule> {
    let is_list = value.is_list();
    let texts: Vec<_> = value.clone().one_or_more().into_iter().map(Value::text).collect();
    if is_list && texts.is_empty() {
        value.report(value.error("must not be empty", "by what?").help(RULES));
    }
    let rules: Vec<_> = texts.iter().map(|text| read_rule(text.as_ref()?)).collect();
    let rules: Vec<KeyRule> = rules.into_iter().collect::<Option<_>>()?;
    let again = rules.iter().enumerate().find(|(at, rule)| rules[..*at].contains(rule));
    if let Some((at, rule)) = again
        && let Some(text) = &texts[at]
    {
        text.report(
            Diagnostic::error(format!("`{rule}` is given twice"))
                .at(text.span(), "the second time")
                .key(text.path()),
        );
        return None;
    }
    (!rules.is_empty()).then(|| joined(rules))
}

fn joined(mut rules: Vec<KeyRule>) -> KeyRule {
    match rules.len() {
        1 => rules.remove(0),
        _ => KeyRule::Composed(rules.into()),
    }
}

fn read_rule(text: &Text<'_>) -> Option<KeyRule> {
    let rule = parse(text.as_str());
    if let Err((problem, help)) = &rule {
        let message = format!("`{}` {problem}", text.as_str());
        text.report(text.error(message, "nothing to pick by").help(help.clone()));
    }
    rule.ok()
}

/// One rule, or what is wrong with the text and what to write.
fn parse(text: &str) -> Result<KeyRule, (String, String)> {
    let (kind, name) = match text.split_once(':') {
        Some((kind, name)) => (kind, Some(name)),
        None => (text, None),
    };
    let whole = |rule| match name {
        None => Ok(rule),
        Some(_) => Err((format!("has a name, and `{kind}` has none"), format!("write `{kind}`"))),
    };
    match kind {
        "client-ip" => whole(KeyRule::ClientIp),
        "uri" => whole(KeyRule::Uri),
        "path" => whole(KeyRule::Path),
        "header" | "cookie" | "query" => {
            let name = name.unwrap_or_default();
            let rule = named(kind, name);
            rule.map_err(|problem| (problem, format!("write `{kind}:NAME`")))
        }
        _ => Err(("is not a key".to_owned(), suggestion(text, kind))),
    }
}

fn named(kind: &str, name: &str) -> Result<KeyRule, String> {
    let what = if kind == "query" { "parameter" } else { kind };
    let odd = |problem: String| format!("has no name of a {what}: {problem}");
    match kind {
        _ if name.is_empty() => Err(format!("does not say which {what}")),
        "header" => {
            let name = name.parse::<HeaderName>();
            name.map(KeyRule::Header).map_err(|error| odd(error.to_string()))
        }
        "cookie" => match cookie_problem(name) {
            None => Ok(KeyRule::Cookie(name.into())),
            Some(problem) => Err(odd(problem)),
        },
        // Queries are not decoded, so what cannot stand in one is never found.
        _ => match name.chars().find(|c| !('!'..='~').contains(c) || "&=#\"<>".contains(*c)) {
            None => Ok(KeyRule::Query(name.into())),
            Some(c) => Err(odd(format!("`{}` cannot stand in it", c.escape_debug()))),
        },
    }
}

/// What somebody means who knows the words of another balancer.
fn suggestion(text: &str, kind: &str) -> String {
    const WORDS: [(&[&str], &str); 3] = [
        (&["$remote_addr", "$binary_remote_addr", "source", "src", "ip", "client_ip"], "client-ip"),
        (&["$request_uri", "url"], "uri"),
        (&["$uri", "$document_uri"], "path"),
    ];
    const NAMED: [(&str, &str, &str); 6] = [
        ("$http_", "", "header"),
        ("$cookie_", "", "cookie"),
        ("$arg_", "", "query"),
        ("hdr(", ")", "header"),
        ("url_param ", "", "query"),
        ("url_param(", ")", "query"),
    ];
    if let Some((_, ours)) = WORDS.iter().find(|(words, _)| words.contains(&text)) {
        return format!("write `{ours}`");
    }
    let name = |(before, after, ours): &(&str, &str, &'static str)| {
        let name = text.strip_prefix(*before)?.strip_suffix(*after)?;
        let name = if *before == "$http_" { name.replace('_', "-") } else { name.to_owned() };
        Some(format!("write `{ours}:{name}`"))
    };
    if let Some(help) = NAMED.iter().find_map(name) {
        return help;
    }
    let known = ["client-ip", "uri", "path", "header", "cookie", "query"];
    match did_you_mean(kind, known) {
        Some(near) => format!("{RULES}; did you mean `{near}`?"),
        None => RULES.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written_alike() {
        for text in
            ["client-ip", "uri", "path", "header:x-user", "cookie:A", "query:id", "uri,path"]
        {
            assert_eq!(read_key_rule(text).expect(text).to_string(), text);
        }
        assert_eq!(read_key_rule(" uri , header:X-User").unwrap().to_string(), "uri,header:x-user");
    }

    #[test]
    fn words_of_other_balancers_are_known() {
        for (text, help) in [
            ("$remote_addr", "write `client-ip`"),
            ("$http_x_user", "write `header:x-user`"),
            ("hdr(host)", "write `header:host`"),
            ("url_param id", "write `query:id`"),
            ("headr:x", "did you mean `header`?"),
            ("uri:x", "write `uri`"),
            ("header", "does not say which header; write `header:NAME`"),
            ("header:a b", "has no name of a header"),
            ("cookie:a;b", "`;` cannot stand in the name of a cookie"),
            ("query:a&b", "`&` cannot stand in it"),
            ("", "is not a key"),
        ] {
            let found = read_key_rule(text).expect_err(text);
            assert!(found.contains(help), "{text}: {found}");
        }
    }
}
