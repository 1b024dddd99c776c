//! "Did you mean": the known word nearest to what was typed.

/// Words of other balancers and common slips, and what they are called here.
const CALLED: &[(&str, &[&str])] = &[
    ("servers", &["backends", "to"]),
    ("server", &["backends", "address", "listener", "to"]),
    ("nodes", &["backends"]),
    ("members", &["backends"]),
    ("upstream", &["cluster", "to"]),
    ("upstreams", &["cluster", "backends"]),
    ("pool", &["cluster"]),
    ("frontend", &["listener"]),
    ("port", &["listen", "bind"]),
    ("bind", &["listen"]),
    ("listen", &["bind"]),
    ("url", &["address"]),
    ("host", &["address"]),
    ("balance", &["strategy"]),
    ("algorithm", &["strategy"]),
    ("lb_policy", &["strategy"]),
    ("policy", &["strategy"]),
    ("prefix", &["path"]),
    ("location", &["path"]),
    ("cluster", &["to"]),
    ("backend", &["to", "backends"]),
    ("target", &["to"]),
    ("maxconn", &["max_in_flight", "connections"]),
    ("threads", &["workers"]),
    ("retries", &["retry", "attempts"]),
    ("inter", &["interval"]),
    ("uri", &["path"]),
    ("path_prefix", &["path"]),
    ("strip_prefix", &["strip"]),
];

/// The member of `known` that `typed` was probably meant to be.
#[must_use]
pub fn did_you_mean<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = typed.to_lowercase().replace('-', "_");
    let allowed = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&typed, &word.replace('-', "_")), word))
        .filter(|(distance, word)| *distance <= allowed && *distance < word.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The key that was probably meant by an unknown one, and a sentence that leads
/// there.
pub(super) fn which_key<'k>(
    typed: &str,
    known: &(impl Iterator<Item = &'k str> + Clone),
) -> Option<(&'k str, String)> {
    if let Some(word) = did_you_mean(typed, known.clone()) {
        return Some((word, format!("a key with a similar name exists: `{word}`")));
    }
    let (_, names) = CALLED.iter().find(|(word, _)| typed.eq_ignore_ascii_case(word))?;
    let word = names.iter().find_map(|name| known.clone().find(|known| known == name))?;
    Some((word, format!("this is called `{word}` here")))
}

/// `a`, `b`, `c`: words in the way they are shown in sentences.
pub(crate) fn code_list<'k>(words: impl IntoIterator<Item = &'k str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_their_word() {
        let known = ["strategy", "backends", "timeout", "to"];
        assert_eq!(did_you_mean("stratgy", known), Some("strategy"));
        assert_eq!(did_you_mean("Backend", known), Some("backends"));
        assert_eq!(did_you_mean("time-out", known), Some("timeout"));
    }

    #[test]
    fn words_of_other_balancers_find_theirs() {
        let which = |typed, known: &[&'static str]| {
            which_key(typed, &known.iter().copied()).map(|(_, sentence)| sentence)
        };
        assert_eq!(
            which("servers", &["to", "backends"]).as_deref(),
            Some("this is called `backends` here")
        );
        assert_eq!(
            which("Servers", &["to", "listen"]).as_deref(),
            Some("this is called `to` here")
        );
        assert_eq!(which("servers", &["path"]), None);
    }

    #[test]
    fn a_far_word_is_not_guessed() {
        assert_eq!(did_you_mean("colour", ["strategy", "to"]), None);
        assert_eq!(did_you_mean("x", ["to"]), None);
    }
}
