//! What follows from changes and from what happens in the clusters: drains are followed
//! to their end, backends join and leave, and what was set of those who are gone is given
//! up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_core::{
    AdminState, Cause,
    cluster::{CauseKind, Version},
};

use super::{App, show::words, stage::News, told::Happened};
use crate::{
    control::{Decided, Event, EventKind, Plan, now, read_state},
    state::{Dropped, Field, Setting, Subject},
};

impl App {
    /// Has those join that wait for a check which has passed before: they were there, and
    /// nothing is going to happen to them.
    pub(super) fn join_at_once(&self, plan: &Plan) {
        for (name, backend) in plan.joins.iter().filter(|(name, one)| self.farm.is_up(name, one)) {
            let (cluster, backend) = (Arc::from(&**name), Arc::clone(backend));
            // Nobody is there to do it when we end.
            let _ = self.happening.send(Happened::Joined { cluster, backend });
        }
    }

    /// Has somebody look until those that are to have no requests have none.
    pub(super) fn follow_drains(&self, plan: &Plan, versions: &BTreeMap<Box<str>, Version>) {
        for edit in plan.edits.iter().filter(|edit| edit.field.is_presence()) {
            let (name, Some(backend)) = (edit.subject.cluster(), edit.subject.backend()) else {
                continue;
            };
            // What was drained to be gone stays, or is gone at once.
            if !plan.removes_later(name, backend) {
                self.desk.drains().forget(name, backend);
                self.resume_drain(name, backend);
            }
        }
        for edit in plan.edits.iter().filter(|edit| edit.field == Field::State) {
            let (name, Some(backend)) = (edit.subject.cluster(), edit.subject.backend()) else {
                continue;
            };
            // Whoever is drained to be gone is, in whatever state he would be else.
            if self.farm.is_leaving(name, backend) {
                continue;
            }
            let state = match &edit.after {
                Setting::Override(value) => read_state(value),
                Setting::Configured(_) => None,
            };
            match state {
                None | Some(AdminState::Enabled) => self.desk.drains().forget(name, backend),
                Some(_) => self.follow_drain(name, backend, versions.get(name).copied(), || ()),
            }
        }
        for (name, backend, limit) in &plan.leaves {
            let told = |at_limit| {
                let (owner, cluster) = (self.happening.clone(), Arc::from(&**name));
                let backend = Arc::clone(backend.shared_name());
                // Nobody is there to do it when we end.
                move || drop(owner.send(Happened::Left { cluster, backend, at_limit }))
            };
            self.follow_drain(name, backend.name(), versions.get(name).copied(), told(false));
            let (at_last, limit) = (told(true), *limit);
            self.control.spawn(async move {
                tokio::time::sleep(limit).await;
                at_last();
            });
        }
    }

    fn follow_drain(
        &self,
        name: &str,
        backend: &str,
        version: Option<Version>,
        then: impl FnOnce() + Send + 'static,
    ) {
        let Some((cluster, has_bound)) = self.farm.cluster(name) else { return };
        let version = version.unwrap_or_else(|| cluster.snapshot().version());
        let around = (self.control.handle(), self.desk.events());
        self.desk.drains().follow((cluster, backend), version, has_bound, around, then);
    }

    /// Follows the drains that were asked for and that nobody follows: from before the start,
    /// or of a cluster that is back.
    pub(super) fn resume_drains(&self) {
        for one in self.ledger.overrides.values().filter(|one| one.field == Field::State) {
            let (name, Some(backend)) = (one.subject.cluster(), one.subject.backend()) else {
                continue;
            };
            if !self.desk.drains().is_followed(name, backend) {
                self.resume_drain(name, backend);
            }
        }
    }

    /// Follows the drain that was asked for of a backend, if one was.
    fn resume_drain(&self, name: &str, backend: &str) {
        let of = (Subject::of_backend(name, backend), Field::State);
        let state = self.ledger.overrides.get(&of).and_then(|one| read_state(&one.value));
        if state.is_some_and(|state| state != AdminState::Enabled) {
            self.follow_drain(name, backend, None, || ());
        }
    }

    /// Follows no drain any more of whom nothing is set, or whose cluster is gone, and those
    /// of a cluster that is back.
    pub(super) fn forget_drains(&self, dropped: &[Dropped]) {
        for Dropped { of, .. } in dropped {
            let (name, Some(backend)) = (of.subject.cluster(), of.subject.backend()) else {
                continue;
            };
            let is_about_it = of.field == Field::State || of.field.is_presence();
            if is_about_it && !self.farm.is_leaving(name, backend) {
                self.desk.drains().forget(name, backend);
            }
        }
        self.look_who_is_bound();
        self.resume_drains();
    }

    /// A drain of bound clients goes by whether there can be any.
    pub(super) fn look_who_is_bound(&self) {
        self.desk.drains().keep(|name| Some(self.farm.cluster(name)?.1));
    }

    /// Does what follows from what happened in the clusters.
    pub(super) fn attend(&mut self, happened: Happened) {
        let (cluster, backend, joined, at_limit) = match happened {
            Happened::Joined { cluster, backend } => (cluster, backend, true, false),
            Happened::Left { cluster, backend, at_limit } => (cluster, backend, false, at_limit),
            Happened::TimePassed => return self.look_who_is_gone(),
            Happened::Expired(dropped) => return self.expire(&dropped),
        };
        let seen = self.farm.seen();
        let passing = seen.iter().find(|seen| seen.cluster.name() == &*cluster);
        let Some(passing) = passing.map(|seen| &seen.passing) else { return };
        // The limit may be that of a removal before, which was taken back.
        let leaves = passing.leaving.iter().any(|(one, state)| {
            *one.shared_name() == backend && !(at_limit && state.admits_bound(lb_proxy::now()))
        });
        let is_news = if joined { passing.joining.contains(&backend) } else { leaves };
        if !is_news {
            let of = (Subject::of_backend(&cluster, &backend), Field::State);
            let is_set = self.ledger.overrides.contains_key(&of);
            if !joined && !is_set && !self.farm.is_leaving(&cluster, &backend) {
                // A source or the file has it come back meanwhile.
                self.desk.drains().forget(&cluster, &backend);
            }
            return;
        }
        let (news, why) = if joined {
            let joined = vec![Arc::clone(&backend)];
            (News { joined, ..News::default() }, "its first check passed: it takes requests")
        } else {
            self.desk.drains().forget(&cluster, &backend);
            let left = vec![Arc::clone(&backend)];
            (News { left, ..News::default() }, "it was drained, and is gone")
        };
        let cause = Cause::new(CauseKind::Person, format!("{backend}: {why}"));
        if let Err(error) = self.farm.tell(&cluster, news, cause) {
            tracing::error!(cluster = &*cluster, %error, "the backends are as before");
            return;
        }
        tracing::info!(cluster = &*cluster, backend = &*backend, "{why}");
        self.publish();
        self.desk.events().push(Event {
            cluster: Some(cluster.to_string()),
            backend: Some(backend.to_string()),
            why: why.to_owned(),
            ..Event::default()
        });
    }

    /// Has what was set of backends that are gone for long forgotten, in a thread beside.
    fn look_who_is_gone(&self) {
        // Not by what is set: what was left out at the start is remembered all the same.
        let present = self.farm.present();
        let of_cluster = |(name, backends): (&&str, &BTreeSet<Arc<str>>)| {
            let backends = backends.iter().map(|backend| Subject::of_backend(name, backend));
            backends.chain([Subject::of_cluster(name)]).collect::<Vec<_>>()
        };
        let there: BTreeSet<Subject> = present.iter().flat_map(of_cluster).collect();
        let (memory, owner) = (self.ledger.memory(), self.happening.clone());
        self.control.spawn_blocking(move || match memory.expire(&there) {
            Ok(dropped) if dropped.is_empty() => {}
            // Nobody is there to do it when we end.
            Ok(dropped) => drop(owner.send(Happened::Expired(dropped))),
            Err(error) => tracing::error!(error, "nothing that was set is given up"),
        });
    }

    fn expire(&mut self, dropped: &[Dropped]) {
        self.ledger.forget(dropped);
        self.forget_drains(dropped);
        for one in dropped {
            let name = one.of.subject.cluster();
            let decided = Some(Decided::of(name, self.ledger.overrides.values()));
            let cause = Cause::new(CauseKind::Person, "given up, as its backend is gone");
            // The cluster may be gone as well.
            let _ = self.farm.tell(name, News { decided, ..News::default() }, cause);
            let why = one.to_change(now()).why.unwrap_or_default();
            self.desk.events().push(Event {
                kind: EventKind::Dropped,
                cluster: Some(name.to_owned()),
                backend: one.of.subject.backend().map(str::to_owned),
                field: Some(one.of.field.name().to_owned()),
                from: Some(words(&one.of.value)),
                why,
                ..Event::default()
            });
        }
        self.publish();
    }
}
