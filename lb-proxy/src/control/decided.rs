//! What people decided of the backends of one cluster, and what that makes of the set
//! that file and sources report. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use lb_core::{AdminState, Backend, Membership, Weight};
use serde_json::Value;

use super::values::{read_backend, read_ceiling, read_state, read_weight};
use crate::state::{Field, Override};

/// What people decided, by backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Decided(Vec<Decision>);

/// What people decided of one backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Decision {
    name: Arc<str>,
    pub(crate) state: Option<AdminState>,
    pub(crate) weight: Option<Weight>,
    pub(crate) max_in_flight: Option<NonZeroU32>,
    pub(crate) added: Option<Backend>,
    removed: Option<Tombstone>,
}

/// On one life of a backend.
#[derive(Debug, Clone, PartialEq)]
struct Tombstone {
    address: String,
    instance: Option<String>,
}

impl Tombstone {
    fn is_on(&self, backend: &Backend) -> bool {
        self.address == backend.address() && self.instance.as_deref() == backend.source_instance()
    }
}

/// What has to be known beside decisions to make a set of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Passing {
    /// Added, and waiting for a first check that passes.
    pub(crate) joining: BTreeSet<Arc<str>>,
    /// Removed, and drained first, with the end of it.
    pub(crate) leaving: Vec<(Backend, AdminState)>,
}

/// What a cluster is told of one backend besides its description.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Laid {
    pub(crate) state: AdminState,
    pub(crate) weight: Option<Weight>,
}

impl Decided {
    /// The decisions that overrides of one cluster come to. In the order in which they
    /// were made, so that added backends stay in theirs.
    pub(crate) fn of<'o>(cluster: &str, overrides: impl IntoIterator<Item = &'o Override>) -> Self {
        let mut overrides: Vec<&Override> =
            overrides.into_iter().filter(|one| one.subject.cluster() == cluster).collect();
        overrides.sort_by_key(|one| one.change);
        let mut decided = Self::default();
        for one in overrides {
            let Some(name) = one.subject.backend() else { continue };
            let decision = decided.entry(name);
            match one.field {
                Field::State => decision.state = read_state(&one.value),
                Field::Weight => decision.weight = read_weight(&one.value),
                Field::MaxInFlight => decision.max_in_flight = read_ceiling(&one.value),
                Field::Added => decision.added = read_backend(&one.value),
                Field::Removed => decision.removed = read_tombstone(&one.value),
                Field::Strategy | Field::Key(_) => {}
            }
        }
        decided
    }

    fn entry(&mut self, name: &str) -> &mut Decision {
        let position = self.0.iter().position(|decision| *decision.name == *name);
        let position = position.unwrap_or_else(|| {
            self.0.push(Decision { name: name.into(), ..Decision::default() });
            self.0.len() - 1
        });
        &mut self.0[position]
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Decision> {
        self.0.iter().find(|decision| *decision.name == *name)
    }

    /// The set with what was decided of it: who was removed is not in it, who was added
    /// comes last. `listed` are those that the file has; what sources say of a state
    /// is not lifted by anybody.
    pub(crate) fn patch(
        &self,
        reported: &Membership,
        listed: &BTreeSet<Arc<str>>,
        passing: &Passing,
    ) -> Membership {
        let leaves = |name: &str| passing.leaving.iter().any(|(one, _)| one.name() == name);
        let nothing = Decision::default();
        let mut set: Vec<Backend> = Vec::new();
        let reported_names: BTreeSet<&str> =
            reported.iter().map(|backend| backend.name()).collect();
        for backend in reported.iter() {
            // Whoever joins does so whether the file has him by now or not.
            let decision = self.get(backend.name()).unwrap_or(&nothing);
            if let Some(added) = &decision.added {
                set.push(decision.describe(added.clone(), true, passing));
            } else if decision.removed.as_ref().is_some_and(|grave| grave.is_on(backend))
                && !leaves(backend.name())
            {
                // It is gone.
            } else {
                let is_listed = listed.contains(backend.name());
                set.push(decision.describe((**backend).clone(), is_listed, passing));
            }
        }
        for decision in self.0.iter().filter(|one| !reported_names.contains(&*one.name)) {
            if let Some(added) = &decision.added {
                set.push(decision.describe(added.clone(), true, passing));
            }
        }
        for (backend, _) in &passing.leaving {
            if !set.iter().any(|other| other.name() == backend.name()) {
                set.push(backend.clone());
            }
        }
        // Names are unique: in the report, and each decision has one of its own.
        Membership::new(set).unwrap_or_else(|_| reported.clone())
    }

    /// What a cluster with this set has to know besides the set, where it is not the usual.
    pub(crate) fn of_set(&self, set: &Membership, passing: &Passing) -> BTreeMap<Arc<str>, Laid> {
        let laid = |backend: &Arc<Backend>| {
            let decision = self.get(backend.name());
            // Another life of it is not on its way out.
            let mut leaving = passing.leaving.iter();
            let leaving = leaving.find(|(one, _)| one.is_same_incarnation_as(backend));
            let state = match leaving {
                Some((_, state)) => *state,
                None => decision.and_then(|decision| decision.state).unwrap_or_default(),
            };
            let weight = decision.and_then(|decision| decision.weight);
            (Arc::clone(backend.shared_name()), Laid { state, weight })
        };
        set.iter().map(laid).filter(|(_, laid)| *laid != Laid::default()).collect()
    }
}

impl Decision {
    fn describe(&self, mut backend: Backend, is_ours: bool, passing: &Passing) -> Backend {
        if let Some(most) = self.max_in_flight {
            backend = backend.with_max_in_flight(most);
        }
        if passing.joining.contains(backend.shared_name()) {
            return backend.in_state(AdminState::Disabled);
        }
        // A decision of a person replaces that of the file.
        if is_ours && self.state.is_some() {
            backend.in_state(AdminState::Enabled)
        } else {
            backend
        }
    }
}

fn read_tombstone(value: &Value) -> Option<Tombstone> {
    let instance = value.get("instance").and_then(Value::as_str).map(str::to_owned);
    Some(Tombstone { address: value.get("address")?.as_str()?.to_owned(), instance })
}
