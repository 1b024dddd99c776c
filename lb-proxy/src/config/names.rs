//! What clusters and backends may be called.

use super::reader::Text;

/// Why a text could not be typed as part of `cluster/backend`, where `*` and `?`
/// are wildcards; `None` if it can.
#[must_use]
pub fn name_problem(text: &str) -> Option<String> {
    let odd =
        text.chars().find(|c| c.is_whitespace() || c.is_control() || "/*?,\"'`\\".contains(*c));
    match odd {
        _ if text.is_empty() => Some("it is empty".to_owned()),
        _ if text.chars().count() > 128 => Some("it is longer than 128 characters".to_owned()),
        Some(odd) => Some(format!("`{}` cannot stand in a name", odd.escape_debug())),
        None => None,
    }
}

/// Reports a name that is none.
pub(super) fn check_name(name: &Text<'_>, what: &str) -> bool {
    let text = name.as_str();
    let Some(problem) = name_problem(text) else { return true };
    let error = name.error(format!("`{text}` is not a name for a {what}"), problem);
    name.report(
        error.help(
            "names are typed in commands as `cluster/backend`, with `*` and `?` as wildcards",
        ),
    );
    false
}
