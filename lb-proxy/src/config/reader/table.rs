//! A table of the file that remembers which keys it was asked for.

use std::{ops::Range, time::Duration};

use toml::{Spanned, de::DeTable};

use super::{code_list, text::Text, value::Value, which_key};
use crate::config::{diagnostic::Diagnostic, diagnostics::Diagnostics};

/// One table. Take what is known, then [`finish`](Self::finish): what is left is unknown.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    /// Full name; empty for the file itself.
    path: String,
    /// What to underline when the table as a whole is meant: the key that names it.
    span: Range<usize>,
    entries: &'a DeTable<'a>,
    asked: Vec<&'static str>,
    elsewhere: Vec<(&'static [&'static str], &'static str)>,
    out: &'a Diagnostics,
}

impl<'a> Table<'a> {
    /// The file itself.
    pub(crate) fn root(table: &'a Spanned<DeTable<'a>>, out: &'a Diagnostics) -> Self {
        Self::new(String::new(), 0..0, table.get_ref(), out)
    }

    pub(super) fn new(
        path: String,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
        out: &'a Diagnostics,
    ) -> Self {
        Self { path, span, entries, asked: Vec::new(), elsewhere: Vec::new(), out }
    }

    /// The value of `key`, if the file has it.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        let (name, item) = self.entries.get_key_value(key)?;
        Some(Value::new(self.path_of(key), name.span(), item, self.out))
    }

    /// A table under `key`.
    pub(crate) fn take_table(&mut self, key: &'static str) -> Option<Self> {
        self.take(key)?.into_table()
    }

    /// A string under `key`.
    pub(crate) fn take_str(&mut self, key: &'static str) -> Option<Text<'a>> {
        self.take(key)?.text()
    }

    /// A duration longer than zero under `key`.
    pub(crate) fn take_duration(&mut self, key: &'static str) -> Option<Duration> {
        self.take(key)?.duration(Duration::from_nanos(1))
    }

    /// A duration, or zero, under `key`.
    pub(crate) fn take_duration_or_zero(&mut self, key: &'static str) -> Option<Duration> {
        self.take(key)?.duration(Duration::ZERO)
    }

    /// A size of `from` to `to` bytes under `key`.
    pub(crate) fn take_size(&mut self, key: &'static str, from: u64, to: u64) -> Option<usize> {
        self.take(key)?.size(from, to)
    }

    /// A whole number of `from` to `to` under `key`.
    pub(crate) fn take_integer(&mut self, key: &'static str, from: u64, to: u64) -> Option<u64> {
        self.take(key)?.integer(from, to)
    }

    /// Keys that are known, but in another table; `where_it_goes` ends a sentence
    /// that begins with the key.
    pub(crate) fn belong_elsewhere(
        &mut self,
        keys: &'static [&'static str],
        where_it_goes: &'static str,
    ) {
        self.elsewhere.push((keys, where_it_goes));
    }

    /// Every entry, whatever its key, in the order of the file.
    pub(crate) fn entries(self) -> Vec<(Text<'a>, Value<'a>)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .map(|(name, item)| {
                let path = self.path_of(name.get_ref());
                let text = Text::new(path.clone(), name.get_ref(), name.span(), self.out);
                (text, Value::new(path, name.span(), item, self.out))
            })
            .collect();
        all.sort_by_key(|(name, _)| name.span().start);
        all
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        for (name, _) in self.entries {
            let key = name.get_ref();
            if self.asked.iter().any(|asked| asked == key) {
                continue;
            }
            let place = if self.path.is_empty() {
                "not a setting of the file's top level".to_owned()
            } else {
                format!("not a setting of `{}`", self.path)
            };
            let unknown = Diagnostic::error(format!("unknown key `{key}`"))
                .at(name.span(), place)
                .key(self.path_of(key));
            let elsewhere = self.elsewhere.iter().find(|(keys, _)| keys.contains(&&**key));
            let free =
                self.asked.iter().copied().filter(|asked| !self.entries.contains_key(*asked));
            // A key the table already has is the second-best guess: it would be a duplicate.
            let meant = which_key(key, &free);
            if let Some((word, _)) = &meant {
                // It is not missing, it is misspelt.
                let missing = self.path_of(word);
                self.out.retain(|found| {
                    !(found.is_about_absence() && found.key_path() == Some(&*missing))
                });
            }
            let help = elsewhere
                .map(|(_, where_it_goes)| format!("`{key}` {where_it_goes}"))
                .or_else(|| meant.map(|(_, sentence)| sentence))
                .or_else(|| Some(which_key(key, &self.asked.iter().copied())?.1))
                .unwrap_or_else(|| {
                    format!("known keys here: {}", code_list(self.asked.iter().copied()))
                });
            self.out.push(unknown.help(help));
        }
    }

    /// "TABLE has no `key`", with the table's name underlined.
    pub(crate) fn missing(&self, key: &'static str, label: impl Into<String>) -> Diagnostic {
        Diagnostic::error(format!("`{}` has no `{key}`", self.path))
            .at(self.span(), label)
            .key(self.path_of(key))
            .absence()
    }

    /// Where to point when the whole table is meant.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The table's full name.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
