//! Variables in strings: `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$`.
//!
//! Expanded after parsing, string by string: a value can never close a quote and
//! add keys of its own. A dollar sign that begins none of these forms stands for
//! itself, so that expressions need no escapes.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::Diagnostic,
    loader::{Loader, NotText},
};

/// Why a text could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unexpanded {
    /// The whole `${…}`.
    form: String,
    message: String,
    label: &'static str,
    help: Option<String>,
}

/// The text with values in place of variables. A variable that is set but empty
/// counts as unset where a form says what to do then.
pub(super) fn expand(text: &str, loader: &dyn Loader) -> Result<String, Unexpanded> {
    expand_nested(text, 0, loader)
}

/// A default may have variables again.
const DEEPEST: usize = 8;

fn expand_nested(text: &str, depth: usize, loader: &dyn Loader) -> Result<String, Unexpanded> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        expanded.push_str(before);
        rest = if let Some(after) = after.strip_prefix("$$") {
            expanded.push('$');
            after
        } else if let Some(inner) = after.strip_prefix("${") {
            let Some(end) = end_of(inner) else {
                return Err(Unexpanded {
                    form: after.to_owned(),
                    message: "a variable is not closed".to_owned(),
                    label: "a `}` is missing",
                    help: Some("a dollar sign before a `{` is written `$$`".to_owned()),
                });
            };
            expanded.push_str(&value_of(&inner[..end], &after[..end + 3], depth, loader)?);
            &inner[end + 1..]
        } else {
            expanded.push('$');
            &after[1..]
        };
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The first `${…}` of a text.
pub(super) fn first_form(text: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$') {
        let rest = &text[at + dollar..];
        if let Some(inner) = rest.strip_prefix("${") {
            return Some(end_of(inner).map_or(rest, |end| &rest[..end + 3]));
        }
        at += dollar + if rest.starts_with("$$") { 2 } else { 1 };
    }
    None
}

/// Where the form ends whose inside begins here.
fn end_of(inner: &str) -> Option<usize> {
    let (mut at, mut open) = (0, 0_usize);
    while let Some(next) = inner[at..].find(['$', '}']) {
        at += next;
        let rest = &inner[at..];
        if rest.starts_with('}') {
            let Some(fewer) = open.checked_sub(1) else { return Some(at) };
            open = fewer;
            at += 1;
        } else if rest.starts_with("$$") {
            at += 2;
        } else if rest.starts_with("${") {
            open += 1;
            at += 2;
        } else {
            at += 1;
        }
    }
    None
}

fn value_of(
    inner: &str,
    form: &str,
    depth: usize,
    loader: &dyn Loader,
) -> Result<String, Unexpanded> {
    let failed =
        |message: String, label, help| Unexpanded { form: form.to_owned(), message, label, help };
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(failed(
            format!("`{form}` names no variable"),
            "not the name of a variable",
            Some("write `${NAME}`; a dollar sign itself is written `$$`".to_owned()),
        ));
    }
    let value = loader.variable(name).map_err(|NotText| {
        failed(format!("the variable `{name}` is not text in UTF-8"), "used here", None)
    })?;
    let given = value.clone().filter(|value| !value.is_empty());
    if rest.is_empty() {
        return value.ok_or_else(|| {
            failed(
                format!("the variable `{name}` is not set"),
                "needed here",
                Some(format!("set it, or give a default: `${{{name}:-…}}`")),
            )
        });
    }
    if let Some(default) = rest.strip_prefix(":-") {
        return match given {
            Some(given) => Ok(given),
            None if depth < DEEPEST => expand_nested(default, depth + 1, loader),
            None => Err(failed(
                "variables are nested too deeply".to_owned(),
                "a default within a default",
                Some(format!("at most {DEEPEST} levels are taken")),
            )),
        };
    }
    if let Some(message) = rest.strip_prefix(":?") {
        let state = if value.is_some() { "empty" } else { "not set" };
        return given.ok_or_else(|| {
            let message = Some(message.to_owned()).filter(|message| !message.is_empty());
            failed(format!("the variable `{name}` is {state}"), "needed here", message)
        });
    }
    Err(failed(
        format!("`{form}` is not understood"),
        "neither `:-` nor `:?` follows the name",
        Some(format!("write `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`")),
    ))
}

/// A string that could not be expanded, and so means nothing.
#[derive(Debug)]
pub(super) struct Hole {
    /// The whole string, in the text of all files.
    pub(super) span: Range<usize>,
    pub(super) found: Diagnostic,
}

/// Expands every string of a document.
pub(super) fn expand_document(
    document: &mut DeTable<'_>,
    text: &str,
    base: usize,
    loader: &dyn Loader,
) -> Vec<Hole> {
    let mut holes = Vec::new();
    for (key, value) in document.iter_mut() {
        expand_value(value, key.get_ref(), &mut |value, key| {
            let DeValue::String(string) = value.get_ref() else { return };
            match expand(string, loader) {
                Ok(expanded) => *value.get_mut() = DeValue::String(expanded.into()),
                Err(reason) => {
                    let span = value.span();
                    holes.push(hole(reason, key, &span, text, base));
                    *value.get_mut() = DeValue::String("".into());
                }
            }
        });
    }
    holes
}

fn expand_value<'i>(
    value: &mut Spanned<DeValue<'i>>,
    key: &str,
    expand: &mut impl FnMut(&mut Spanned<DeValue<'i>>, &str),
) {
    match value.get_mut() {
        DeValue::String(string) if string.contains('$') => expand(value, key),
        DeValue::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_value(item, &format!("{key}[{index}]"), expand);
            }
        }
        DeValue::Table(entries) => {
            for (name, value) in entries.iter_mut() {
                expand_value(value, &format!("{key}.{}", name.get_ref()), expand);
            }
        }
        _ => {}
    }
}

fn hole(reason: Unexpanded, key: &str, span: &Range<usize>, text: &str, base: usize) -> Hole {
    // The form stands in the file as it is, unless an escape was used in it.
    let written = text.get(span.clone()).unwrap_or_default();
    let form = match written.find(&reason.form) {
        Some(at) => span.start + at..span.start + at + reason.form.len(),
        None => span.clone(),
    };
    let found = Diagnostic::error(reason.message)
        .at(base + form.start..base + form.end, reason.label)
        .key(key);
    let found = match reason.help {
        Some(help) => found.help(help),
        None => found,
    };
    Hole { span: base + span.start..base + span.end, found }
}

#[cfg(test)]
mod tests {
    use std::ops::Add as _;

    use super::*;
    use crate::config::Pretended;

    fn expanded(text: &str) -> Result<String, String> {
        let variables = [("A", "one"), ("EMPTY", ""), ("TRICKY", "\"\nx = ${A}")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let world = Pretended { variables: variables.into(), ..Pretended::default() };
        expand(text, &world).map_err(|reason| reason.message)
    }

    #[test]
    fn every_form_means_what_it_means_in_a_shell() {
        for (text, meant) in [
            ("plain", "plain"),
            ("${A}", "one"),
            ("<${A}|${A}>", "<one|one>"),
            ("${EMPTY}", ""),
            ("${EMPTY:-two}", "two"),
            ("${NONE:-two}", "two"),
            ("${NONE:-}", ""),
            ("${A:-two}", "one"),
            ("${A:?why}", "one"),
            ("${NONE:-${A}}", "one"),
            ("${NONE:-${NO:-z}}y", "zy"),
            ("${A:-${NONE}}", "one"),
            ("${NONE:-<${NO:-${A}}>}${A}", "<one>one"),
            ("${NONE:-$${}", "${"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("^/a$", "^/a$"),
            ("$x $", "$x $"),
            ("${TRICKY}", "\"\nx = ${A}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_not_understood_is_named() {
        for (text, reason) in [
            ("${NONE}", "`NONE` is not set"),
            ("${NONE:?why}", "`NONE` is not set"),
            ("${EMPTY:?why}", "`EMPTY` is empty"),
            ("${A", "not closed"),
            ("${NONE:-${A}", "not closed"),
            ("${NONE:-${NO}}", "`NO` is not set"),
            (&"${NO:-".repeat(20).add(&"}".repeat(20)), "nested too deeply"),
            ("${}", "names no variable"),
            ("${1A}", "names no variable"),
            ("${A-x}", "not understood"),
        ] {
            let error = expanded(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
