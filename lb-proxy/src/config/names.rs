//! What clusters and backends may be called, and what wildcards stand for.

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

/// Whether a text has a wildcard in it.
pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether a name is what a pattern stands for: `*` is any number of characters,
/// `?` is one. At most the product of both lengths.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
    // The last `*`, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[from] => {
                at += 1;
                from += 1;
            }
            _ => match &mut star {
                Some((place, taken)) => {
                    *taken += 1;
                    (at, from) = (*place + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_whole_name() {
        for (pattern, name) in [
            ("*.toml", "a.toml"),
            ("*", ""),
            ("a*b*c", "axbxxbc"),
            ("?.toml", "é.toml"),
            ("web", "web"),
            ("**", "x"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.toml", "a.toml~"), ("?", ""), ("a*b", "ac"), ("web", "webs")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
