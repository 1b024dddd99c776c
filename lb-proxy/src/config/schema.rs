//! The JSON Schema of the file, from the description of its keys.
//!
//! Written by hand rather than with a JSON library: the library part of this crate
//! has none, and a schema is all strings that need no escapes but quotes.

use std::{collections::BTreeMap, fmt::Write as _};

use super::keys::{Key, Section, Shape, TOP};

/// A variable may stand in any string.
const VARIABLE: &str = "\\\\$\\\\{";

/// The schema, for editors and other tools.
#[must_use]
pub fn schema() -> String {
    let mut sections = BTreeMap::new();
    collect(&TOP, &mut sections);
    let definitions: Vec<String> = sections
        .values()
        .filter(|section| section.name != TOP.name)
        .map(|section| format!("    \"{}\": {}", section.name, object(section, 4)))
        .collect();
    let top = object(&TOP, 0);
    let top = top.strip_prefix('{').unwrap_or(&top);
    let top = top.strip_suffix('}').unwrap_or(top).trim_end();
    format!(
        "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \
         \"title\": \"lb\",{top},\n  \"$defs\": {{\n{}\n  }}\n}}\n",
        definitions.join(",\n")
    )
}

/// Every section that can be reached from one.
fn collect(section: &'static Section, found: &mut BTreeMap<&'static str, &'static Section>) {
    if found.insert(section.name, section).is_some() {
        return;
    }
    let shapes = section.keys().map(|key| key.shape).chain(section.any_key);
    for shape in shapes {
        collect_shape(shape, found);
    }
}

fn collect_shape(shape: Shape, found: &mut BTreeMap<&'static str, &'static Section>) {
    match shape {
        Shape::Table(section) => collect(section, found),
        Shape::List(items) => collect_shape(*items, found),
        Shape::AnyOf(shapes) => shapes.iter().for_each(|shape| collect_shape(*shape, found)),
        _ => {}
    }
}

fn object(section: &Section, indent: usize) -> String {
    let pad = " ".repeat(indent + 2);
    let mut text = format!("{{\n{pad}\"description\": {},\n", quoted(section.about));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{pad}\"type\": \"object\",");
    let properties: Vec<String> = section
        .keys()
        .map(|key| format!("{pad}  {}: {}", quoted(key.name), property(key)))
        .collect();
    if !properties.is_empty() {
        let _ = writeln!(text, "{pad}\"properties\": {{\n{}\n{pad}}},", properties.join(",\n"));
    }
    let required: Vec<String> =
        section.keys().filter(|key| key.is_required).map(|key| quoted(key.name)).collect();
    if !required.is_empty() {
        let _ = writeln!(text, "{pad}\"required\": [{}],", required.join(", "));
    }
    let others = section.any_key.map_or_else(|| "false".to_owned(), value);
    let _ = write!(text, "{pad}\"additionalProperties\": {others}\n{}}}", " ".repeat(indent));
    text
}

fn property(key: &Key) -> String {
    let value = value(key.shape);
    let inner = value.strip_prefix('{').and_then(|value| value.strip_suffix('}'));
    let inner = inner.unwrap_or(&value).trim();
    // Defaults in TOML are defaults in JSON where they are no tables.
    let default = match key.default {
        Some(default) if default != "{}" => format!(", \"default\": {default}"),
        _ => String::new(),
    };
    format!("{{ \"description\": {}, {inner}{default} }}", quoted(key.about))
}

fn value(shape: Shape) -> String {
    let pattern = |pattern: &str| {
        format!("{{ \"type\": \"string\", \"pattern\": \"{pattern}|{VARIABLE}\" }}")
    };
    match shape {
        Shape::Text => "{ \"type\": \"string\" }".to_owned(),
        Shape::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!(
                "{{ \"anyOf\": [{{ \"enum\": [{}] }}, {}] }}",
                words.join(", "),
                format_args!("{{ \"type\": \"string\", \"pattern\": \"{VARIABLE}\" }}")
            )
        }
        Shape::Duration => pattern("^\\\\s*([0-9]+(d|h|m|s|ms|us))+\\\\s*$"),
        Shape::Size => pattern("^\\\\s*[0-9]+\\\\s*([KMGT]i?)?B\\\\s*$"),
        Shape::Share => pattern("^\\\\s*[0-9.]+\\\\s*%\\\\s*$"),
        Shape::Boolean => "{ \"type\": \"boolean\" }".to_owned(),
        Shape::Integer(from, to) => {
            format!("{{ \"type\": \"integer\", \"minimum\": {from}, \"maximum\": {to} }}")
        }
        Shape::Number(from, to) => {
            format!("{{ \"type\": \"number\", \"minimum\": {from}, \"maximum\": {to} }}")
        }
        Shape::Table(section) => format!("{{ \"$ref\": \"#/$defs/{}\" }}", section.name),
        Shape::List(items) => format!("{{ \"type\": \"array\", \"items\": {} }}", value(*items)),
        Shape::AnyOf(shapes) => {
            let shapes: Vec<String> = shapes.iter().map(|shape| value(*shape)).collect();
            format!("{{ \"anyOf\": [{}] }}", shapes.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Every key with its section.
#[cfg(test)]
pub(super) fn every_key() -> Vec<(&'static Section, &'static Key)> {
    let mut sections = BTreeMap::new();
    collect(&TOP, &mut sections);
    let keys = |section: &'static Section| section.keys.iter().map(move |key| (section, key));
    sections.into_values().flat_map(keys).collect()
}

#[cfg(test)]
mod tests;
