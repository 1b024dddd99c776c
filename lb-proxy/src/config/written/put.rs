//! Putting a value where another one stands, in its form.

use serde_json::{Map, Value as Json};
use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

use super::{decided, form_within};

/// Puts a value under these keys. Tables on the way are made.
pub(super) fn put(table: &mut dyn TableLike, path: &[&str], value: &Json) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        return put_one(table, key, value);
    }
    if table.get(key).is_none() {
        insert(table, key, Value::InlineTable(InlineTable::new()));
    }
    let inner = table.get_mut(key);
    let written = inner.as_ref().map(|item| item.to_string().trim().to_owned());
    match inner.and_then(Item::as_table_like_mut) {
        Some(inner) => put(inner, rest, value),
        None => Err(format!("`{key}` is {} there, not a table", written.unwrap_or_default())),
    }
}

/// What stands under these keys.
pub(super) fn find<'i>(item: &'i Item, path: &[&str]) -> Option<&'i Item> {
    path.iter().try_fold(item, |item, key| item.as_table_like()?.get(key))
}

fn put_one(table: &mut dyn TableLike, key: &str, value: &Json) -> Result<(), String> {
    let Some(there) = table.get_mut(key) else {
        insert(table, key, toml(value)?);
        return Ok(());
    };
    if let Some(form) = form_within(there) {
        return Err(decided(&form));
    }
    if let (Some(inner), Json::Object(wanted)) = (there.as_table_like_mut(), value) {
        return merge(inner, wanted);
    }
    let mut new = toml(value)?;
    if let Some(old) = there.as_value() {
        *new.decor_mut() = old.decor().clone();
        *there = Item::Value(new);
        return Ok(());
    }
    // A table with a header of its own becomes a key.
    table.remove(key);
    insert(table, key, new);
    Ok(())
}

/// Makes a table say this, key by key.
fn merge(table: &mut dyn TableLike, wanted: &Map<String, Json>) -> Result<(), String> {
    let known: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    for key in known.iter().filter(|key| !wanted.contains_key(*key)) {
        table.remove(key);
    }
    wanted.iter().try_for_each(|(key, value)| put_one(table, key, value))
}

/// Adds a key. In an inline table, what stood before its brace goes behind the new one.
fn insert(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let last = table.iter().last().map(|(key, _)| key.to_owned());
    let in_line = last.and_then(|last| table.get_mut(&last)).and_then(|item| match item {
        Item::Value(value) => Some(value),
        _ => None,
    });
    if let Some(last) = in_line {
        let tail = last.decor().suffix().and_then(|raw| raw.as_str()).unwrap_or_default();
        // What is behind a key with a line of its own is its comment.
        if !tail.is_empty() && tail.chars().all(|char| char == ' ') {
            let tail = tail.to_owned();
            last.decor_mut().set_suffix("");
            value.decor_mut().set_prefix(" ");
            value.decor_mut().set_suffix(tail);
        }
    }
    table.insert(key, Item::Value(value));
}

/// A value of JSON as one of TOML. Texts mean what they say: no variable begins in them.
pub(super) fn toml(value: &Json) -> Result<Value, String> {
    Ok(match value {
        Json::String(text) => Value::from(text.replace('$', "$$")),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(fraction)) => Value::from(fraction),
            (None, None) => return Err(format!("{number} is not a number of a file")),
        },
        Json::Array(items) => {
            let items: Result<Vec<Value>, String> = items.iter().map(toml).collect();
            Value::Array(items?.into_iter().collect::<Array>())
        }
        Json::Object(entries) => Value::InlineTable(inline(entries)?),
        Json::Null => return Err("nothing cannot be written".to_owned()),
    })
}

/// A table in a line, what it is called first.
pub(super) fn inline(entries: &Map<String, Json>) -> Result<InlineTable, String> {
    let mut table = InlineTable::new();
    for (key, value) in in_order(entries) {
        table.insert(key, toml(value)?);
    }
    Ok(table)
}

/// A table with a header.
pub(super) fn block(entries: &Map<String, Json>) -> Result<Table, String> {
    let mut table = Table::new();
    for (key, value) in in_order(entries) {
        table.insert(key, Item::Value(toml(value)?));
    }
    Ok(table)
}

/// `address` and `name` come first, then all else as it comes.
fn in_order(entries: &Map<String, Json>) -> impl Iterator<Item = (&String, &Json)> {
    let is_first = |key: &str| key == "address" || key == "name";
    let first = entries.iter().filter(move |(key, _)| is_first(key));
    first.chain(entries.iter().filter(move |(key, _)| !is_first(key)))
}
