//! Every value that holds, with the place that says so.
//!
//! Walks the description of the keys instead of the configuration that was read,
//! which no longer knows where its values came from.

use toml::{
    Spanned,
    de::{DeString, DeValue},
};

use super::{Table, Value};
use crate::{
    Address,
    config::{
        diagnostics::Diagnostics,
        keys::{HEALTH_HEADERS, Key, Section, Shape},
    },
};

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its full name: `cluster.web.timeout.connect`.
    pub key: String,
    /// Its value in TOML. Secrets are `"…"`.
    pub value: String,
    /// File and line of the value; `None` for a default.
    pub place: Option<(String, usize)>,
    /// As it stands in the file, where variables are in it that say something else than
    /// where somebody is.
    pub variables: Option<String>,
}

/// The values of a file, and of all that it includes.
pub(crate) fn settings_of(mut file: Table<'_>, out: &Diagnostics) -> Vec<Setting> {
    let mut walk = Walk { found: Vec::new(), out };
    let listeners = file.take_each("listener");
    let clusters = file.take_each("cluster");
    let defaults = file.take_table("defaults");
    let is_short = file.take("to").is_some();
    let (timeout, limits) = (file.take_table("timeout"), file.take_table("limits"));
    let section = file.section();
    // What holds for listeners or clusters is shown where it holds.
    let shown_below: &[&str] = match (listeners.is_empty(), is_short) {
        (true, true) => &["listener", "cluster"],
        (true, false) => &["listener", "cluster", "defaults"],
        (false, true) => &["listener", "cluster", "listen", "timeout", "limits"],
        (false, false) => &["listener", "cluster", "listen", "timeout", "limits", "defaults"],
    };
    for key in section.keys().filter(|key| !shown_below.contains(&key.name)) {
        walk.key(&mut file, "", key);
    }
    for (index, mut table) in listeners.into_iter().flat_map(Value::into_tables).enumerate() {
        let path = format!("listener[{index}]");
        for key in table.section().keys() {
            match key.name {
                "timeout" => walk.over(&mut table, &path, key, timeout.as_ref()),
                "limits" => walk.over(&mut table, &path, key, limits.as_ref()),
                _ => walk.key(&mut table, &path, key),
            }
        }
    }
    let tables = clusters.into_iter().filter_map(Value::into_table);
    for (name, value) in tables.flat_map(Table::entries) {
        if let Some(table) = value.into_table() {
            walk.table(table.over(defaults.as_ref()), &format!("cluster.{}", name.as_str()));
        }
    }
    walk.found
}

struct Walk<'o> {
    found: Vec<Setting>,
    out: &'o Diagnostics,
}

impl Walk<'_> {
    fn table(&mut self, mut table: Table<'_>, path: &str) {
        let section = table.section();
        if section.any_key.is_some() {
            // What a check is let in by is nobody's to read.
            let is_secret = section.name == HEALTH_HEADERS.name;
            for (name, value) in table.entries() {
                self.value(value, &format!("{path}.{}", name.as_str()), is_secret);
            }
            return;
        }
        let excluded = table.excluded();
        for key in section.keys().filter(|key| !excluded.contains(&key.name)) {
            self.key(&mut table, path, key);
        }
    }

    fn key(&mut self, table: &mut Table<'_>, outer: &str, key: &'static Key) {
        let path = joined(outer, key.name);
        if matches!(key.shape, Shape::Table(section) if section.any_key.is_none()) {
            match table.take_table(key.name) {
                Some(inner) => self.table(inner, &path),
                None => self.absent_table(key, &path),
            }
            return;
        }
        // Tables over those of `[defaults]`, key by key.
        let is_layered = key.shape.table().is_some_and(|section| section.is_layered);
        if is_layered && let Some(inner) = table.take_table_unless_off(key.name) {
            return self.table(inner, &path);
        }
        let values = table.take_each(key.name);
        match values.first() {
            None => self.found.extend(key.default.map(|default| Setting {
                key: path,
                value: default.to_owned(),
                place: None,
                variables: None,
            })),
            // Lists of tables are one list over all files; of other keys the first wins.
            Some(_) if is_list_of_tables(key) => {
                let items = values.into_iter().flat_map(Value::into_tables);
                for (index, item) in items.enumerate() {
                    self.table(item, &format!("{path}[{index}]"));
                }
            }
            Some(value) => self.value(value.clone(), &path, key.is_secret),
        }
    }

    /// A table of a listener, over the one at the file's top level.
    fn over(
        &mut self,
        table: &mut Table<'_>,
        outer: &str,
        key: &'static Key,
        under: Option<&Table<'_>>,
    ) {
        let path = joined(outer, key.name);
        let own = table.take_table(key.name);
        match (own, under) {
            (Some(own), under) => self.table(own.over(under), &path),
            (None, Some(under)) => self.table(under.clone(), &path),
            (None, None) => self.absent_table(key, &path),
        }
    }

    /// The defaults of a table that is always there.
    fn absent_table(&mut self, key: &Key, path: &str) {
        let section: Option<&Section> = key.shape.table();
        let Some(section) = section.filter(|_| key.default.is_some()) else { return };
        for key in section.keys() {
            let path = joined(path, key.name);
            match key.default {
                // A table, which has defaults of its own.
                Some("{}") => self.absent_table(key, &path),
                default => self.found.extend(default.map(|default| Setting {
                    key: path,
                    value: default.to_owned(),
                    place: None,
                    variables: None,
                })),
            }
        }
    }

    fn value(&mut self, value: Value<'_>, path: &str, is_secret: bool) {
        if value.is_table() {
            if let Some(table) = value.into_table() {
                self.table(table, path);
            }
            return;
        }
        let position = self.out.position(value.span().start);
        let place = Some((position.file.to_owned(), position.line));
        let shown = shown(value.item(), value.shape(), is_secret);
        let base = value.span().start - value.item.span().start;
        let guarded = Guarded { base, out: self.out };
        let variables = Some(guarded.shown(value.item, value.shape(), last_key(path), is_secret));
        let variables = variables.filter(|guarded| *guarded != shown);
        self.found.push(Setting { key: path.to_owned(), value: shown, place, variables });
    }
}

/// Shows values without what variables say, unless that is where somebody is.
struct Guarded<'o> {
    base: usize,
    out: &'o Diagnostics,
}

impl Guarded<'_> {
    fn shown(
        &self,
        value: &Spanned<DeValue<'_>>,
        shape: Option<Shape>,
        key: &str,
        is_secret: bool,
    ) -> String {
        match value.get_ref() {
            DeValue::String(text) if !is_secret => {
                let span = self.base + value.span().start..self.base + value.span().end;
                let written = self.out.written(&span);
                match written.contains("${") && !is_place(key, text) {
                    true => written.to_owned(),
                    false => shown(value.get_ref(), shape, is_secret),
                }
            }
            DeValue::Array(items) => {
                let shape = shape.and_then(Shape::of_items);
                let items = items.iter().map(|item| self.shown(item, shape, key, is_secret));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            DeValue::Table(entries) => {
                let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                    let (shape, is_secret) = within(shape, key.get_ref(), is_secret);
                    let shown = self.shown(value, shape, key.get_ref(), is_secret);
                    format!("{} = {shown}", key.get_ref())
                };
                format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            other => shown(other, shape, is_secret),
        }
    }
}

/// Whether a text says where somebody is, and nothing more.
fn is_place(key: &str, text: &str) -> bool {
    let mut parts = text.split([',', ' ', '\t', '\r', '\n']).filter(|part| !part.is_empty());
    matches!(key, "address" | "backends" | "listen" | "to")
        && parts.all(|part| part.parse::<Address>().is_ok())
}

fn last_key(path: &str) -> &str {
    let key = path.rsplit('.').next().unwrap_or_default();
    key.split('[').next().unwrap_or_default()
}

fn joined(outer: &str, key: &str) -> String {
    if outer.is_empty() { key.to_owned() } else { format!("{outer}.{key}") }
}

fn is_list_of_tables(key: &Key) -> bool {
    matches!(key.shape, Shape::List(Shape::Table(_)))
}

/// What is described of a key of a table, and whether it is secret. Where a secret is is none.
fn within(table: Option<Shape>, key: &str, is_secret: bool) -> (Option<Shape>, bool) {
    let described = table.and_then(Shape::table).and_then(|section| section.key(key));
    let is_place = ["file", "env"].contains(&key);
    let is_secret = is_secret && !is_place || described.is_some_and(|key| key.is_secret);
    (described.map(|key| key.shape), is_secret)
}

/// A value without its secrets, however deep they are.
fn shown(value: &DeValue<'_>, shape: Option<Shape>, is_secret: bool) -> String {
    match value {
        DeValue::String(_) if is_secret => "\"…\"".to_owned(),
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(items) => {
            let shape = shape.and_then(Shape::of_items);
            let items: Vec<String> =
                items.iter().map(|item| shown(item.get_ref(), shape, is_secret)).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| {
                    let (shape, is_secret) = within(shape, key.get_ref(), is_secret);
                    format!("{} = {}", key.get_ref(), shown(value.get_ref(), shape, is_secret))
                })
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}
