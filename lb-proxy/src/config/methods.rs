//! Methods of requests.

use http::Method;

use super::reader::Text;

/// Reads a method. They are written in capitals: `get` is another method than `GET`.
pub(super) fn read_method(text: &Text<'_>) -> Option<Method> {
    let written = text.as_str();
    let capitals = written.to_ascii_uppercase();
    let found = Method::from_bytes(written.as_bytes()).ok().filter(|_| capitals == written);
    if found.is_none() {
        let error = text.error(format!("`{written}` is not a method"), "no client sends this");
        text.report(match Method::from_bytes(capitals.as_bytes()) {
            Ok(method) => error.help(format!("write `{method}`")),
            Err(_) => error.help("write it like `GET`"),
        });
    }
    found
}
