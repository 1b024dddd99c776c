//! What a change does to the requests, before it is made. Pure.

use std::collections::BTreeMap;

use lb_core::{AdminState, Cluster, Health, Membership, cluster::Standing, health::Condition};

use super::{
    decided::{Decided, Passing},
    done::Impact,
    values::state_word,
};

/// Where a backend would stand, as far as that can be known before.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    tier: u8,
    weight: u64,
    /// What keeps it out, in words.
    out: Option<String>,
}

/// A cluster as it would be with some decisions.
#[derive(Debug, Clone)]
pub(crate) struct Prospect(Vec<Place>);

impl Prospect {
    /// With this set and these decisions, and the health that is known.
    pub(crate) fn of(
        cluster: &Cluster,
        set: &Membership,
        decided: &Decided,
        passing: &Passing,
    ) -> Self {
        let snapshot = cluster.snapshot();
        let view = snapshot.view();
        let conditions: BTreeMap<_, Condition> = cluster
            .conditions()
            .into_iter()
            .map(|condition| (condition.incarnation, condition))
            .collect();
        let place = |backend: &std::sync::Arc<lb_core::Backend>| {
            let decision = decided.get(backend.name());
            let state = decision.and_then(|decision| decision.state).unwrap_or_default();
            let state = state.and(backend.state());
            let slot = snapshot.find(backend.name());
            let slot = slot.filter(|slot| view.backend(*slot).is_same_incarnation_as(backend));
            let condition = slot.and_then(|slot| conditions.get(&view.incarnation(slot)));
            let is_used = slot.is_some_and(|slot| {
                matches!(view.standing(slot), Standing::Panic | Standing::HalfOpen)
            });
            let health = condition.map_or(Health::Unknown, |condition| condition.health);
            let leaves = passing.leaving.iter().any(|(one, _)| one.is_same_incarnation_as(backend));
            let out = if passing.joining.contains(backend.shared_name()) {
                Some("waits for its first check".to_owned())
            } else if leaves {
                Some("is being removed".to_owned())
            } else if state != AdminState::Enabled {
                Some(state_word(state).to_owned())
            } else if !health.is_usable() && !is_used {
                let why = condition.map(|condition| format!("{health}: {}", condition.reason));
                Some(why.unwrap_or_else(|| health.to_string()))
            } else {
                None
            };
            let weight = decision.and_then(|decision| decision.weight);
            Place {
                name: backend.name().to_owned(),
                tier: backend.tier(),
                weight: u64::from(weight.unwrap_or_else(|| backend.weight()).get()),
                out,
            }
        };
        Self(set.iter().map(place).collect())
    }

    fn usable(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| place.out.is_none())
    }

    /// How many can be used, of whatever tier.
    pub(crate) fn usable_count(&self) -> usize {
        self.usable().count()
    }

    /// The share of each that takes requests, by weight over the best tier that has any.
    fn shares(&self) -> BTreeMap<&str, f64> {
        let tier = self.usable().map(|place| place.tier).min();
        let used: Vec<&Place> = self.usable().filter(|place| Some(place.tier) == tier).collect();
        let total: u64 = used.iter().map(|place| place.weight).sum();
        used.into_iter().map(|one| (&*one.name, one.weight as f64 / total as f64)).collect()
    }

    /// Why nobody would be left: the last that can be used, and what is with the others.
    pub(crate) fn last_words(&self, cluster: &str, before: &Self) -> String {
        let lost: Vec<String> =
            before.usable().map(|place| format!("{cluster}/{}", place.name)).collect();
        let others =
            self.0.iter().filter(|place| !before.usable().any(|one| one.name == place.name));
        let others: Vec<String> = others
            .map(|place| format!("{} {}", place.name, place.out.as_deref().unwrap_or("usable")))
            .collect();
        let last = match &*lost {
            [one] => format!("{one} is the last usable backend of `{cluster}`"),
            many => format!("{} are the last usable backends of `{cluster}`", many.join(", ")),
        };
        if others.is_empty() { last } else { format!("{last} ({})", others.join(", ")) }
    }
}

/// From one prospect to another.
pub(crate) fn impact(cluster: &str, before: &Prospect, after: &Prospect, in_flight: u64) -> Impact {
    let (old, new) = (before.shares(), after.shares());
    let names: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let share = |shares: &BTreeMap<&str, f64>, name: &str| shares.get(name).copied().unwrap_or(0.0);
    let gains = names.iter().map(|name| (*name, share(&new, name) - share(&old, name)));
    let gains: Vec<(&str, f64)> = gains.collect();
    let gained: f64 = gains.iter().map(|(_, gain)| gain.max(0.0)).sum();
    let lost: f64 = gains.iter().map(|(_, gain)| (-gain).max(0.0)).sum();
    let share_moving = gained.max(lost);
    let usable_left = after.usable_count();
    let to: Vec<&str> =
        gains.iter().filter(|(_, gain)| *gain > 0.0).map(|(name, _)| *name).collect();
    let to = match to.len() {
        0 if share_moving > 0.0 => " → nobody".to_owned(),
        0 => String::new(),
        1..=3 => format!(" → {}", to.join(", ")),
        many => format!(" → {many} others"),
    };
    let moving = match share_moving {
        share if share < 0.000_5 => "no share moves".to_owned(),
        share => format!("share {:.0} %{to}", share * 100.0),
    };
    let requests = if in_flight == 1 { "request" } else { "requests" };
    let says =
        format!("{cluster}: {in_flight} {requests} in flight, {moving}; {usable_left} usable left");
    Impact { share_moving, in_flight, usable_left, says }
}

/// Of several clusters together.
pub(crate) fn together(all: &[Impact]) -> Impact {
    let says: Vec<&str> = all.iter().map(|one| &*one.says).collect();
    let says = says.join(". ");
    Impact {
        share_moving: all.iter().map(|one| one.share_moving).fold(0.0, f64::max),
        in_flight: all.iter().map(|one| one.in_flight).sum(),
        usable_left: all.iter().map(|one| one.usable_left).min().unwrap_or(0),
        says,
    }
}
