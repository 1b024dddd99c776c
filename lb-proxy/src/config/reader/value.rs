//! One value of the file, which converts itself or says why it cannot.

use std::{ops::Range, time::Duration};

use toml::{Spanned, de::DeValue};

use super::{
    Text,
    size::{parse_size, shown_size},
    table::Table,
};
use crate::{
    config::{diagnostic::Diagnostic, diagnostics::Diagnostics},
    duration::parse_duration,
};

const DURATIONS: &str = "write it like `\"1s\"`, `\"500ms\"` or `\"2m\"`";
const SIZES: &str = "write it like `\"64KiB\"`";

/// A value with its full name and its place in the file.
///
/// Every conversion reports its own failure and answers `None`; the reader goes on.
#[derive(Debug, Clone)]
pub(crate) struct Value<'a> {
    path: String,
    key_span: Range<usize>,
    item: &'a Spanned<DeValue<'a>>,
    out: &'a Diagnostics,
}

impl<'a> Value<'a> {
    pub(super) fn new(
        path: String,
        key_span: Range<usize>,
        item: &'a Spanned<DeValue<'a>>,
        out: &'a Diagnostics,
    ) -> Self {
        Self { path, key_span, item, out }
    }

    /// A string.
    pub(crate) fn text(self) -> Option<Text<'a>> {
        let DeValue::String(text) = self.item.get_ref() else {
            self.wrong_type("a string", None);
            return None;
        };
        Some(Text::new(self.path, text, self.item.span(), self.out))
    }

    /// A list, whose elements are named `key[0]`, `key[1]`, …
    pub(crate) fn list(self, hint: Option<&str>) -> Option<Vec<Self>> {
        let DeValue::Array(items) = self.item.get_ref() else {
            self.wrong_type("a list", hint);
            return None;
        };
        Some(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    Self::new(format!("{}[{index}]", self.path), item.span(), item, self.out)
                })
                .collect(),
        )
    }

    /// A table.
    pub(crate) fn into_table(self) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.item.get_ref() else {
            self.wrong_type("a table", None);
            return None;
        };
        Some(Table::new(self.path, self.key_span, entries, self.out))
    }

    /// A list of tables, written `[[key]]`.
    pub(crate) fn into_tables(self) -> Vec<Table<'a>> {
        let DeValue::Array(items) = self.item.get_ref() else {
            let name = self.path.clone();
            self.wrong_type(
                "a list of tables",
                Some(&format!("write `[[{name}]]`, with two brackets")),
            );
            return Vec::new();
        };
        if items.is_empty() {
            let name = &self.path;
            self.out.push(
                self.error("must not be empty", "an empty list")
                    .help(format!("write `[[{name}]]` for each, or leave `{name}` out")),
            );
        }
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let path = format!("{}[{index}]", self.path);
                Self::new(path, item.span(), item, self.out).into_table()
            })
            .collect()
    }

    /// Whether this is a string rather than something with more in it.
    pub(crate) fn is_text(&self) -> bool {
        self.item.get_ref().is_str()
    }

    /// Whether this is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.item.get_ref().is_table()
    }

    /// A duration of at least `from`.
    pub(crate) fn duration(self, from: Duration) -> Option<Duration> {
        let text = match self.item.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let (seconds, millis) = (format!("{number}s"), format!("{number}ms"));
                // Only what would be taken is suggested.
                let would_do = parse_duration(&seconds).is_ok_and(|duration| duration >= from);
                self.needs_unit(&match would_do {
                    true => format!("write `\"{seconds}\"` or `\"{millis}\"`"),
                    false => DURATIONS.to_owned(),
                });
                return None;
            }
            DeValue::Float(_) => {
                self.needs_unit(DURATIONS);
                return None;
            }
            _ => {
                self.wrong_type("a duration", Some(DURATIONS));
                return None;
            }
        };
        match parse_duration(text) {
            Ok(duration) if duration < from => {
                self.wrong("must be longer than zero", "ends before it begins");
                None
            }
            Ok(duration) => Some(duration),
            Err(reason) => {
                self.out.push(
                    Diagnostic::error(format!("`{}` is not a duration", self.path))
                        .at(self.item.span(), reason)
                        .key(&self.path)
                        .help("units: `d`, `h`, `m`, `s`, `ms`, `us`, as in `\"500ms\"` or `\"1m30s\"`"),
                );
                None
            }
        }
    }

    /// A size of `from` to `to` bytes.
    pub(crate) fn size(self, from: u64, to: u64) -> Option<usize> {
        let text = match self.item.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let bytes = number.as_str().parse().ok();
                let would_do = bytes.filter(|bytes| (from..=to).contains(bytes));
                self.needs_unit(&match would_do {
                    Some(bytes) => format!("if bytes are meant, write `\"{}\"`", shown_size(bytes)),
                    None => SIZES.to_owned(),
                });
                return None;
            }
            _ => {
                self.wrong_type("a size", Some(SIZES));
                return None;
            }
        };
        match parse_size(text) {
            Ok(bytes) if bytes < from || bytes > to => {
                let range = format!("must be {} to {}", shown_size(from), shown_size(to));
                self.wrong(&range, &format!("this is {}", shown_size(bytes)));
                None
            }
            Ok(bytes) => usize::try_from(bytes).ok(),
            Err(reason) => {
                self.out.push(
                    Diagnostic::error(format!("`{}` is not a size", self.path))
                        .at(self.item.span(), reason)
                        .key(&self.path)
                        .help(
                            "units: `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB`, `TB`, \
                             as in `\"64KiB\"`",
                        ),
                );
                None
            }
        }
    }

    /// A whole number of `from` to `to`.
    pub(crate) fn integer(self, from: u64, to: u64) -> Option<u64> {
        let number = self.any_integer()?;
        match u64::try_from(number) {
            Ok(number) if (from..=to).contains(&number) => Some(number),
            _ => {
                self.wrong(&format!("must be {from} to {to}"), "out of range");
                None
            }
        }
    }

    /// A whole number, for callers that have their own words for what is out of range.
    pub(crate) fn any_integer(&self) -> Option<i128> {
        match self.item.get_ref() {
            DeValue::Integer(number) => {
                // Wider than TOML's own i64, so that a huge number is still "out of range".
                Some(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
            }
            DeValue::String(text) if text.trim().parse::<i128>().is_ok() => {
                self.wrong_type("a whole number", Some("write it without quotes"));
                None
            }
            _ => {
                self.wrong_type("a whole number", None);
                None
            }
        }
    }

    /// Reports that the value as such is not acceptable.
    pub(crate) fn wrong(&self, rule: &str, label: &str) {
        self.out.push(self.error(rule, label));
    }

    /// "`key` must be …" with the value underlined, for callers that add help.
    pub(crate) fn error(&self, rule: &str, label: &str) -> Diagnostic {
        Diagnostic::error(format!("`{}` {rule}", self.path))
            .at(self.item.span(), label)
            .key(&self.path)
    }

    /// Something suspicious about the value.
    pub(crate) fn warning(&self, message: impl Into<String>, label: &str) -> Diagnostic {
        Diagnostic::warning(message).at(self.item.span(), label).key(&self.path)
    }

    fn wrong_type(&self, wanted: &str, hint: Option<&str>) {
        let found = match self.item.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let error = self.error(&format!("must be {wanted}"), &format!("this is {found}"));
        self.out.push(match hint {
            Some(hint) => error.help(hint),
            None => error,
        });
    }

    fn needs_unit(&self, help: &str) {
        self.out.push(self.error("needs a unit", "a bare number").help(help));
    }

    /// The full name of its key.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where the value stands.
    pub(crate) fn span(&self) -> Range<usize> {
        self.item.span()
    }

    /// Where the key that names it stands.
    pub(crate) fn key_span(&self) -> Range<usize> {
        self.key_span.clone()
    }
}
