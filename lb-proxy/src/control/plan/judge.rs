//! What a plan does to the requests, and whether that is to be refused.

use std::{collections::BTreeSet, sync::Arc};

use lb_core::AdminState;

use super::{Plan, Planner, listed};
use crate::control::{
    decided::{Decided, Passing},
    impact::{Prospect, impact, together},
    refused::Refused,
};

impl Planner<'_> {
    /// Refuses what would leave nobody, and says what the rest does.
    pub(super) fn judge(mut self, force: bool) -> Result<Plan, Refused> {
        let mut names: BTreeSet<&str> = self.plan.touched.iter().map(|name| &**name).collect();
        names.extend(self.about.iter().map(|(cluster, _)| &**cluster));
        let mut impacts = Vec::new();
        let mut suspicions = Vec::new();
        for name in names {
            suspicions.extend(self.suspicions(name)?);
            let seen = self.seen(name)?;
            let listed = listed(self.sight.config, name);
            let prospect = |decided: &Decided, passing: &Passing| {
                let set = decided.patch(&seen.reported, &listed, passing);
                Prospect::of(&seen.cluster, &set, decided, passing)
            };
            let before = Decided::of(name, self.sight.overrides.values());
            let before = prospect(&before, &seen.passing);
            let mut passing = seen.passing.clone();
            let joins = self.plan.joins.iter().filter(|(cluster, _)| **cluster == *name);
            passing.joining.extend(joins.map(|(_, backend)| Arc::clone(backend)));
            let leaves = self.plan.leaves.iter().filter(|(cluster, ..)| **cluster == *name);
            let leaves = leaves
                .map(|(_, backend, _)| (backend.clone(), AdminState::Draining { until: None }));
            // It was decided anew whether those are there.
            passing.leaving.retain(|(one, _)| {
                !self.plan.edits.iter().any(|edit| {
                    edit.field.is_presence()
                        && edit.subject.cluster() == name
                        && edit.subject.backend() == Some(one.name())
                })
            });
            passing.leaving.extend(leaves);
            let after = prospect(&self.decided(name), &passing);
            if after.usable_count() == 0 && before.usable_count() > 0 && !force {
                let detail = after.last_words(name, &before);
                return Err(Refused::WouldEmpty { cluster: name.to_owned(), detail });
            }
            let snapshot = seen.cluster.snapshot();
            let about = self.about.iter().filter(|(cluster, _)| **cluster == *name);
            let slots = about.filter_map(|(_, backend)| snapshot.find(backend));
            let in_flight = slots.map(|slot| u64::from(snapshot.view().in_flight(slot))).sum();
            impacts.push(impact(name, &before, &after, in_flight));
        }
        self.plan.impact = together(&impacts);
        for one in suspicions {
            self.plan.impact.says += &format!(". Note: {one}");
        }
        Ok(self.plan)
    }
}
