//! The value of `--to`: `ADDR`, or `ADDR;weight=3;name=s1`.

use lb_core::{Backend, Weight};
use lb_proxy::config::parse_address;

/// Reads every backend of every `--to`. One value may hold several, separated by
/// commas or spaces, because an environment variable is one value.
///
/// # Errors
///
/// All mistakes, each a sentence.
pub(super) fn read_targets(values: &[String]) -> Result<Vec<Backend>, Vec<String>> {
    let mut backends: Vec<Backend> = Vec::new();
    let mut mistakes = Vec::new();
    let parts = values.iter().flat_map(|value| value.split([',', ' ', '\t', '\n']));
    for text in parts.filter(|text| !text.is_empty()) {
        match read_target(text) {
            Err(mistake) => mistakes.push(format!("`--to {text}`: {mistake}")),
            Ok(backend) => {
                let same = |other: &Backend| {
                    other.address() == backend.address() || other.name() == backend.name()
                };
                if backends.iter().any(same) {
                    mistakes.push(format!(
                        "`--to {text}`: it is there already; for a larger share write `;weight=2`"
                    ));
                }
                backends.push(backend);
            }
        }
    }
    if mistakes.is_empty() { Ok(backends) } else { Err(mistakes) }
}

fn read_target(text: &str) -> Result<Backend, String> {
    let mut parts = text.split(';');
    let address = parts.next().unwrap_or_default();
    let address = parse_address(address).map_err(|refused| refused.to_string())?;
    let mut backend = Backend::new(address.to_string());
    for option in parts {
        backend = match option.split_once('=') {
            Some(("weight", weight)) => {
                let weight = weight.parse().ok().and_then(Weight::new);
                backend.weighted(weight.ok_or("a weight is 1 to 65535")?)
            }
            Some(("name", name)) if !name.is_empty() => backend.named(name),
            _ => return Err(format!("`{option}` is not one of `weight=N`, `name=NAME`")),
        };
    }
    Ok(backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Vec<Backend>, Vec<String>> {
        read_targets(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
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
    fn every_mistake_is_named() {
        let mistakes = read(&["a", "b:1;weight=0", "c:1;colour=red", "d:1", "http://d:1"])
            .expect_err("four mistakes");
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        for (mistake, part) in mistakes.iter().zip(["port", "65535", "colour=red", "already"]) {
            assert!(mistake.contains(part), "{mistake}");
        }
    }
}
