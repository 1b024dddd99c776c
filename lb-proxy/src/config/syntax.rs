//! What is not TOML at all.
//!
//! The parser goes on behind a mistake, which is good for a second mistake of the
//! same kind and bad for everything else: behind a bracket that was never closed,
//! keys belong to the wrong table. So the first mistake that the parser could not
//! get over is the last one reported, and of the other findings only those are
//! kept that stand before all of them and do not say that something is missing.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use super::{diagnostic::Diagnostic, diagnostics::Diagnostics, files::File};

/// Adds the mistakes of a document to what was found in it.
pub(super) fn report_syntax(
    File { text, base, .. }: &File,
    document: &DeTable<'_>,
    mistakes: &[Error],
    out: &Diagnostics,
) {
    let own = *base..*base + text.len() + 1;
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    let (twice, mut broken): (Vec<&Error>, Vec<&Error>) =
        mistakes.iter().partition(|error| error.message() == "duplicate key");
    broken.sort_by_key(|error| start(error));
    let first = broken.first().map_or(usize::MAX, |error| start(error));
    if let Some(before) = text.get(..first) {
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        out.retain(|found| {
            !found.is_about_absence()
                && found.place().is_some_and(|(span, _)| {
                    !own.contains(&span.start)
                        || span.start < base + line && span.end <= base.saturating_add(first)
                })
        });
    }
    for error in twice.into_iter().filter(|error| start(error) < first) {
        out.push(given_twice(text, document, error.span().unwrap_or(0..0), *base));
    }
    for error in broken {
        let span = error.span().unwrap_or(0..0);
        let found = Diagnostic::error("this is not TOML")
            .at(base + span.start..base + span.end, error.message());
        if let Some(key) = key_with_colon(text, start(error)) {
            out.push(found.help(format!("a value follows `=`: write `{key} = …`")));
            break;
        }
        if !is_in_a_value(error) {
            out.push(found);
            break;
        }
        out.push(match unquoted(text, span) {
            Some(word) => found.help(format!("text stands in quotes: `\"{word}\"`")),
            None => found,
        });
    }
}

/// Whether the parser knows where the mistake ends: at the end of a value.
fn is_in_a_value(error: &Error) -> bool {
    let message = error.message();
    message.starts_with("invalid ") || message.starts_with("string values must be quoted")
}

/// The key of a line that is written as in YAML or JSON.
fn key_with_colon(text: &str, at: usize) -> Option<&str> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, _) = text[start..].lines().next()?.split_once(':')?;
    let key = key.trim().trim_matches('"');
    let is_key = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (!key.is_empty() && key.chars().all(is_key)).then_some(key)
}

/// The word around a mistake, if it looks like a text without its quotes.
fn unquoted(text: &str, span: Range<usize>) -> Option<&str> {
    // All of them one byte long.
    let around = |c: char| c.is_ascii_whitespace() || ",=[]{}#".contains(c);
    let (before, after) = (text.get(..span.start)?, text.get(span.start..)?);
    let start = before.rfind(around).map_or(0, |at| at + 1);
    let end = span.start + after.find(around).unwrap_or(after.len());
    let word = &text[start..end];
    let is_text = word.contains([':', '/'])
        || word.matches('.').count() > 1
        || word.contains(|c: char| c.is_alphabetic());
    (is_text && !word.contains(['"', '\''])).then_some(word)
}

fn given_twice(text: &str, document: &DeTable<'_>, span: Range<usize>, base: usize) -> Diagnostic {
    let name = text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
    let found = Diagnostic::error(format!("`{name}` is given twice"))
        .at(base + span.start..base + span.end, "the second time")
        .key(name);
    match first_place(text, document, name, span.start) {
        Some(first) => found.related(base + first.start..base + first.end, "the first time"),
        None => found,
    }
}

/// The last key of this name before `end` that is not inside of a `{ … }` closed
/// before it: the document says where its keys stand, not which one was repeated.
fn first_place(text: &str, table: &DeTable<'_>, name: &str, end: usize) -> Option<Range<usize>> {
    let places = table.iter().flat_map(|(key, value)| {
        let own = (key.get_ref() == name && key.span().start < end).then(|| key.span());
        [own, first_within(text, value, name, end)]
    });
    places.flatten().max_by_key(|place| place.start)
}

fn first_within(
    text: &str,
    value: &Spanned<DeValue<'_>>,
    name: &str,
    end: usize,
) -> Option<Range<usize>> {
    let span = value.span();
    match value.get_ref() {
        DeValue::Table(_) if text[span.clone()].starts_with('{') && span.end <= end => None,
        DeValue::Table(table) => first_place(text, table, name, end),
        DeValue::Array(items) => items
            .iter()
            .filter_map(|item| first_within(text, item, name, end))
            .max_by_key(|place| place.start),
        _ => None,
    }
}
