//! From what people have set to what a file says. Pure.

use lb_proxy::config::{Config, Wording};
use serde_json::Value;

use super::{ask::Which, plan::Overrides, settings::tune, values::in_file};
use crate::state::{Field, Override, is_same};

/// Those that are meant, in the order in which they can be written: whoever is added is
/// there before anything is said of him.
pub(crate) fn meant(overrides: &Overrides, which: &Which) -> Vec<Override> {
    let is_meant = |one: &&Override| {
        let mut subjects = which.subjects.iter();
        let is_named = subjects.any(|(cluster, backend)| {
            one.subject.cluster() == cluster
                && backend.as_deref().is_none_or(|name| one.subject.backend() == Some(name))
        });
        let is_all = which.subjects.is_empty() && which.changes.is_empty();
        is_all || is_named || which.changes.contains(&one.change.get())
    };
    let mut meant: Vec<Override> = overrides.values().filter(is_meant).cloned().collect();
    meant.sort_by_key(|one| (!one.field.is_presence(), one.change));
    meant
}

/// How a file says it.
///
/// # Errors
///
/// Why a file cannot.
pub(crate) fn wording(of: &Override) -> Result<Wording, String> {
    match (of.field, of.field.keys()) {
        (Field::State, _) if !of.value.is_string() => {
            Err("it ends at a time, which a file cannot say".to_owned())
        }
        (Field::Added, _) => Ok(Wording::Backend(of.value.clone())),
        (Field::Removed, _) => Ok(Wording::Nothing),
        (_, Some(keys)) => Ok(Wording::Key(keys, of.value.clone())),
        (_, None) => {
            let table = of.field.key().map_or("", |(table, _)| table);
            Err(format!("in a file, `{table}` is there or `\"off\"`: write that by hand"))
        }
    }
}

/// Whether a configuration says what was set.
pub(crate) fn is_said(config: &Config, of: &Override) -> bool {
    let says = in_file(config, &of.subject, of.field);
    match of.field {
        Field::Removed => says.is_none(),
        Field::Added => says.is_some_and(|says| says["address"] == of.value["address"]),
        // In whatever words: with it on top, everything would be as it is.
        field if field.is_of_cluster() => {
            let mut clusters = config.clusters.iter();
            let cluster = clusters.find(|one| *one.name == *of.subject.cluster());
            let on_top = [((of.subject.clone(), field), of.clone())].into();
            cluster.is_some_and(|cluster| {
                tune(cluster, &on_top).is_ok_and(|tuned| tuned.cluster == *cluster)
            })
        }
        _ => says.is_some_and(|says: Value| is_same(&says, &of.value)),
    }
}
