//! A table of the file that remembers which keys it was asked for.

use std::{ops::Range, time::Duration};

use toml::de::DeTable;

use super::{code_list, text::Text, value::Value, which_key};
use crate::config::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    keys::{Key, Section},
};

/// One table. Take what its section describes, then [`finish`](Self::finish): what
/// the section does not describe is unknown.
///
/// A table has layers: a cluster stands over `[defaults]`, an included file beside
/// the one that includes it. A value comes from the first layer that has it.
#[derive(Debug, Clone)]
pub(crate) struct Table<'a> {
    /// At least one.
    layers: Vec<Layer<'a>>,
    /// Whether the layers are parts of one table, and a key belongs into one only.
    is_union: bool,
    asked: Vec<&'static str>,
    out: &'a Diagnostics,
}

#[derive(Debug, Clone)]
struct Layer<'a> {
    /// Full name; empty for a file itself.
    path: String,
    /// What to underline when the table as a whole is meant: the key that names it.
    span: Range<usize>,
    entries: &'a DeTable<'a>,
    /// Where the file begins in the text of all files.
    base: usize,
    section: &'static Section,
    /// Keys that a layer above excludes.
    hidden: Vec<&'static str>,
}

impl<'a> Layer<'a> {
    fn value(&self, key: &str, out: &'a Diagnostics) -> Option<Value<'a>> {
        if self.hidden.contains(&key) {
            return None;
        }
        let (name, item) = self.entries.get_key_value(key)?;
        let span = name.span();
        let span = self.base + span.start..self.base + span.end;
        let described = self.section.key(key).map(|key| key.shape);
        Some(Value::new(
            self.path_of(key),
            span,
            item,
            self.base,
            described.or(self.section.any_key),
            out,
        ))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'a> Table<'a> {
    /// The file itself, with all that it includes.
    pub(crate) fn root(
        files: impl Iterator<Item = (&'a DeTable<'a>, usize)>,
        section: &'static Section,
        out: &'a Diagnostics,
    ) -> Self {
        let layer = |(entries, base)| Layer {
            path: String::new(),
            span: base..base,
            entries,
            base,
            section,
            hidden: Vec::new(),
        };
        Self { layers: files.map(layer).collect(), is_union: true, asked: Vec::new(), out }
    }

    pub(super) fn new(
        path: String,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
        base: usize,
        section: &'static Section,
        out: &'a Diagnostics,
    ) -> Self {
        let layer = Layer { path, span, entries, base, section, hidden: Vec::new() };
        Self { layers: vec![layer], is_union: false, asked: Vec::new(), out }
    }

    /// This table where it says something, and elsewhere `outer`. A key that excludes
    /// others excludes those of `outer`.
    pub(crate) fn over(mut self, outer: Option<&Self>) -> Self {
        let hidden = self.excluded();
        let mut outer: Vec<_> = outer.into_iter().flat_map(|outer| outer.layers.clone()).collect();
        outer.iter_mut().for_each(|layer| layer.hidden.extend(&hidden));
        self.layers.extend(outer);
        self
    }

    /// The keys that others exclude which are given.
    pub(super) fn excluded(&self) -> Vec<&'static str> {
        let mut excluded: Vec<&'static str> = Vec::new();
        for layer in &self.layers {
            let says = |key: &str| {
                !layer.hidden.contains(&key)
                    && layer
                        .entries
                        .get(key)
                        .is_some_and(|value| value.get_ref().as_bool() != Some(false))
            };
            let saying = layer.section.exclusive.iter().filter(|(key, _)| says(key));
            excluded.extend(saying.flat_map(|(_, others)| *others));
        }
        excluded
    }

    /// Its description.
    pub(crate) fn section(&self) -> &'static Section {
        self.layers[0].section
    }

    /// The value of `key`, if there is one.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        let mut values = self.take_each(key).into_iter();
        let first = values.next()?;
        if self.is_union {
            for again in values {
                self.out.push(
                    Diagnostic::error(format!("`{key}` is given in two files"))
                        .at(again.key_span(), "the second time")
                        .related(first.key_span(), "the first time")
                        .key(key),
                );
            }
        }
        Some(first)
    }

    /// The values of `key` in all layers.
    pub(crate) fn take_each(&mut self, key: &'static str) -> Vec<Value<'a>> {
        debug_assert!(self.section().key(key).is_some(), "`{key}` is not described");
        self.asked.push(key);
        self.layers.iter().filter_map(|layer| layer.value(key, self.out)).collect()
    }

    /// A table under `key`, over those of outer layers.
    pub(crate) fn take_table(&mut self, key: &'static str) -> Option<Self> {
        if self.is_union {
            return self.take(key)?.into_table();
        }
        let tables = self.take_each(key).into_iter().filter_map(Value::into_table);
        tables.reduce(|inner, outer| inner.over(Some(&outer)))
    }

    /// A table under `key`, over those of outer layers, unless the innermost is switched
    /// off.
    pub(crate) fn take_table_unless_off(&mut self, key: &'static str) -> Option<Self> {
        let values = self.take_each(key);
        if values.first().is_some_and(Value::is_off) {
            return None;
        }
        let given = values.into_iter().filter(|value| !value.is_off());
        given.filter_map(Value::into_table).reduce(|inner, outer| inner.over(Some(&outer)))
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

    /// A whole number under `key`, within the limits of its description.
    pub(crate) fn take_integer<N: TryFrom<u64>>(&mut self, key: &'static str) -> Option<N> {
        N::try_from(self.take(key)?.integer()?).ok()
    }

    /// True or false under `key`.
    pub(crate) fn take_bool(&mut self, key: &'static str) -> Option<bool> {
        self.take(key)?.boolean()
    }

    /// A share under `key`, in percent.
    pub(crate) fn take_percent(&mut self, key: &'static str) -> Option<u8> {
        self.take(key)?.percent()
    }

    /// Every entry of the first layer, whatever its key, in the order of the file.
    pub(crate) fn entries(self) -> Vec<(Text<'a>, Value<'a>)> {
        let Some(layer) = self.layers.into_iter().next() else { return Vec::new() };
        let mut all: Vec<_> = layer
            .entries
            .keys()
            .filter_map(|name| {
                let value = layer.value(name.get_ref(), self.out)?;
                let path = layer.path_of(name.get_ref());
                let text = Text::new(path, name.get_ref(), value.key_span(), self.out);
                Some((text, value))
            })
            .collect();
        all.sort_by_key(|(name, _)| name.span().start);
        all
    }

    /// Reports every key that is not described.
    pub(crate) fn finish(self) {
        debug_assert!(
            self.section().keys().all(|key| self.asked.contains(&key.name)),
            "not every key of `{}` was asked for",
            self.section().name
        );
        for layer in &self.layers {
            for name in layer.entries.keys() {
                let key = name.get_ref();
                if layer.section.key(key).is_none() {
                    let span = name.span();
                    let span = layer.base + span.start..layer.base + span.end;
                    self.out.push(self.unknown(layer, key, span));
                }
            }
        }
    }

    /// Whether [`finish`](Self::finish) will report a key.
    pub(crate) fn has_unknown_keys(&self) -> bool {
        let unknown = |layer: &Layer<'_>| {
            layer.entries.keys().any(|name| layer.section.key(name.get_ref()).is_none())
        };
        self.layers.iter().any(unknown)
    }

    fn unknown(&self, layer: &Layer<'a>, key: &str, span: Range<usize>) -> Diagnostic {
        let place = if layer.path.is_empty() {
            "not a setting of the file's top level".to_owned()
        } else {
            format!("not a setting of `{}`", layer.path)
        };
        let unknown = Diagnostic::error(format!("unknown key `{key}`"))
            .at(span, place)
            .key(layer.path_of(key));
        let section = layer.section;
        if section.later.contains(&key) {
            return unknown.help(format!("`{key}` is planned, but not in this version"));
        }
        let known = section.keys().map(|key: &Key| key.name);
        let free = known.clone().filter(|known| !layer.entries.contains_key(*known));
        // A key the table already has is the second-best guess: it would be a duplicate.
        let meant = which_key(key, &free);
        if let Some((word, _)) = &meant {
            // It is not missing, it is misspelt.
            let missing = layer.path_of(word);
            self.out
                .retain(|found| !(found.is_about_absence() && found.key_path() == Some(&*missing)));
        }
        let elsewhere = section.elsewhere.iter().find(|(keys, _)| keys.contains(&key));
        let help = elsewhere
            .map(|(_, where_it_goes)| format!("`{key}` {where_it_goes}"))
            .or_else(|| meant.map(|(_, sentence)| sentence))
            .or_else(|| Some(which_key(key, &known)?.1))
            .unwrap_or_else(|| format!("known keys here: {}", code_list(known)));
        unknown.help(help)
    }

    /// "TABLE has no `key`", with the table's name underlined.
    pub(crate) fn missing(&self, key: &'static str, label: impl Into<String>) -> Diagnostic {
        Diagnostic::error(format!("`{}` has no `{key}`", self.path()))
            .at(self.span(), label)
            .key(self.layers[0].path_of(key))
            .absence()
    }

    /// Where to point when the whole table is meant.
    pub(crate) fn span(&self) -> Range<usize> {
        self.layers[0].span.clone()
    }

    /// The table's full name.
    pub(crate) fn path(&self) -> &str {
        &self.layers[0].path
    }

    /// Reports a finding.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.out.push(diagnostic);
    }
}
