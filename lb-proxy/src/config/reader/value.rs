//! One value of the file, which converts itself or says why it cannot.

use std::{ops::Range, time::Duration};

use toml::{Spanned, de::DeValue};

use super::{
    Text, code_list, did_you_mean,
    size::{parse_size, shown_size},
    table::Table,
};
use crate::{
    config::{diagnostic::Diagnostic, diagnostics::Diagnostics, keys::Shape},
    duration::parse_duration,
};

const DURATIONS: &str = "write it like `\"1s\"`, `\"500ms\"` or `\"2m\"`";
const SHARES: &str = "write it like `\"20%\"`";
const SIZES: &str = "write it like `\"64KiB\"`";

/// A value with its full name and its place in the file.
///
/// Every conversion reports its own failure and answers `None`; the reader goes on.
#[derive(Debug, Clone)]
pub(crate) struct Value<'a> {
    path: String,
    key_span: Range<usize>,
    item: &'a Spanned<DeValue<'a>>,
    /// Where the file begins in the text of all files.
    base: usize,
    /// What it may be, if its key is known.
    shape: Option<Shape>,
    out: &'a Diagnostics,
}

impl<'a> Value<'a> {
    pub(super) fn new(
        path: String,
        key_span: Range<usize>,
        item: &'a Spanned<DeValue<'a>>,
        base: usize,
        shape: Option<Shape>,
        out: &'a Diagnostics,
    ) -> Self {
        Self { path, key_span, item, base, shape, out }
    }

    /// A string.
    pub(crate) fn text(self) -> Option<Text<'a>> {
        let DeValue::String(text) = self.item.get_ref() else {
            self.wrong_type("a string", None);
            return None;
        };
        let span = self.span();
        Some(Text::new(self.path, text, span, self.out))
    }

    /// A list, whose elements are named `key[0]`, `key[1]`, …
    pub(crate) fn list(self, hint: Option<&str>) -> Option<Vec<Self>> {
        let DeValue::Array(items) = self.item.get_ref() else {
            self.wrong_type("a list", hint);
            return None;
        };
        Some(self.items(items))
    }

    fn items(&self, items: &'a [Spanned<DeValue<'a>>]) -> Vec<Self> {
        let shape = self.shape.and_then(Shape::of_items);
        let value = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{index}]", self.path);
            let span = self.base + item.span().start..self.base + item.span().end;
            Self::new(path, span, item, self.base, shape, self.out)
        };
        items.iter().enumerate().map(value).collect()
    }

    /// The values of a list, or the value itself where it is none.
    pub(crate) fn one_or_more(self) -> Vec<Self> {
        match self.item.get_ref() {
            DeValue::Array(items) => self.items(items),
            _ => vec![self],
        }
    }

    /// A table.
    pub(crate) fn into_table(self) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.item.get_ref() else {
            let hint = self.item.get_ref().as_str().and_then(|text| self.meant_by(text));
            self.wrong_type("a table", hint.as_deref());
            return None;
        };
        let section = self.shape.and_then(Shape::table)?;
        Some(Table::new(self.path, self.key_span, entries, self.base, section, self.out))
    }

    /// The table that somebody meant who wrote a string.
    fn meant_by(&self, text: &str) -> Option<String> {
        let key = self.shape.and_then(Shape::table)?.stands_for?;
        let name = self.path.rsplit('.').next()?;
        Some(format!("write `{name} = {{ {key} = {text:?} }}`"))
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
        self.items(items).into_iter().filter_map(Self::into_table).collect()
    }

    /// What the parser made of it.
    pub(super) fn item(&self) -> &'a DeValue<'a> {
        self.item.get_ref()
    }

    /// Whether this is a string rather than something with more in it.
    pub(crate) fn is_text(&self) -> bool {
        self.item.get_ref().is_str()
    }

    /// Whether this switches off what would be inherited.
    pub(crate) fn is_off(&self) -> bool {
        self.item.get_ref().as_str() == Some("off")
    }

    /// Whether this is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.item.get_ref().is_table()
    }

    /// Whether this is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.item.get_ref().is_array()
    }

    /// True or false, for callers to whom anything else may mean something too.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        self.item.get_ref().as_bool()
    }

    /// Whether this is a number without a fraction.
    pub(crate) fn is_integer(&self) -> bool {
        self.item.get_ref().is_integer()
    }

    /// True or false.
    pub(crate) fn boolean(self) -> Option<bool> {
        let value = self.item.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type("true or false", None);
        }
        value
    }

    /// One of the words of its description.
    pub(crate) fn word(self) -> Option<&'static str> {
        let words = self.shape.and_then(Shape::words)?;
        let text = self.text()?;
        let word = words.iter().copied().find(|word| *word == text.as_str());
        if word.is_none() {
            let error = text.error(
                format!("`{}` cannot be `{}`", text.path(), text.as_str()),
                "not one of the words known here",
            );
            let list = format!("known: {}", code_list(words.iter().copied()));
            text.report(error.help(match did_you_mean(text.as_str(), words.iter().copied()) {
                Some(near) => format!("{list}; did you mean `{near}`?"),
                None => list,
            }));
        }
        word
    }

    /// A share in percent: `"20%"`, 0 to 100.
    pub(crate) fn share(self) -> Option<f64> {
        let DeValue::String(text) = self.item.get_ref() else {
            match self.item.get_ref() {
                DeValue::Integer(_) | DeValue::Float(_) => self.needs_unit(SHARES),
                _ => self.wrong_type("a share", Some(SHARES)),
            }
            return None;
        };
        let number = text.trim().strip_suffix('%').map(str::trim_end);
        let plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match number.filter(plain).map(str::parse::<f64>) {
            Some(Ok(share)) if share <= 100.0 => Some(share),
            Some(Ok(_)) => {
                self.wrong("must be 0% to 100%", "out of range");
                None
            }
            _ => {
                self.out.push(
                    self.error("is not a share", "not a number with `%` behind it").help(SHARES),
                );
                None
            }
        }
    }

    /// A share of whole percents.
    pub(crate) fn percent(self) -> Option<u8> {
        let value = self.clone();
        let share = self.share()?;
        if share.fract() > 0.0 {
            value.wrong("must be a whole number of percents", "has a fraction");
            return None;
        }
        (0..=100).find(|percent| share <= f64::from(*percent))
    }

    /// A number, with a fraction or without, within the limits of its description.
    pub(crate) fn number(self) -> Option<f64> {
        let (from, to) = self.shape.and_then(Shape::numbers)?;
        let number = match self.item.get_ref() {
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => {
                self.wrong_type("a number", None);
                return None;
            }
        };
        let within = number.filter(|number| (from..=to).contains(number));
        if within.is_none() {
            self.wrong(&format!("must be {from:?} to {to:?}"), "out of range");
        }
        within
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
                    self.told(
                        Diagnostic::error(format!("`{}` is not a duration", self.path)),
                        text,
                    )
                    .at(self.span(), reason)
                    .key(&self.path)
                    .help(
                        "units: `d`, `h`, `m`, `s`, `ms`, `us`, as in `\"500ms\"` or `\"1m30s\"`",
                    ),
                );
                None
            }
        }
    }

    /// With what variables have made of it.
    fn told(&self, found: Diagnostic, text: &str) -> Diagnostic {
        match self.out.written(&self.span()).contains("${") {
            true => found.help(format!("it says `{text}`")),
            false => found,
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
                    self.told(Diagnostic::error(format!("`{}` is not a size", self.path)), text)
                        .at(self.span(), reason)
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

    /// A whole number within the limits of its description.
    pub(crate) fn integer(self) -> Option<u64> {
        let (from, to) = self.shape.and_then(Shape::integers)?;
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
        Diagnostic::error(format!("`{}` {rule}", self.path)).at(self.span(), label).key(&self.path)
    }

    /// Something suspicious about the value.
    pub(crate) fn warning(&self, message: impl Into<String>, label: &str) -> Diagnostic {
        Diagnostic::warning(message).at(self.span(), label).key(&self.path)
    }

    /// Reports a finding.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.out.push(diagnostic);
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
        self.base + self.item.span().start..self.base + self.item.span().end
    }

    /// Where the key that names it stands.
    pub(crate) fn key_span(&self) -> Range<usize> {
        self.key_span.clone()
    }
}
