//! Keys and tokens: `{ file = "…" }`, `{ env = "…" }`, or the text itself.
//!
//! A secret is never part of a diagnostic, a description or the effective
//! configuration.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    diagnostics::Diagnostics,
    loader::{Loader, NotText},
    reader::Value,
};

/// How to make one of 16 bytes, for help texts.
pub(super) const MAKE_16: &str =
    "16 random bytes in base64, as of `head -c 16 /dev/urandom | base64`";

/// Reads a key of so many bytes; `make` says how one is made.
pub(super) fn read_key<const N: usize>(
    value: &Value<'_>,
    make: &str,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Option<[u8; N]> {
    let text = read_secret(value.clone(), "key", loader, out)?;
    let bytes = STANDARD.decode(text.trim());
    let key = bytes.as_deref().ok().and_then(|bytes| bytes.try_into().ok());
    if key.is_none() {
        let label = match bytes {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(_) => "not base64".to_owned(),
        };
        out.push(value.error("is not a key", &label).help(format!("a key is {make}")));
    }
    key
}

/// Reads a secret; `what` says of which kind.
pub(super) fn read_secret(
    value: Value<'_>,
    what: &str,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Option<String> {
    if value.is_text() {
        let place = value.clone();
        let text = value.text()?;
        if !text.is_expanded() {
            out.hide(text.span());
            let message = format!("`{}` is written in the file", text.path());
            out.push(
                place
                    .warning(message, "whoever reads the file knows it")
                    .help("write `{ file = \"…\" }` or `{ env = \"…\" }`"),
            );
        }
        return Some(text.as_str().to_owned());
    }
    if !value.is_table() {
        out.push(
            value
                .error(&format!("must be a {what} or say where it is"), "this does neither")
                .help("write `{ file = \"…\" }` or `{ env = \"…\" }`"),
        );
        return None;
    }
    let whole = value.clone();
    let mut table = value.into_table()?;
    let (file, variable) = (table.take_str("file"), table.take_str("env"));
    table.finish();
    match (file, variable) {
        (Some(file), None) => {
            let path = out.beside(&file.span(), file.as_str());
            let text = loader.read(&path);
            if let Err(error) = &text {
                let message = format!("cannot read the {what} `{}`", path.display());
                out.push(file.error(message, error.to_string()));
            }
            text.ok()
        }
        (None, Some(variable)) => {
            let name = variable.as_str();
            let problem = match loader.variable(name) {
                Ok(Some(text)) => return Some(text),
                Ok(None) => "is not set",
                Err(NotText) => "is not text in UTF-8",
            };
            out.push(variable.error(format!("the variable `{name}` {problem}"), "needed here"));
            None
        }
        (one, _) => {
            out.push(whole.error(
                "must have either `file` or `env`",
                if one.is_some() { "it has both" } else { "it has neither" },
            ));
            None
        }
    }
}
