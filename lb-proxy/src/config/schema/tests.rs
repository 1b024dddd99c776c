use std::{fs, path::Path};

use regex::Regex;
use toml::de::{DeTable, DeValue};

use super::schema;
use crate::config::tests::{broken_files, examples, full, strategies};

#[test]
fn the_shipped_schema_is_that_of_the_reader() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lb.schema.json");
    let now = schema();
    serde_json::from_str::<serde_json::Value>(&now).expect("a schema is JSON");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&file, &now).expect("docs/lb.schema.json");
    }
    let shipped = fs::read_to_string(&file).unwrap_or_default();
    assert!(shipped == now, "docs/lb.schema.json is not current: run with UPDATE_EXPECTED=1");
}

#[test]
fn every_example_is_valid_by_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("JSON");
    let texts = examples().into_iter().map(|file| fs::read_to_string(file).expect("an example"));
    for text in texts.chain([full(), strategies()]) {
        let (document, _) = DeTable::parse_recoverable(&text);
        let value = DeValue::Table(document.into_inner());
        if let Err(reason) = validate(&value, &schema, &schema) {
            panic!("{reason}\n{text}");
        }
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("JSON");
    for text in [
        "workerz = 1",
        "workers = 0",
        "workers = \"2\"",
        "timeout.header = 5",
        "timeout.header = \"5 parsecs\"",
        "[[route]]\npath = \"/\"",
        "[cluster.web]\nbackend = []",
        "[cluster.web]\nretry.methods = \"all\"",
    ] {
        let (document, _) = DeTable::parse_recoverable(text);
        let value = DeValue::Table(document.into_inner());
        assert!(validate(&value, &schema, &schema).is_err(), "{text}");
    }
}

/// What no schema can see, because it depends on two values, on names, or on how a
/// text is made up.
const ONLY_THE_READER: &[&str] = &[
    "admin_address",
    "admin_taken",
    "both_forms",
    "duplicates",
    "empty",
    "empty_lists",
    "expanded",
    "halved",
    "inherited_limits",
    "keys",
    "log_line",
    "loop",
    "names_in_cookies",
    "nowhere",
    "shadowed",
    "trusted",
    "unknown_cluster",
    "variables",
];

#[test]
fn the_schema_refuses_every_broken_file_that_a_schema_can() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("JSON");
    let mut passed = Vec::new();
    for file in broken_files() {
        let text = fs::read_to_string(&file).expect("a readable file");
        let (document, mistakes) = DeTable::parse_recoverable(&text);
        let value = DeValue::Table(document.into_inner());
        if mistakes.is_empty() && validate(&value, &schema, &schema).is_ok() {
            let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
            passed.push(name.to_owned());
        }
    }
    assert_eq!(passed, ONLY_THE_READER);
}

/// As much of JSON Schema as the schema uses.
fn validate(
    value: &DeValue<'_>,
    schema: &serde_json::Value,
    root: &serde_json::Value,
) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let section = name.strip_prefix("#/$defs/").and_then(|name| root["$defs"].get(name));
        validate(value, section.expect(name), root)?;
    }
    if let Some(alternatives) = schema["anyOf"].as_array() {
        let errors: Vec<String> =
            alternatives.iter().map_while(|schema| validate(value, schema, root).err()).collect();
        if errors.len() == alternatives.len() {
            return Err(errors.join(" / "));
        }
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.iter().any(|word| word.as_str() == value.as_str())
    {
        return Err(format!("{value:?} is none of {words:?}"));
    }
    let is_type = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_str(),
        Some("boolean") => value.is_bool(),
        Some("integer") => value.is_integer(),
        Some("number") => value.is_integer() || value.is_float(),
        Some("array") => value.is_array(),
        Some("object") => value.is_table(),
        Some(other) => panic!("unknown type {other}"),
    };
    if !is_type {
        return Err(format!("{} instead of {}", value.type_str(), schema["type"]));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !Regex::new(pattern).expect(pattern).is_match(text)
    {
        return Err(format!("{text:?} does not fit {pattern}"));
    }
    let number = match value {
        DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
        _ => None,
    };
    if let (Some(number), Some(least), Some(most)) =
        (number, schema["minimum"].as_f64(), schema["maximum"].as_f64())
        && !(least..=most).contains(&number)
    {
        return Err(format!("{number} is not within {least} and {most}"));
    }
    if let (DeValue::Array(items), Some(schema)) = (value, schema.get("items")) {
        items.iter().try_for_each(|item| validate(item.get_ref(), schema, root))?;
    }
    let DeValue::Table(table) = value else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !table.contains_key(name.as_str().expect("a name")) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, value) in table {
        let others = &schema["additionalProperties"];
        match schema["properties"].get(&**name.get_ref()) {
            Some(schema) => validate(value.get_ref(), schema, root)
                .map_err(|reason| format!("{}: {reason}", name.get_ref()))?,
            None if *others == false => return Err(format!("unknown key {}", name.get_ref())),
            None if others.is_object() => validate(value.get_ref(), others, root)?,
            None => {}
        }
    }
    Ok(())
}
