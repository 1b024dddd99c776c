//! Names of other balancers that say what is picked by.

use lb_core::strategy::StrategyKind;

use super::{Strategy, read_key_rule};

/// HAProxy's `balance` with what it hashes: `uri`, `hdr(NAME)`, `url_param NAME`.
pub(super) fn with_key_in_its_name(name: &str) -> Option<Strategy> {
    let key = match name.trim() {
        // Without the query, unless said.
        "uri" => "path".to_owned(),
        "uri whole" => "uri".to_owned(),
        name => match name.split_once(['(', ' ']) {
            Some(("hdr", name)) => format!("header:{}", name.strip_suffix(')')?),
            Some(("url_param", name)) => format!("query:{}", name.trim()),
            _ => return None,
        },
    };
    let rule = read_key_rule(&key).ok().filter(|rule| rule.parts().len() == 1)?;
    Strategy::from(StrategyKind::HaproxyHash).with_key(rule).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_haproxy_hashes_is_a_key() {
        for (name, key) in [
            ("uri", "path"),
            ("uri whole", "uri"),
            ("hdr(X-User)", "header:x-user"),
            ("url_param id", "query:id"),
        ] {
            let found = with_key_in_its_name(name).expect(name);
            assert_eq!(found.kind, StrategyKind::HaproxyHash);
            assert_eq!(found.key.expect(name).to_string(), key);
        }
        for name in ["hdr", "hdr()", "hdr(a", "hdr(a,b)", "url_param", "url_param ", "path"] {
            assert_eq!(with_key_in_its_name(name), None, "{name}");
        }
    }
}
