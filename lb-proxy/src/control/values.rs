//! Values as they are written down: those of the file, in JSON.

use std::{num::NonZeroU32, sync::LazyLock, time::Duration};

use lb_core::{AdminState, Backend, Tick, Weight};
use lb_proxy::{
    Address,
    config::{self, Config},
    now,
};
use serde_json::{Map, Value, json};

use super::{
    ask::{NewBackend, WantedState},
    event::unix_millis,
    settings::setting_in_file,
};
use crate::state::{Field, Subject};

/// One moment on both clocks. What is written down as a time of day and what the core
/// is told must agree for as long as we run, also where the clock on the wall jumps.
static ANCHOR: LazyLock<(Tick, u64)> = LazyLock::new(|| (now(), unix_millis()));

/// The time of day, as [`tick_of`] understands it.
pub(crate) fn present() -> u64 {
    unix_of(now())
}

/// When that is for the core; what is over was over at its start.
fn tick_of(unix: u64) -> Tick {
    let (tick, start) = *ANCHOR;
    match unix.checked_sub(start) {
        Some(later) => tick + Duration::from_millis(later),
        None => Tick::ZERO,
    }
}

/// The time of day of that.
pub(crate) fn unix_of(tick: Tick) -> u64 {
    let (start, unix) = *ANCHOR;
    unix + u64::try_from(tick.since(start).as_millis()).unwrap_or(0)
}

/// `"enabled"`, `"disabled"`, `"draining"`, or `{ draining = { until = … } }`.
pub(crate) fn state_value(wanted: WantedState) -> Value {
    match wanted {
        WantedState::Enabled => "enabled".into(),
        WantedState::Disabled => "disabled".into(),
        WantedState::Draining { limit: None } => "draining".into(),
        WantedState::Draining { limit: Some(limit) } => {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            json!({ "draining": { "until": present().saturating_add(limit) } })
        }
    }
}

pub(crate) fn read_state(value: &Value) -> Option<AdminState> {
    match value.as_str() {
        Some("enabled") => Some(AdminState::Enabled),
        Some("disabled") => Some(AdminState::Disabled),
        Some("draining") => Some(AdminState::Draining { until: None }),
        Some(_) => None,
        None => {
            let until = value.get("draining")?.get("until").and_then(Value::as_u64);
            Some(AdminState::Draining { until: until.map(tick_of) })
        }
    }
}

pub(crate) fn state_word(state: AdminState) -> &'static str {
    match state {
        AdminState::Enabled => "enabled",
        AdminState::Draining { .. } => "draining",
        AdminState::Disabled => "disabled",
    }
}

pub(crate) fn read_weight(value: &Value) -> Option<Weight> {
    Weight::new(u32::try_from(value.as_u64()?).ok()?)
}

pub(crate) fn read_ceiling(value: &Value) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(value.as_u64()?).ok()?)
}

/// A backend as a table of the file.
pub(crate) fn backend_value(backend: &Backend) -> Value {
    let mut table = Map::new();
    table.insert("address".to_owned(), backend.address().into());
    if backend.name() != backend.address() {
        table.insert("name".to_owned(), backend.name().into());
    }
    if backend.weight() != Weight::ONE {
        table.insert("weight".to_owned(), backend.weight().get().into());
    }
    if backend.tier() != 0 {
        table.insert("tier".to_owned(), backend.tier().into());
    }
    if let Some(most) = backend.max_in_flight() {
        table.insert("max_in_flight".to_owned(), most.get().into());
    }
    if let Some(zone) = backend.zone() {
        table.insert("zone".to_owned(), zone.into());
    }
    table.into()
}

pub(crate) fn read_backend(value: &Value) -> Option<Backend> {
    let mut backend = Backend::new(value.get("address")?.as_str()?);
    if let Some(name) = value.get("name").and_then(Value::as_str) {
        backend = backend.named(name);
    }
    if let Some(weight) = value.get("weight").and_then(read_weight) {
        backend = backend.weighted(weight);
    }
    if let Some(tier) = value.get("tier").and_then(Value::as_u64) {
        backend = backend.in_tier(u8::try_from(tier).ok()?);
    }
    if let Some(most) = value.get("max_in_flight").and_then(read_ceiling) {
        backend = backend.with_max_in_flight(most);
    }
    if let Some(zone) = value.get("zone").and_then(Value::as_str) {
        backend = backend.in_zone(zone);
    }
    Some(backend)
}

/// A backend as somebody typed it, or the field that is wrong with it and why.
pub(crate) fn new_backend(said: &NewBackend) -> Result<Backend, (&'static str, String)> {
    let address: Address = said
        .address
        .parse()
        .map_err(|error: lb_proxy::AddressError| ("address", error.to_string()))?;
    let mut backend = Backend::new(address.to_string());
    if let Some(name) = &said.name {
        if let Some(problem) = config::name_problem(name) {
            return Err(("name", problem));
        }
        backend = backend.named(name);
    }
    if let Some(weight) = said.weight {
        backend = backend.weighted(weight_of(weight).map_err(|why| ("weight", why))?);
    }
    if let Some(tier) = said.tier {
        backend = backend.in_tier(tier);
    }
    if let Some(most) = said.max_in_flight {
        let most = NonZeroU32::new(most).ok_or_else(|| ("max_in_flight", NO_CEILING.to_owned()))?;
        backend = backend.with_max_in_flight(most);
    }
    if let Some(zone) = said.zone.as_ref().filter(|zone| !zone.is_empty()) {
        if zone.chars().any(char::is_control) {
            return Err(("zone", "must be one line of text".to_owned()));
        }
        backend = backend.in_zone(zone);
    }
    Ok(backend)
}

pub(crate) const NO_CEILING: &str = "must be 1 or more; nobody new at all is `draining`";

pub(crate) fn weight_of(weight: u32) -> Result<Weight, String> {
    Weight::new(weight).ok_or_else(|| match weight {
        0 => "must be 1 to 65535; nobody new at all is `draining`".to_owned(),
        _ => "must be 1 to 65535; only the ratio counts".to_owned(),
    })
}

/// A tombstone on this life of a backend.
pub(crate) fn tombstone(backend: &Backend) -> Value {
    json!({ "address": backend.address(), "instance": backend.source_instance() })
}

/// What the file says of a field; null where it says nothing.
pub(crate) fn said_by_file(config: &Config, subject: &Subject, field: Field) -> Value {
    in_file(config, subject, field).unwrap_or(Value::Null)
}

/// The same; `None` where the file does not have the subject.
pub(crate) fn in_file(config: &Config, subject: &Subject, field: Field) -> Option<Value> {
    let cluster = config.clusters.iter().find(|cluster| *cluster.name == *subject.cluster())?;
    let Some(name) = subject.backend() else { return Some(setting_in_file(cluster, field)) };
    let backend = cluster.backends.iter().find(|backend| backend.name() == name)?;
    Some(match field {
        Field::State => state_word(backend.state()).into(),
        Field::Weight => backend.weight().get().into(),
        Field::MaxInFlight => backend.max_in_flight().map_or(Value::Null, |most| most.get().into()),
        Field::Added => backend_value(backend),
        Field::Removed => backend.address().into(),
        Field::Strategy | Field::Key(_) => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_the_same_there_and_back() {
        let all = Backend::new("10.0.0.1:80").named("a").in_tier(2).in_zone("z");
        let all = all.weighted(Weight::MAX).with_max_in_flight(NonZeroU32::MIN);
        for backend in [Backend::new("10.0.0.1:80"), all] {
            assert_eq!(read_backend(&backend_value(&backend)), Some(backend));
        }
    }

    #[test]
    fn a_drain_ends_at_the_same_moment_however_often_it_is_read() {
        let drain = state_value(WantedState::Draining { limit: Some(Duration::from_secs(9)) });
        let state = read_state(&drain);
        assert!(matches!(state, Some(AdminState::Draining { until: Some(_) })), "{state:?}");
        assert_eq!(state, read_state(&drain));
    }
}
