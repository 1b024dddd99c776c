//! What a server says, made fit for a terminal: the one place where it is.
//!
//! A name, a reason or a body may have been made up by anybody, and a terminal does what
//! control characters tell it: overwrite lines, set titles, answer. Those that turn the
//! direction of writing make a line look like another. So they are shown, like `\u{1b}`,
//! and not sent. Answers in JSON have them escaped as JSON does it.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads an answer, every text in it made fit.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut value = serde_json::from_str(text)?;
    clean(&mut value);
    serde_json::from_value(value)
}

/// JSON as it came, but for characters that JSON lets stand and a terminal would obey.
pub(super) fn raw(text: &str) -> String {
    let escape = |char: char| match char {
        // Between values; in texts they are escaped anyway.
        '\n' | '\r' | '\t' => char.to_string(),
        char if is_odd(char) => format!("\\u{:04x}", u32::from(char)),
        char => char.to_string(),
    };
    text.chars().map(escape).collect()
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(is_odd) => *text = shown(text),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(table) => {
            let names: Vec<String> =
                table.keys().filter(|name| name.contains(is_odd)).cloned().collect();
            for name in names {
                if let Some(value) = table.remove(&name) {
                    table.insert(shown(&name), value);
                }
            }
            table.values_mut().for_each(clean);
        }
        _ => {}
    }
}

fn shown(text: &str) -> String {
    let show = |char: char| match is_odd(char) {
        true => char.escape_unicode().to_string(),
        false => char.to_string(),
    };
    text.chars().map(show).collect()
}

fn is_odd(char: char) -> bool {
    match char {
        // Of texts that have several lines.
        '\n' => false,
        char if char.is_control() => true,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        char => char == '\u{61c}' || char == '\u{2028}' || char == '\u{2029}',
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let hostile = json!({
            "why": "\u{1b}]0;owned\u{7}\r\u{9b}2J\u{202e}gpj.exe", "n": 3,
            "list": ["a\u{8}b", { "\u{1b}[31mkey": null }],
        });
        let read: Value = read(&hostile.to_string()).unwrap();
        let expected = json!({
            "why": "\\u{1b}]0;owned\\u{7}\\u{d}\\u{9b}2J\\u{202e}gpj.exe", "n": 3,
            "list": ["a\\u{8}b", { "\\u{1b}[31mkey": null }],
        });
        assert_eq!(read, expected);
        let raw = raw(&hostile.to_string());
        assert!(!raw.contains(is_odd), "{raw}");
        assert_eq!(serde_json::from_str::<Value>(&raw).unwrap(), hostile, "it is the same JSON");
    }
}
