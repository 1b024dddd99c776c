//! The backends of a cluster, in whichever form they are written: one text with addresses,
//! a list of texts and tables, or a table with a header each.

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, Item, TableLike, Value};

use super::{decided, form_within, put};
use crate::{
    Address,
    config::{
        expand::{expand, first_form},
        loader::Loader,
    },
};

/// A list of backends that is being changed.
pub(super) struct Backends<'d> {
    list: &'d mut Item,
    loader: &'d dyn Loader,
}

impl<'d> Backends<'d> {
    /// Those under `key`. Where there are none, there is an empty list.
    pub(super) fn of(
        table: &'d mut dyn TableLike,
        key: &str,
        loader: &'d dyn Loader,
    ) -> Result<Self, String> {
        if table.get(key).is_none() {
            table.insert(key, Item::Value(Value::Array(Array::new())));
        }
        match table.get_mut(key) {
            Some(list) => Ok(Self { list, loader }),
            None => Err(format!("there is no `{key}`")),
        }
    }

    /// Puts a value into the table of a backend, which becomes one if it was a text.
    pub(super) fn put(&mut self, name: &str, path: &[&str], value: &Json) -> Result<(), String> {
        let position = self.position(name)?;
        match self.list {
            Item::ArrayOfTables(tables) => match tables.get_mut(position) {
                Some(table) => put::put(table, path, value),
                None => Err(absent(name)),
            },
            _ => {
                let array = self.array()?;
                let Some(item) = array.get_mut(position) else { return Err(absent(name)) };
                if let Some(text) = item.as_str() {
                    let entry = Map::from_iter([("address".to_owned(), Json::from(text.trim()))]);
                    replace(item, Value::InlineTable(put::inline(&entry)?));
                }
                match item.as_inline_table_mut() {
                    Some(table) => put::put(table, path, value),
                    None => Err(absent(name)),
                }
            }
        }
    }

    /// Adds a backend at the end, as the others are written; one of that name is replaced.
    pub(super) fn add(&mut self, name: &str, value: &Json) -> Result<(), String> {
        let Json::Object(entries) = value else { return Err("it is no table".to_owned()) };
        if let Ok(position) = self.position(name) {
            return self.replace(position, entries);
        }
        if let Some(form) = self.list.as_str().and_then(first_form) {
            return Err(decided(form));
        }
        match self.list {
            Item::ArrayOfTables(tables) => {
                let mut table = put::block(entries)?;
                if let Some(last) = tables.iter().last() {
                    let prefix = last.decor().prefix().and_then(|raw| raw.as_str());
                    // A comment there is about the last one.
                    let is_apart = prefix.is_none_or(|prefix| prefix.contains('\n'));
                    table.decor_mut().set_prefix(if is_apart { "\n" } else { "" });
                }
                tables.push(table);
            }
            _ => {
                let array = self.array()?;
                let item = match entries.get("address") {
                    Some(address) if entries.len() == 1 && are_texts(array) => put::toml(address)?,
                    _ => Value::InlineTable(put::inline(entries)?),
                };
                append(array, item);
            }
        }
        Ok(())
    }

    /// Takes a backend out. Comments on lines of their own stay.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), String> {
        let position = self.position(name)?;
        if let Item::ArrayOfTables(tables) = self.list {
            if let Some(form) = tables.get(position).and_then(|table| form_of(table)) {
                return Err(decided(&form));
            }
            take_table(tables, position);
            return Ok(());
        }
        let array = self.array()?;
        if let Some(form) =
            array.get(position).cloned().map(Item::Value).and_then(|one| form_within(&one))
        {
            return Err(decided(&form));
        }
        take(array, position);
        Ok(())
    }

    fn replace(&mut self, position: usize, entries: &Map<String, Json>) -> Result<(), String> {
        match self.list {
            Item::ArrayOfTables(tables) => {
                if let Some(table) = tables.get_mut(position) {
                    if let Some(form) = form_of(table) {
                        return Err(decided(&form));
                    }
                    let mut new = put::block(entries)?;
                    *new.decor_mut() = table.decor().clone();
                    new.set_position(table.position());
                    *table = new;
                }
            }
            _ => {
                if let Some(item) = self.array()?.get_mut(position) {
                    if let Some(form) = form_within(&Item::Value(item.clone())) {
                        return Err(decided(&form));
                    }
                    replace(item, Value::InlineTable(put::inline(entries)?));
                }
            }
        }
        Ok(())
    }

    /// Where a backend is. Afterwards no text before it has several addresses in it.
    fn position(&mut self, name: &str) -> Result<usize, String> {
        let loader = self.loader;
        match self.list {
            Item::ArrayOfTables(tables) => tables
                .iter()
                .position(|table| is_called(table, name, loader))
                .ok_or_else(|| absent(name)),
            _ => {
                let found = |array: &Array| {
                    array.iter().position(|item| names(item, loader).iter().any(|one| one == name))
                };
                let is_text = self.list.as_str().is_some();
                if let Some(text) = self.list.as_str()
                    && !parts(text, loader).iter().any(|one| one == name)
                {
                    return Err(absent(name));
                }
                if let Some(form) = self.list.as_str().and_then(first_form) {
                    return Err(decided(form));
                }
                if is_text {
                    self.array()?;
                }
                let array = self.array()?;
                let position = found(array).ok_or_else(|| absent(name))?;
                let Some(text) = array.get(position).and_then(Value::as_str) else {
                    return Ok(position);
                };
                if let Some(form) = first_form(text) {
                    return Err(decided(form));
                }
                split(array, position);
                found(array).ok_or_else(|| absent(name))
            }
        }
    }

    /// As a list. A text with addresses becomes one.
    fn array(&mut self) -> Result<&mut Array, String> {
        if let Some(text) = self.list.as_str() {
            if let Some(form) = first_form(text) {
                return Err(decided(form));
            }
            let mut array: Array = pieces(text).map(Value::from).collect();
            if let Some(value) = self.list.as_value() {
                *array.decor_mut() = value.decor().clone();
            }
            *self.list = Item::Value(Value::Array(array));
        }
        self.list.as_array_mut().ok_or_else(|| "its backends are not written as a list".to_owned())
    }
}

/// Where a backend stands, or what is under these keys of its table.
pub(super) fn span(
    list: &Item,
    name: &str,
    path: &[&str],
    loader: &dyn Loader,
) -> Option<Range<usize>> {
    if let Some(tables) = list.as_array_of_tables() {
        let table = tables.iter().find(|table| is_called(*table, name, loader))?;
        let Some((first, rest)) = path.split_first() else { return table.span() };
        return put::find(table.get(first)?, rest)?.span();
    }
    let Some(array) = list.as_array() else {
        let is_there = parts(list.as_str()?, loader).iter().any(|one| one == name);
        return list.span().filter(|_| is_there && path.is_empty());
    };
    let item = array.iter().find(|item| names(item, loader).iter().any(|one| one == name))?;
    let Some((first, rest)) = path.split_first() else { return item.span() };
    put::find(item.as_inline_table()?.get_key_value(first)?.1, rest)?.span()
}

/// What the backends of an item are called.
fn names(item: &Value, loader: &dyn Loader) -> Vec<String> {
    match (item.as_str(), item.as_inline_table()) {
        (Some(text), _) => parts(text, loader),
        (None, Some(table)) => called(table, loader).into_iter().collect(),
        (None, None) => Vec::new(),
    }
}

fn is_called(table: &dyn TableLike, name: &str, loader: &dyn Loader) -> bool {
    called(table, loader).is_some_and(|own| own == name)
}

fn called(table: &dyn TableLike, loader: &dyn Loader) -> Option<String> {
    let text = |key| expand(table.get(key)?.as_str()?, loader).ok();
    text("name").or_else(|| normal(&text("address")?))
}

/// The addresses of a text.
fn parts(text: &str, loader: &dyn Loader) -> Vec<String> {
    let text = expand(text, loader).unwrap_or_default();
    pieces(&text).filter_map(normal).collect()
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\r', '\n']).filter(|part| !part.is_empty())
}

fn normal(address: &str) -> Option<String> {
    Some(address.parse::<Address>().ok()?.to_string())
}

fn form_of(table: &dyn TableLike) -> Option<String> {
    table.iter().find_map(|(_, item)| form_within(item))
}

fn absent(name: &str) -> String {
    format!("no file has the backend `{name}`: a source tells of it, or a variable")
}

fn are_texts(array: &Array) -> bool {
    array.iter().all(Value::is_str)
}

/// Puts another value into the place of one.
fn replace(item: &mut Value, mut new: Value) {
    *new.decor_mut() = item.decor().clone();
    *item = new;
}

/// Makes several items of a text with several addresses.
fn split(array: &mut Array, position: usize) {
    let Some(text) = array.get(position).and_then(Value::as_str).map(str::to_owned) else { return };
    let pieces: Vec<&str> = pieces(&text).collect();
    let Some((first, others)) = pieces.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return;
    };
    if let Some(item) = array.get_mut(position) {
        replace(item, Value::from(*first));
    }
    for (index, other) in others.iter().enumerate() {
        array.insert_formatted(position + index + 1, Value::from(*other).decorated(" ", ""));
    }
}

/// Adds an item at the end, on a line of its own where the others have one.
fn append(array: &mut Array, mut item: Value) {
    let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
    let Some(last) = array.len().checked_sub(1).and_then(|last| array.get_mut(last)) else {
        item.decor_mut().clear();
        array.push_formatted(item.decorated("", ""));
        return;
    };
    let prefix = text_of(last.decor().prefix());
    let suffix = text_of(last.decor().suffix());
    let tail = format!("{suffix}{trailing}");
    last.decor_mut().set_suffix("");
    match tail.rsplit_once('\n') {
        Some((comments, end)) => {
            let indent = match prefix.rsplit_once('\n') {
                Some((_, indent)) => indent.to_owned(),
                None => format!("{end}  "),
            };
            array.push_formatted(item.decorated(format!("{comments}\n{indent}"), ""));
            array.set_trailing(format!("\n{end}"));
        }
        None => {
            array.push_formatted(item.decorated(" ", suffix));
        }
    }
}

/// Takes an item out, with the comment on its line; lines above it stay.
fn take(array: &mut Array, position: usize) {
    let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
    let taken = array.remove(position);
    let (above, behind) = (text_of(taken.decor().prefix()), text_of(taken.decor().suffix()));
    let kept = above.trim_end();
    if let Some(next) = array.get_mut(position) {
        let prefix = text_of(next.decor().prefix());
        let prefix = match prefix.split_once('\n') {
            Some((_, rest)) => format!("{kept}\n{rest}"),
            None => above,
        };
        next.decor_mut().set_prefix(prefix);
        return;
    }
    let tail = format!("{behind}{trailing}");
    let tail = match tail.split_once('\n') {
        Some((_, rest)) => format!("{kept}\n{rest}"),
        None => tail,
    };
    match position.checked_sub(1).and_then(|last| array.get_mut(last)) {
        Some(last) if !tail.contains('\n') => {
            last.decor_mut().set_suffix(behind);
        }
        // It was the last one of all, or on a line of its own.
        _ => array.set_trailing(tail),
    }
}

/// Takes a table out; what stood above it stands above the next one.
fn take_table(tables: &mut ArrayOfTables, position: usize) {
    let above = tables.get(position).map(|table| text_of(table.decor().prefix()));
    tables.remove(position);
    let comments = above.filter(|above| above.contains('#'));
    if let (Some(next), Some(comments)) = (tables.get_mut(position), comments) {
        let own = text_of(next.decor().prefix());
        next.decor_mut().set_prefix(format!("{comments}{}", own.trim_start_matches('\n')));
    }
}

fn text_of(raw: Option<&toml_edit::RawString>) -> String {
    raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned()
}
