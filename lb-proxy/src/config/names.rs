//! What clusters and backends may be called.

use super::reader::Text;

/// Reports a name that could not be typed as part of `cluster/backend`, where
/// `*` and `?` are wildcards.
pub(super) fn check_name(name: &Text<'_>, what: &str) -> bool {
    let text = name.as_str();
    let odd =
        text.chars().find(|c| c.is_whitespace() || c.is_control() || "/*?,\"'`\\".contains(*c));
    let label = match odd {
        _ if text.is_empty() => "it is empty".to_owned(),
        _ if text.chars().count() > 128 => "it is longer than 128 characters".to_owned(),
        Some(odd) => format!("`{}` cannot stand in a name", odd.escape_debug()),
        None => return true,
    };
    let error = name.error(format!("`{text}` is not a name for a {what}"), label);
    name.report(
        error.help(
            "names are typed in commands as `cluster/backend`, with `*` and `?` as wildcards",
        ),
    );
    false
}
