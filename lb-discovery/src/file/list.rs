//! One file with all backends: `backends = ["10.0.0.1:80", { address = … }]`.
//!
//! Pure: bytes to a membership, or why not. The file is taken whole or not at all.
//! It is one person's edit, and half of an edit is a state that nobody wrote; in a
//! folder, each file is an edit of its own.

use lb_core::{Backend, Membership};
use serde_json::Value;

use super::{
    description::Description,
    junk::Junk,
    syntax::{self, Syntax},
};
use crate::distinct::Distinct;

/// The backends of a file, in its order: the list `backends` of a TOML file or of
/// a JSON object, or a JSON list alone. Entries are written as in the
/// configuration: addresses, or tables with `address` and, if wanted, `name`,
/// `weight`, `tier`, `max_in_flight`, `zone` and `spare`.
///
/// # Errors
///
/// [`Junk`] with all reasons.
///
/// ```
/// use lb_discovery::file::{Syntax, read_list};
///
/// let text = br#"backends = ["10.0.0.1:80", { address = "10.0.0.2:80", weight = 3 }]"#;
/// assert_eq!(read_list(Syntax::Toml, text).unwrap().len(), 2);
/// ```
pub fn read_list(syntax: Syntax, content: &[u8]) -> Result<Membership, Junk> {
    let text = syntax::text(content)?;
    let value = match syntax {
        Syntax::Json => syntax::json(text)?,
        Syntax::Unknown if looks_like_json(text) => syntax::json(text)?,
        Syntax::Toml | Syntax::Unknown => syntax::toml(text)?,
    };
    let mut backends = Distinct::default();
    let mut reasons = Vec::new();
    for (index, entry) in entries(&value)?.iter().enumerate() {
        let reason = match read_entry(entry) {
            Ok(backend) => match backends.add(backend) {
                Ok(()) => continue,
                Err(taken) => taken.explain(&backends),
            },
            Err(junk) => junk.to_string(),
        };
        reasons.push(format!("entry {}: {reason}", index + 1));
    }
    if reasons.is_empty() { Ok(backends.into_membership()) } else { Err(all(reasons)) }
}

/// `[[` begins an array of tables in TOML, and no list of backends in JSON.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') || (text.starts_with('[') && !text.starts_with("[["))
}

fn entries(value: &Value) -> Result<&[Value], Junk> {
    if let Value::Array(entries) = value {
        return Ok(entries);
    }
    let Value::Object(table) = value else { return Err(Junk::new("it has no list `backends`")) };
    if let Some(other) = table.keys().find(|key| *key != "backends") {
        return Err(Junk(format!("there is no key `{other}`; known is backends")));
    }
    match table.get("backends") {
        Some(Value::Array(entries)) => Ok(entries),
        Some(_) => Err(Junk::new("`backends` must be a list")),
        None => Err(Junk::new("it has no list `backends`")),
    }
}

fn read_entry(entry: &Value) -> Result<Backend, Junk> {
    match entry {
        Value::String(address) => Description::at(address).into_backend(None),
        Value::Object(table) => Description::of_table(table)?.into_backend(None),
        _ => Err(Junk::new("it must be an address or a table")),
    }
}

fn all(mut reasons: Vec<String>) -> Junk {
    const SHOWN: usize = 10;
    if let Some(more) = reasons.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        reasons.truncate(SHOWN);
        reasons.push(format!("{more} more"));
    }
    Junk(reasons.join("; "))
}
