//! The values of options, whoever reads them.

use std::time::Duration;

use lb_core::{
    hash::Secret,
    strategy::{
        BoundedLoad, Compat, HashFunction, HashType, Measure, StrategyOption, StrategyOptions,
        Tickets,
    },
};

use crate::config::{
    diagnostics::Diagnostics,
    loader::Loader,
    reader::Value,
    secret::{MAKE_16, read_key as read_secret},
};

/// Reads options that are given. What cannot be read is reported, and stays what it is
/// unless said.
pub(super) fn read_options<'a>(
    given: impl Iterator<Item = (StrategyOption, Value<'a>)>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> StrategyOptions {
    let mut options = StrategyOptions::default();
    for (option, value) in given {
        // The secret is the only one that is somewhere else.
        match option {
            StrategyOption::Secret => {
                options.secret = read_secret(&value, MAKE_16, loader, out).map(Secret::new);
            }
            option => {
                let _ = set(&mut options, option, value);
            }
        }
    }
    options
}

/// Sets an option to what is given; `None` if that was reported.
fn set(options: &mut StrategyOptions, option: StrategyOption, value: Value<'_>) -> Option<()> {
    match option {
        StrategyOption::BoundedLoad => options.bounded_load = bounded_load(value)?,
        StrategyOption::Draws => options.draws = Some(u8::try_from(value.integer()?).ok()?),
        StrategyOption::Memory => options.memory = value.boolean()?,
        StrategyOption::Decay => options.decay = at_least_1ms(value)?,
        StrategyOption::StaleAfter => options.stale_after = at_least_1ms(value)?,
        StrategyOption::Tickets => options.tickets = meant(value, &TICKETS)?,
        StrategyOption::Measure => options.measure = meant(value, &MEASURES)?,
        StrategyOption::Compat => options.compat = Some(meant(value, &COMPATS)?),
        StrategyOption::HashType => options.hash_type = meant(value, &TYPES)?,
        StrategyOption::Function => options.function = Some(meant(value, &FUNCTIONS)?),
        StrategyOption::Avalanche => options.avalanche = Some(value.boolean()?),
        _ => {}
    }
    Some(())
}

/// Averages and ages are no finer than that.
fn at_least_1ms(value: Value<'_>) -> Option<Duration> {
    let place = value.clone();
    let duration = value.duration(Duration::from_nanos(1))?;
    if duration < Duration::from_millis(1) {
        place.wrong("must be at least 1ms", "too short");
        return None;
    }
    Some(duration)
}

pub(in crate::config) const TICKETS: [(&str, Tickets); 2] =
    [("exact", Tickets::Exact), ("blocks", Tickets::Blocks)];

pub(in crate::config) const MEASURES: [(&str, Measure); 2] =
    [("first-byte", Measure::FirstByte), ("last-byte", Measure::LastByte)];

pub(in crate::config) const COMPATS: [(&str, Compat); 1] = [("envoy", Compat::Envoy)];

pub(in crate::config) const TYPES: [(&str, HashType); 2] =
    [("map-based", HashType::MapBased), ("consistent", HashType::Consistent)];

pub(in crate::config) const FUNCTIONS: [(&str, HashFunction); 5] = [
    ("sdbm", HashFunction::Sdbm),
    ("djb2", HashFunction::Djb2),
    ("wt6", HashFunction::Wt6),
    ("crc32", HashFunction::Crc32),
    ("none", HashFunction::None),
];

/// The word for a value, as a file has it.
pub(in crate::config) fn word_for<T: Copy + PartialEq>(
    value: T,
    meanings: &[(&'static str, T)],
) -> Option<serde_json::Value> {
    meanings.iter().find(|(_, meaning)| *meaning == value).map(|(word, _)| (*word).into())
}

/// What a word of the key's description means.
fn meant<T: Copy>(value: Value<'_>, meanings: &[(&str, T)]) -> Option<T> {
    let word = value.word()?;
    meanings.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

fn bounded_load(value: Value<'_>) -> Option<BoundedLoad> {
    match value.is_text() {
        // The only word there is.
        true => value.word().map(|_| BoundedLoad::Off),
        false => value.number().map(BoundedLoad::Factor),
    }
}

#[cfg(test)]
mod tests;
