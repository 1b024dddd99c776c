//! The value of `--to`: `ADDR`, or `ADDR;weight=3;name=s1;backup`.

use lb_core::{Backend, Weight};
use lb_proxy::{
    Address,
    config::{address_help, name_problem},
};

/// Reads every backend of every `--to`. One value may hold several, separated by
/// commas or spaces, because an environment variable is one value. `said_by` is
/// the flag or the variable.
///
/// # Errors
///
/// All mistakes, each a sentence.
pub(super) fn read_targets(said_by: &str, values: &[String]) -> Result<Vec<Backend>, Vec<String>> {
    let mut backends: Vec<Backend> = Vec::new();
    let mut mistakes = Vec::new();
    let parts = values.iter().flat_map(|value| value.split([',', ' ', '\t', '\n']));
    for text in parts.filter(|text| !text.is_empty()) {
        match read_target(text) {
            Err(mistake) => mistakes.push(format!("`{said_by} {text}`: {mistake}")),
            Ok(backend) => {
                let same = |other: &Backend| {
                    other.address() == backend.address() || other.name() == backend.name()
                };
                if backends.iter().any(same) {
                    mistakes.push(format!(
                        "`{said_by} {text}`: it is there already; for a larger share write `;weight=2`"
                    ));
                }
                backends.push(backend);
            }
        }
    }
    if backends.is_empty() && mistakes.is_empty() {
        mistakes.push(format!("`{said_by}` names no backend; write it like `127.0.0.1:9001`"));
    }
    if mistakes.is_empty() { Ok(backends) } else { Err(mistakes) }
}

fn read_target(text: &str) -> Result<Backend, String> {
    let mut parts = text.split(';');
    let address = parts.next().unwrap_or_default();
    let address: Address =
        address.parse().map_err(|error| match address_help(address, &error) {
            Some(help) => format!("{error} ({help})"),
            None => error.to_string(),
        })?;
    let mut backend = Backend::new(address.to_string());
    let mut seen = Vec::new();
    for option in parts {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if seen.contains(&key) {
            return Err(format!("`{key}` is given twice"));
        }
        seen.push(key);
        backend = match key {
            "weight" => {
                let weight = value.parse().ok().and_then(Weight::new);
                backend.weighted(weight.ok_or("a weight is 1 to 65535")?)
            }
            "name" => match name_problem(value) {
                None => backend.named(value),
                Some(problem) => return Err(format!("`{value}` is not a name: {problem}")),
            },
            "backup" if option == key => backend.in_tier(1),
            "spare" if option == key => backend.spare(true),
            _ => {
                return Err(format!(
                    "`{option}` is not one of `weight=N`, `name=NAME`, `backup`, `spare`"
                ));
            }
        };
    }
    Ok(backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Vec<Backend>, Vec<String>> {
        read_targets("--to", &values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn one_value_may_hold_several_backends() {
        let backends =
            read(&["127.0.0.1:1;weight=3, b:2", "http://c:3;name=see"]).expect("all fine");
        let shown: Vec<_> = backends
            .iter()
            .map(|backend| (backend.name(), backend.address(), backend.weight().get()))
            .collect();
        assert_eq!(
            shown,
            [("127.0.0.1:1", "127.0.0.1:1", 3), ("b:2", "b:2", 1), ("see", "c:3", 1)]
        );
    }

    #[test]
    fn a_backup_and_a_spare_are_said_in_a_word() {
        let backends = read(&["a:1, b:1;backup;weight=2, c:1;spare"]).expect("all fine");
        let said = backends.iter().map(|backend| (backend.tier(), backend.is_spare()));
        assert_eq!(said.collect::<Vec<_>>(), [(0, false), (1, false), (0, true)]);
        read(&["a:1;spare=yes"]).expect_err("a word says it all");
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes = read(&[
            "a",
            "b:1;weight=0",
            "c:1;colour=red",
            "d:1",
            "http://d:1",
            "e:1;name=a/b",
            "f:1;name=",
            "g:1;weight=1;weight=9",
        ])
        .expect_err("seven mistakes");
        let parts = ["port", "65535", "colour=red", "already", "`/` cannot", "empty", "twice"];
        assert_eq!(mistakes.len(), parts.len(), "{mistakes:?}");
        for (mistake, part) in mistakes.iter().zip(parts) {
            assert!(mistake.contains(part), "{mistake}");
        }
    }

    #[test]
    fn nobody_is_not_a_set_of_backends() {
        for values in [&[""][..], &[" ,"], &["", "\n"]] {
            let mistakes = read(values).expect_err("nobody");
            assert!(mistakes[0].contains("names no backend"), "{mistakes:?}");
        }
    }
}
