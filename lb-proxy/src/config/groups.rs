//! `tiers_overflow`, `zone_aware` and `subset`: who of a cluster's backends takes what.

use std::num::NonZeroU32;

use lb_core::{
    Backend,
    cluster::{Overflow, Policy, Subset, Zone},
};

use super::reader::{Table, Value};

/// Reads the three keys into `policy`.
pub(super) fn read_groups(table: &mut Table<'_>, policy: &mut Policy) {
    policy.overflow = table.take("tiers_overflow").and_then(read_overflow);
    policy.subset = table.take("subset").and_then(read_subset);
    policy.zone = table.take("zone_aware").and_then(read_zone);
}

/// Warns where a cluster asks for its zone and no backend says one. What `[defaults]` ask
/// for is for those that have zones.
pub(super) fn warn_of_no_zones(table: &Table<'_>, cluster: &str, backends: &[Backend]) {
    let place = table.clone().take("zone_aware").filter(|zone| zone.path().starts_with("cluster."));
    let Some(place) = place else { return };
    if !backends.is_empty() && backends.iter().all(|backend| backend.zone().is_none()) {
        let message = format!("no backend of cluster `{cluster}` says its zone");
        place.report(
            place
                .warning(message, "nobody is preferred")
                .help("write `{ address = \"10.0.0.1:3000\", zone = \"eu-1a\" }`"),
        );
    }
}

fn read_zone(value: Value<'_>) -> Option<Zone> {
    if value.is_off() {
        return None;
    }
    let own = value.text()?;
    // A variable that is not set: where the balancer is, nobody knows.
    (!own.as_str().is_empty()).then(|| Zone { own: own.as_str().into() })
}

fn read_overflow(value: Value<'_>) -> Option<Overflow> {
    match value.as_bool() {
        Some(spills) => spills.then(Overflow::default),
        None if value.is_text() => {
            let error = value.error("must be true, false or a factor", "this is a string");
            value.report(error.help("write `true`, which is `1.4`"));
            None
        }
        None => value.number().map(|factor| Overflow { factor }),
    }
}

fn read_subset(value: Value<'_>) -> Option<Subset> {
    if value.is_off() {
        return None;
    }
    let mut table = value.into_table()?;
    let (size, instance) = (table.take("size"), table.take("instance"));
    for (key, is_there, question, help) in [
        ("size", size.is_some(), "how many?", "add `size = 20`"),
        ("instance", instance.is_some(), "which one is this?", "add `instance = \"${INSTANCE}\"`"),
    ] {
        if !is_there {
            table.report(table.missing(key, question).help(help));
        }
    }
    let size = size.and_then(Value::integer);
    let instance = instance.and_then(read_instance);
    table.finish();
    let size = NonZeroU32::new(u32::try_from(size?).ok()?)?;
    Some(Subset { size, instance: instance? })
}

/// A number, or a string with one, as it is another on every balancer and so comes from
/// a variable.
fn read_instance(value: Value<'_>) -> Option<u32> {
    if !value.is_text() {
        return u32::try_from(value.integer()?).ok();
    }
    let text = value.clone().text()?;
    let number = text.as_str().trim().parse().ok();
    if number.is_none() {
        let label = format!("`{}` is not one of these numbers", text.as_str());
        value.wrong("must be 0 to 4294967295", &label);
    }
    number
}
