//! Defaults that depend on something else.
//!
//! The description of a key has one default. Where another one holds, the
//! configuration that was built knows it: this puts it into the list of settings,
//! next to what it depends on.

use lb_core::strategy::StrategyOption;

use super::{Config, Strategy, reader::Setting};

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
        let path = format!("cluster.{}", cluster.name);
        if cluster.health.as_ref().is_some_and(|check| check.timeout == check.interval) {
            copy(settings, &format!("{path}.health."), "timeout", "interval");
        }
        let bound = format!("{path}.strategy.bounded_load");
        let own = format!("{path}.strategy");
        let Strategy { kind, options } = &cluster.strategy;
        let usual = options.bounded_load.or_usual(kind.usual_bound());
        if !kind.options().contains(&StrategyOption::BoundedLoad) {
            settings.retain(|setting| setting.key != bound || setting.place.is_some());
        } else if settings.iter().all(|setting| setting.key != bound)
            && let Some(at) = settings.iter().position(|setting| setting.key == own)
        {
            let value = usual.map_or_else(|| "\"off\"".to_owned(), |load| load.to_string());
            settings.insert(at + 1, default(bound, value));
        }
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

fn default(key: String, value: String) -> Setting {
    Setting { key, value, place: None }
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
