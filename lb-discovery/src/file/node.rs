//! The file of one node: `10.0.0.1 3000 weight=3`, or JSON, or TOML.
//!
//! Pure: bytes to a backend, or why not. The one-line form is what a shell script
//! writes; whoever has a library writes JSON. A file is taken whole or not at all,
//! so that a typing error in a weight does not become a weight of 1.

use lb_core::Backend;
use serde_json::Value;

use super::{
    description::{Description, Quoted, check_name},
    junk::Junk,
    syntax::{self, Syntax},
};

/// The backend that a file of this name describes. It is called like the file,
/// without an extension that says how it is written.
///
/// Without such an extension the content tells: `{` begins JSON, `key =` begins
/// TOML, all else is the line `ip port`, `ip:port` or `name:port` and then
/// `key=value`, with keys `weight`, `tier`, `max_in_flight`, `zone` and `spare`. Lines that begin
/// with `#` are comments.
///
/// # Errors
///
/// [`Junk`] with the reason.
///
/// ```
/// use lb_discovery::file::read_node;
///
/// let backend = read_node("6efae4ff505f", b"127.0.0.1 3001 weight=3\n").unwrap();
/// assert_eq!(backend.name(), "6efae4ff505f");
/// assert_eq!(backend.address(), "127.0.0.1:3001");
/// assert_eq!(backend.weight().get(), 3);
/// ```
pub fn read_node(file_name: &str, content: &[u8]) -> Result<Backend, Junk> {
    let (syntax, name) = Syntax::of_file_name(file_name);
    check_name(name)?;
    let text = syntax::text(content)?;
    let description = match syntax {
        Syntax::Json => table(&syntax::json(text)?)?,
        Syntax::Toml => table(&syntax::toml(text)?)?,
        Syntax::Unknown if text.trim_start().starts_with('{') => table(&syntax::json(text)?)?,
        Syntax::Unknown => match lines(text).next() {
            Some(first) if begins_with_key(first) => table(&syntax::toml(text)?)?,
            _ => line(text)?,
        },
    };
    description.into_backend(Some(name))
}

fn table(value: &Value) -> Result<Description, Junk> {
    match value {
        Value::Object(table) => Description::of_table(table),
        _ => Err(Junk::new("it must be a table with `address`")),
    }
}

/// Lines that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn begins_with_key(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| !key.trim_end().contains([' ', '\t', ':']))
}

fn line(text: &str) -> Result<Description, Junk> {
    let mut all = lines(text);
    let Some(line) = all.next() else { return Err(Junk::new("it has only comments")) };
    if all.next().is_some() {
        return Err(Junk::new("it has more than one line: one file, one node"));
    }
    let mut words = line.split_whitespace().peekable();
    let host = words.next().unwrap_or_default();
    let mut description = match words.next_if(|word| !word.contains('=')) {
        Some(port) => Description::at_port(host, port)?,
        None => Description::at(host),
    };
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(Junk(format!("`{word}` is not `key=value`")));
        };
        description.set(key, value, Quoted::Never)?;
    }
    Ok(description)
}
