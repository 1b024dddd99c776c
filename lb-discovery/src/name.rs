//! What a backend may be called.

/// Why this is no name, as the end of a sentence; `None` if it is one. A name must be
/// possible to type as part of `cluster/backend`, where `*` and `?` are wildcards.
pub(crate) fn refusal_of_name(name: &str) -> Option<String> {
    let odd =
        name.chars().find(|c| c.is_whitespace() || c.is_control() || "/*?,\"'`\\".contains(*c));
    match odd {
        _ if name.is_empty() => Some("the name is empty".to_owned()),
        _ if name.chars().count() > 128 => {
            Some("the name is longer than 128 characters".to_owned())
        }
        Some(odd) => Some(format!("`{}` cannot stand in a name", odd.escape_debug())),
        None => None,
    }
}
