//! Defaults that depend on something else.
//!
//! The description of a key has one default. Where another one holds, the
//! configuration that was built knows it: this puts it into the list of settings,
//! next to what it depends on.

use lb_core::strategy::{KeyForm, P2c, ReportedLoad, StrategyKind, StrategyOption};

use super::{Cluster, Config, Strategy, keys::STRATEGY, reader::Setting};

/// Makes the defaults in a list of settings those that hold.
pub(super) fn correct_defaults(settings: &mut Vec<Setting>, config: &Config) {
    for (index, listener) in config.listeners.iter().enumerate() {
        // What lowers the one is the other.
        if listener.limits.target == listener.limits.header {
            copy(settings, &format!("listener[{index}].limits."), "target", "header");
            // Without any `[[listener]]`.
            copy(settings, "limits.", "target", "header");
        }
    }
    for cluster in &config.clusters {
        let path = path_of(cluster, settings);
        if cluster.health.as_ref().is_some_and(|check| check.timeout == check.interval) {
            copy(settings, &format!("{path}.health."), "timeout", "interval");
        }
        options_that_hold(settings, &format!("{path}.strategy"), &cluster.strategy);
    }
    for (index, route) in config.routes.iter().enumerate() {
        let path = format!("route[{index}].");
        let first = settings.iter().position(|setting| setting.key.starts_with(&path));
        let name = format!("{path}name");
        if let Some(first) = first
            && settings.iter().all(|setting| setting.key != name)
        {
            settings.insert(first, default(name, format!("{:?}", route.name)));
        }
    }
}

/// Where the settings of a cluster stand: those of the one that `to` makes are the
/// defaults.
fn path_of(cluster: &Cluster, settings: &[Setting]) -> String {
    let path = format!("cluster.{}", cluster.name);
    let is_there = settings.iter().any(|setting| setting.key.starts_with(&format!("{path}.")));
    if is_there { path } else { "defaults".to_owned() }
}

/// Of the options of a strategy those that mean something to it, each with what holds.
fn options_that_hold(settings: &mut Vec<Setting>, table: &str, strategy: &Strategy) {
    let kind = strategy.kind;
    let means_nothing = |key: &str| {
        let option = key.strip_prefix(table).and_then(|key| key.strip_prefix('.'));
        let option = option.and_then(|option| option.split('.').next());
        option.is_some_and(|name| {
            name != "name" && kind.options().iter().all(|option| option.name() != name)
        })
    };
    settings.retain(|setting| setting.place.is_some() || !means_nothing(&setting.key));
    let mut after = settings.iter().rposition(|setting| setting.key.starts_with(table));
    for option in kind.options() {
        let key = format!("{table}.{}", option.name());
        let described = STRATEGY.key(option.name()).and_then(|key| key.default);
        let value = usual(*option, strategy).or_else(|| described.map(str::to_owned));
        let is_there = settings.iter().any(|setting| setting.key == key);
        if let (false, Some(value), Some(at)) = (is_there, value, &mut after) {
            *at += 1;
            settings.insert(*at, default(key, value));
        }
    }
}

/// What an option is unless said, where that depends on the strategy.
fn usual(option: StrategyOption, strategy: &Strategy) -> Option<String> {
    let Strategy { kind, options, .. } = strategy;
    match option {
        StrategyOption::BoundedLoad => {
            Some(strategy.bound().map_or_else(|| "\"off\"".to_owned(), |bound| bound.to_string()))
        }
        StrategyOption::Draws if *kind == StrategyKind::ReportedLoad => {
            Some(ReportedLoad::DRAWS.to_string())
        }
        StrategyOption::Draws => Some(P2c::DRAWS.to_string()),
        StrategyOption::Avalanche => Some(options.mixes().to_string()),
        // An address is no text: nothing hashes it.
        StrategyOption::Function if options.key_form == KeyForm::Text => {
            Some("\"sdbm\"".to_owned())
        }
        _ => None,
    }
}

fn default(key: String, value: String) -> Setting {
    Setting { key, value, place: None, variables: None }
}

/// Gives a default the value of another key of its table.
fn copy(settings: &mut [Setting], table: &str, to: &str, from: &str) {
    let from = format!("{table}{from}");
    let from = settings.iter().find(|setting| setting.key == from);
    let Some(value) = from.map(|setting| setting.value.clone()) else { return };
    let to = format!("{table}{to}");
    if let Some(setting) = settings.iter_mut().find(|one| one.key == to && one.place.is_none()) {
        setting.value = value;
    }
}
