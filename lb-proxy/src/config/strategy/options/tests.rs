use lb_core::strategy::StrategyKind;
use toml::de::DeTable;

use super::*;
use crate::config::{Pretended, keys::STRATEGY, reader::Table};

/// All options of a text, as no strategy would take them.
fn options(text: &str) -> (StrategyOptions, String) {
    let (config, out) =
        crate::config::Config::parse("x.toml", "to = [\"a:1\"]", &Pretended::default());
    config.expect("a file to report about");
    let (document, mistakes) = DeTable::parse_recoverable(text);
    assert!(mistakes.is_empty(), "{text}");
    let mut table = Table::root(std::iter::once((document.get_ref(), 0)), &STRATEGY, &out);
    let given: Vec<_> = StrategyOption::ALL
        .iter()
        .filter_map(|option| Some((*option, table.take(option.name())?)))
        .collect();
    let options = read_options(given.into_iter(), &Pretended::default(), &out);
    let found: Vec<_> = out.to_vec().iter().map(|found| found.message().to_owned()).collect();
    (options, found.join("\n"))
}

#[test]
fn every_option_is_described_and_nothing_else() {
    for option in StrategyOption::ALL {
        assert!(STRATEGY.key(option.name()).is_some(), "{}", option.name());
    }
    assert_eq!(STRATEGY.keys().count(), StrategyOption::ALL.len() + 1, "those and the name");
    for kind in StrategyKind::ALL {
        assert!(kind.options().iter().all(|option| StrategyOption::ALL.contains(option)));
    }
}

#[test]
fn every_option_is_read() {
    let usual = StrategyOptions::default();
    let text = Duration::from_secs(3);
    for (line, expected) in [
        ("bounded_load = 2", StrategyOptions { bounded_load: BoundedLoad::Factor(2.0), ..usual }),
        ("bounded_load = \"off\"", StrategyOptions { bounded_load: BoundedLoad::Off, ..usual }),
        ("draws = 8", StrategyOptions { draws: Some(8), ..usual }),
        ("memory = true", StrategyOptions { memory: true, ..usual }),
        ("decay = \"3s\"", StrategyOptions { decay: text, ..usual }),
        ("stale_after = \"3s\"", StrategyOptions { stale_after: text, ..usual }),
        ("tickets = \"blocks\"", StrategyOptions { tickets: Tickets::Blocks, ..usual }),
        ("measure = \"last-byte\"", StrategyOptions { measure: Measure::LastByte, ..usual }),
        ("compat = \"envoy\"", StrategyOptions { compat: Some(Compat::Envoy), ..usual }),
        ("type = \"consistent\"", StrategyOptions { hash_type: HashType::Consistent, ..usual }),
        ("function = \"wt6\"", StrategyOptions { function: Some(HashFunction::Wt6), ..usual }),
        ("avalanche = false", StrategyOptions { avalanche: Some(false), ..usual }),
    ] {
        let (read, found) = options(line);
        assert_eq!((read, &*found), (expected, ""), "{line}");
        assert_ne!(read, usual, "{line}");
    }
}

#[test]
fn every_word_that_is_described_has_a_meaning() {
    for option in StrategyOption::ALL {
        let shape = STRATEGY.key(option.name()).expect("described").shape;
        for word in shape.words().unwrap_or_default() {
            let line = format!("{} = {word:?}", option.name());
            let (_, found) = options(&line);
            assert_eq!(found, "", "{line}");
        }
    }
    let meanings = |of: usize, name: &str| {
        let words = STRATEGY.key(name).and_then(|key| key.shape.words()).expect("words");
        assert_eq!(words.len(), of, "{name}");
    };
    meanings(TICKETS.len(), "tickets");
    meanings(MEASURES.len(), "measure");
    meanings(TYPES.len(), "type");
    meanings(FUNCTIONS.len(), "function");
}

#[test]
fn what_is_out_of_range_is_said() {
    for (line, expected) in [
        ("draws = 1", "must be 2 to 8"),
        ("draws = 9", "must be 2 to 8"),
        ("decay = \"0s\"", "must be longer than zero"),
        ("decay = \"5us\"", "must be at least 1ms"),
        ("stale_after = 3", "needs a unit"),
        ("bounded_load = 0.9", "must be 1.0 to 100.0"),
        ("memory = \"yes\"", "must be true or false"),
    ] {
        let (read, found) = options(line);
        assert!(found.contains(expected), "{line}: {found}");
        assert_eq!(read, StrategyOptions::default(), "{line}");
    }
}
