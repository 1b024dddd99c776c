//! Backends that come into a cluster, or come back to it.

use std::sync::Arc;

use lb_core::Backend;

use super::{Planner, Refused, invalid};
use crate::state::Subject;

impl Planner<'_> {
    /// Whether a backend may come in; `is_itself`: who of those there is this one.
    ///
    /// # Errors
    ///
    /// Somebody is there already, or it would lead to the balancer itself.
    pub(super) fn may_come(
        &self,
        cluster: &str,
        backend: &Backend,
        is_itself: impl Fn(&Backend) -> bool,
    ) -> Result<(), Refused> {
        let members = self.members(cluster)?;
        let mut others = members.iter().filter(|one| !is_itself(one));
        if let Some(taken) =
            others.find(|one| one.name() == backend.name() || one.address() == backend.address())
        {
            let (name, address) = (taken.name(), taken.address());
            return Err(Refused::Conflict {
                detail: format!("`{cluster}` has the backend `{name}` at {address} already"),
            });
        }
        let reached = self.sight.config.listeners.iter();
        if let Some(own) = reached.into_iter().find(|own| own.bind.is_reached_by(backend.address()))
        {
            let detail = format!("is this balancer itself, which listens on `{}`", own.bind);
            return Err(invalid("address", detail));
        }
        let admin = self.sight.config.admin.listen.as_ref();
        if let Some(own) = admin.filter(|own| own.is_reached_by(backend.address())) {
            let detail = format!("is where this balancer is changed: the API is on `{own}`");
            return Err(invalid("address", detail));
        }
        Ok(())
    }

    /// A backend as it would be after the wishes so far.
    pub(super) fn there(&self, subject: &Subject) -> Option<Backend> {
        let members = self.members(subject.cluster()).ok()?;
        let found = members.iter().find(|one| Some(one.name()) == subject.backend());
        found.map(|backend| (**backend).clone())
    }

    /// Judges one that an undo has brought back as if it were added: it may have another's
    /// address by now, and waits for a check.
    pub(super) fn comes_back(&mut self, subject: &Subject) -> Result<(), Refused> {
        let Some(backend) = self.there(subject) else { return Ok(()) };
        let cluster = subject.cluster();
        self.may_come(cluster, &backend, |one| one.name() == backend.name())?;
        let seen = self.seen(cluster)?;
        // While it is drained it has not gone, and is as well as it is.
        let mut leaving = seen.passing.leaving.iter();
        let is_there = leaving.any(|(one, _)| one.is_same_incarnation_as(&backend));
        if seen.has_checks && !is_there {
            self.plan.joins.push((cluster.into(), Arc::clone(backend.shared_name())));
        }
        Ok(())
    }
}
