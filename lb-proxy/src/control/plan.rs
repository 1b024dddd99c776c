//! From wishes to what is written down and done. Pure: it is asked before anything
//! happens, and for nothing but the answer.
//!
//! Each wish is understood as if those before it in the list were done, so a list may
//! add a backend and weight it. What is true already makes no change.

mod arrival;
mod judge;
mod tune;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use lb_core::{AdminState, Backend, Cluster, Membership};
use lb_proxy::config::{Config, did_you_mean};
use serde_json::Value;

use super::{
    ask::{BackendPatch, NewBackend, WantedState, Wish},
    decided::{Decided, Passing},
    done::Impact,
    refused::Refused,
    values::{
        NO_CEILING, backend_value, new_backend, said_by_file, state_value, state_word, tombstone,
        weight_of,
    },
};
use crate::state::{Change, ChangeId, Field, Override, Setting, Subject, UnixMillis};

/// All that people have set, by whose and what.
pub(crate) type Overrides = BTreeMap<(Subject, Field), Override>;

/// What is known when wishes are judged.
#[derive(Debug)]
pub(crate) struct Sight<'s> {
    /// As the file has it.
    pub(crate) config: &'s Config,
    pub(crate) clusters: Vec<Seen>,
    pub(crate) overrides: &'s Overrides,
    /// The changes that are to be undone and may be.
    pub(crate) undone: &'s BTreeMap<u64, Change>,
}

/// A cluster as it is.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) cluster: Cluster,
    /// The set as its sources have it.
    pub(crate) reported: Membership,
    pub(crate) passing: Passing,
    pub(crate) has_checks: bool,
}

/// What is to be written down of one field, and done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    pub(crate) subject: Subject,
    pub(crate) field: Field,
    pub(crate) before: Setting,
    pub(crate) after: Setting,
    pub(crate) basis: Value,
    pub(crate) undoes: Option<ChangeId>,
}

/// What wishes come to.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) edits: Vec<Edit>,
    /// Which clusters are told something.
    pub(crate) touched: BTreeSet<Box<str>>,
    /// Which backends wait for a check before they take requests.
    pub(crate) joins: Vec<(Box<str>, Arc<str>)>,
    /// Which are drained before they are gone, and for how long.
    pub(crate) leaves: Vec<(Box<str>, Backend, Duration)>,
    pub(crate) impact: Impact,
}

impl Plan {
    /// Whether a backend is drained before it is gone.
    pub(crate) fn removes_later(&self, cluster: &str, backend: &str) -> bool {
        self.leaves.iter().any(|(name, one, _)| **name == *cluster && one.name() == backend)
    }
}

struct Planner<'s> {
    sight: &'s Sight<'s>,
    overrides: Overrides,
    plan: Plan,
    /// The backends it is about, whose requests in flight are counted.
    about: BTreeSet<(Box<str>, Box<str>)>,
}

/// What these wishes come to.
///
/// # Errors
///
/// Why they cannot be done, any of them.
pub(crate) fn plan(wishes: &[Wish], force: bool, sight: &Sight<'_>) -> Result<Plan, Refused> {
    let plan = Plan {
        edits: Vec::new(),
        touched: BTreeSet::new(),
        joins: Vec::new(),
        leaves: Vec::new(),
        impact: Impact::default(),
    };
    let overrides = sight.overrides.clone();
    let mut planner = Planner { sight, overrides, plan, about: BTreeSet::new() };
    for wish in wishes {
        planner.understand(wish)?;
    }
    planner.judge(force)
}

impl Planner<'_> {
    fn understand(&mut self, wish: &Wish) -> Result<(), Refused> {
        match wish {
            Wish::Patch { cluster, backend, patch } => self.patch(cluster, backend, patch),
            Wish::Add { cluster, backend } => self.add(cluster, backend),
            Wish::Remove { cluster, backend, drain } => self.remove(cluster, backend, *drain),
            Wish::Strategy { cluster, strategy } => self.choose(cluster, strategy),
            Wish::Tune { cluster, table, set } => self.tune(cluster, *table, set),
            Wish::Undo { change } => self.undo(*change),
            Wish::Reload | Wish::Save(_) | Wish::Replace { .. } => {
                let detail = "what is about the file is asked for on its own";
                Err(Refused::Conflict { detail: detail.to_owned() })
            }
        }
    }

    fn patch(&mut self, cluster: &str, name: &str, patch: &BackendPatch) -> Result<(), Refused> {
        let backend = self.member(cluster, name)?;
        let subject = Subject::of_backend(cluster, backend.name());
        self.about.insert((cluster.into(), backend.name().into()));
        if let Some(state) = patch.state {
            self.wants_state(&subject, &backend, state)?;
        }
        if let Some(weight) = patch.weight {
            let weight = weight.map(weight_of).transpose();
            let weight = weight.map_err(|why| invalid("weight", why))?;
            self.set(subject.clone(), Field::Weight, weight.map(|weight| weight.get().into()));
        }
        if let Some(most) = patch.max_in_flight {
            if most == Some(0) {
                return Err(invalid("max_in_flight", NO_CEILING.to_owned()));
            }
            self.set(subject, Field::MaxInFlight, most.map(Value::from));
        }
        Ok(())
    }

    fn wants_state(
        &mut self,
        subject: &Subject,
        backend: &Backend,
        state: WantedState,
    ) -> Result<(), Refused> {
        let said = said_by_file(self.sight.config, subject, Field::State);
        if state != WantedState::Enabled {
            self.set(subject.clone(), Field::State, Some(state_value(state)));
            return Ok(());
        }
        let is_ours = !said.is_null() || self.has(subject, Field::Added);
        let described = self.described(subject).map_or(AdminState::Enabled, |one| one.state());
        if !is_ours && described != AdminState::Enabled {
            let (name, state) = (backend.name(), state_word(described));
            return Err(Refused::Conflict {
                detail: format!("the source of `{name}` says that it is {state}, which counts"),
            });
        }
        // A state is enabled where nobody says otherwise.
        let needs_word = !said.is_null();
        self.set(subject.clone(), Field::State, needs_word.then(|| state_value(state)));
        Ok(())
    }

    fn add(&mut self, cluster: &str, said: &NewBackend) -> Result<(), Refused> {
        let has_checks = self.seen(cluster)?.has_checks;
        let backend = new_backend(said).map_err(|(field, detail)| invalid(field, detail))?;
        self.may_come(cluster, &backend, |_| false)?;
        let subject = Subject::of_backend(cluster, backend.name());
        self.about.insert((cluster.into(), backend.name().into()));
        self.plan.leaves.retain(|(of, one, _)| **of != *cluster || one.name() != backend.name());
        // It was removed, and is wanted back as it was.
        let known = self.described(&subject);
        self.set(subject.clone(), Field::Removed, None);
        if known.as_ref() != Some(&backend) {
            self.set(subject.clone(), Field::Added, Some(backend_value(&backend)));
        }
        // What was decided of an earlier one of that name is not meant for this one.
        for field in [Field::State, Field::Weight, Field::MaxInFlight] {
            self.set(subject.clone(), field, None);
        }
        if has_checks {
            self.plan.joins.push((cluster.into(), Arc::clone(backend.shared_name())));
        }
        Ok(())
    }

    fn remove(
        &mut self,
        cluster: &str,
        name: &str,
        drain: Option<Duration>,
    ) -> Result<(), Refused> {
        let backend = self.member(cluster, name)?;
        let subject = Subject::of_backend(cluster, backend.name());
        self.about.insert((cluster.into(), backend.name().into()));
        let described = self.described(&subject);
        self.set(subject.clone(), Field::Added, None);
        if let Some(described) = described {
            self.set(subject, Field::Removed, Some(tombstone(&described)));
        }
        if let Some(drain) = drain.filter(|drain| !drain.is_zero()) {
            self.plan.leaves.push((cluster.into(), backend, drain));
        }
        Ok(())
    }

    fn undo(&mut self, number: u64) -> Result<(), Refused> {
        let Some(change) = self.sight.undone.get(&number) else {
            return Err(Refused::NoSuchChange { change: number });
        };
        self.seen(change.subject.cluster())?;
        if change.is_given_over() {
            let detail = "the file says since then what was set: there is nothing to take back";
            return Err(Refused::ChangedSince { change: number, detail: detail.to_owned() });
        }
        let wanted = match &change.before {
            Setting::Override(value) => Some(value.clone()),
            Setting::Configured(_) => None,
        };
        if let Some(name) = change.subject.backend() {
            self.about.insert((change.subject.cluster().into(), name.into()));
        }
        let is_of_it = |edit: &Edit| (&edit.subject, edit.field) == (&change.subject, change.field);
        if self.plan.edits.iter().any(is_of_it) {
            let (field, subject) = (change.field, &change.subject);
            let detail = format!("{field} of `{subject}` is changed and taken back at once");
            return Err(Refused::Conflict { detail });
        }
        let edits = self.plan.edits.len();
        let was_there = self.there(&change.subject);
        self.set(change.subject.clone(), change.field, wanted);
        if change.field.is_presence() && was_there.is_none() {
            self.comes_back(&change.subject)?;
        }
        if self.plan.edits.len() == edits {
            let detail = format!("what change {number} made is not true any more");
            return Err(Refused::ChangedSince { change: number, detail });
        }
        if let Some(edit) = self.plan.edits.last_mut() {
            edit.undoes = Some(change.id);
        }
        Ok(())
    }

    /// Notes one edit, unless it is none. `None`: as file and sources say.
    fn set(&mut self, subject: Subject, field: Field, wanted: Option<Value>) {
        let key = (subject.clone(), field);
        let basis = said_by_file(self.sight.config, &subject, field);
        let configured = || match field {
            // What the file says of it, or else a source.
            Field::State | Field::Weight | Field::MaxInFlight => {
                self.described(&subject).map_or(Value::Null, |one| match field {
                    Field::State => state_word(one.state()).into(),
                    Field::Weight => one.weight().get().into(),
                    _ => one.max_in_flight().map_or(Value::Null, |most| most.get().into()),
                })
            }
            // What it is told by is the address that the file has, which is no removal.
            Field::Removed => Value::Null,
            _ => basis.clone(),
        };
        // What the file says already need not be said again.
        let is_a_value = !matches!(field, Field::Added | Field::Removed) && !basis.is_null();
        let wanted = wanted.filter(|wanted| !(is_a_value && *wanted == basis));
        let before = match self.overrides.get(&key) {
            Some(one) => Setting::Override(one.value.clone()),
            None => Setting::Configured(configured()),
        };
        let after = match &wanted {
            Some(value) => Setting::Override(value.clone()),
            None => Setting::Configured(configured()),
        };
        if before == after || !before.is_override() && !after.is_override() {
            return;
        }
        self.plan.touched.insert(subject.cluster().into());
        match wanted {
            Some(value) => {
                let (basis, change) = (basis.clone(), ChangeId::new(u64::MAX));
                let (subject, seen) = (subject.clone(), UnixMillis::new(0));
                self.overrides.insert(key, Override { subject, field, value, basis, change, seen });
            }
            None => drop(self.overrides.remove(&key)),
        }
        self.plan.edits.push(Edit { subject, field, before, after, basis, undoes: None });
    }

    fn has(&self, subject: &Subject, field: Field) -> bool {
        self.overrides.contains_key(&(subject.clone(), field))
    }

    fn seen(&self, cluster: &str) -> Result<&Seen, Refused> {
        let all = &self.sight.clusters;
        all.iter().find(|seen| seen.cluster.name() == cluster).ok_or_else(|| {
            let names = all.iter().map(|seen| seen.cluster.name());
            let near = did_you_mean(cluster, names).map(str::to_owned);
            Refused::NoSuchCluster { name: cluster.to_owned(), near }
        })
    }

    /// A backend as file or source describe it.
    fn described(&self, subject: &Subject) -> Option<Backend> {
        let seen = self.seen(subject.cluster()).ok()?;
        let mut reported = seen.reported.iter();
        let found = reported.find(|backend| Some(backend.name()) == subject.backend())?;
        Some((**found).clone())
    }

    fn decided(&self, cluster: &str) -> Decided {
        Decided::of(cluster, self.overrides.values())
    }

    /// The set as it would be after the wishes so far, without those that leave.
    fn members(&self, cluster: &str) -> Result<Membership, Refused> {
        let seen = self.seen(cluster)?;
        let nobody = Passing::default();
        Ok(self.decided(cluster).patch(
            &seen.reported,
            &listed(self.sight.config, cluster),
            &nobody,
        ))
    }

    /// By its name, or else its address.
    fn member(&self, cluster: &str, name: &str) -> Result<Backend, Refused> {
        let members = self.members(cluster)?;
        let found = members.iter().find(|backend| backend.name() == name);
        let found = found.or_else(|| members.iter().find(|backend| backend.address() == name));
        found.map(|backend| (**backend).clone()).ok_or_else(|| {
            let near = did_you_mean(name, members.iter().map(|backend| backend.name()));
            let near = near.map(str::to_owned);
            Refused::NoSuchBackend { cluster: cluster.to_owned(), name: name.to_owned(), near }
        })
    }
}

/// Whom the file lists.
pub(crate) fn listed(config: &Config, cluster: &str) -> BTreeSet<Arc<str>> {
    let found = config.clusters.iter().find(|one| *one.name == *cluster);
    let backends = found.into_iter().flat_map(|cluster| &cluster.backends);
    backends.map(|backend| Arc::clone(backend.shared_name())).collect()
}

fn invalid(field: &str, detail: String) -> Refused {
    Refused::Invalid { field: field.to_owned(), detail }
}

#[cfg(test)]
mod tests;
