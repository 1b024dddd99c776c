//! One value of the file, which converts itself or says why it cannot.

use std::ops::Range;

use toml::{Spanned, de::DeValue};

use super::{Text, code_list, did_you_mean, table::Table};
use crate::config::{diagnostic::Diagnostic, diagnostics::Diagnostics, keys::Shape};

/// A value with its full name and its place in the file.
///
/// Every conversion reports its own failure and answers `None`; the reader goes on.
#[derive(Debug, Clone)]
pub(crate) struct Value<'a> {
    pub(super) path: String,
    key_span: Range<usize>,
    pub(super) item: &'a Spanned<DeValue<'a>>,
    /// Where the file begins in the text of all files.
    base: usize,
    /// What it may be, if its key is known.
    pub(super) shape: Option<Shape>,
    pub(super) out: &'a Diagnostics,
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

    /// What it may be, as far as that is described.
    pub(super) fn shape(&self) -> Option<Shape> {
        self.shape
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

    pub(super) fn wrong_type(&self, wanted: &str, hint: Option<&str>) {
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

    pub(super) fn needs_unit(&self, help: &str) {
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
