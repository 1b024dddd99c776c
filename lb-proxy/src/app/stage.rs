//! Where the set that sources report meets what people decided of it.
//!
//! Both come when they like: a source on the runtime of control, a person through the
//! owner of the clusters. Whoever comes brings his half, and under one lock both halves
//! become what the cluster is told, so that nothing that was decided is ever missing
//! from a set, and no older set comes after a newer one. Nothing waits under that lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, Membership,
    cluster::{ChangeError, Version},
};

use crate::control::{Decided, Laid, Passing};

/// The two halves of what a cluster is told. All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage(Arc<Mutex<Halves>>);

#[derive(Debug, Clone, Default)]
struct Halves {
    reported: Membership,
    /// Those of the file.
    listed: BTreeSet<Arc<str>>,
    decided: Decided,
    passing: Passing,
    /// What the cluster was told besides the set, where that is not the usual.
    laid: BTreeMap<Arc<str>, Laid>,
}

/// Another half, or both.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) reported: Option<Membership>,
    pub(super) listed: Option<BTreeSet<Arc<str>>>,
    pub(super) decided: Option<Decided>,
    /// Who waits for a check from now on.
    pub(super) joins: Vec<Arc<str>>,
    /// Who does not any more.
    pub(super) joined: Vec<Arc<str>>,
    /// Whoever is drained before he is gone.
    pub(super) leaves: Vec<(Backend, AdminState)>,
    /// Who is gone now.
    pub(super) left: Vec<Arc<str>>,
    /// What else is said at the same time.
    pub(super) besides: Vec<Change>,
}

impl Stage {
    /// Of a cluster that is to be built.
    pub(super) fn new(reported: Membership, listed: BTreeSet<Arc<str>>, decided: Decided) -> Self {
        let halves = Halves { reported, listed, decided, ..Halves::default() };
        Self(Arc::new(Mutex::new(halves)))
    }

    /// The set as the sources have it.
    pub(super) fn reported(&self) -> Membership {
        self.lock().reported.clone()
    }

    /// The set as the cluster is told.
    pub(super) fn set(&self) -> Membership {
        self.lock().set()
    }

    pub(super) fn passing(&self) -> Passing {
        self.lock().passing.clone()
    }

    /// What a cluster is told besides its first set.
    pub(super) fn first(&self) -> Vec<Change> {
        let mut halves = self.lock();
        let set = halves.set();
        halves.lay(&set)
    }

    /// Whether the cluster would take it.
    pub(super) fn check(&self, cluster: &Cluster, news: News) -> Result<(), ChangeError> {
        let mut halves = self.lock().clone();
        cluster.check(&halves.take(news))
    }

    /// Tells the cluster. An error means that all is as before.
    pub(super) fn tell(
        &self,
        cluster: &Cluster,
        news: News,
        cause: Cause,
    ) -> Result<Version, ChangeError> {
        let mut halves = self.lock();
        let mut next = halves.clone();
        let changes = next.take(news);
        let version = cluster.apply_all(changes, cause)?;
        *halves = next;
        Ok(version)
    }

    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn set(&self) -> Membership {
        self.decided.patch(&self.reported, &self.listed, &self.passing)
    }

    /// Takes in the news, and says what the cluster is to be told.
    fn take(&mut self, news: News) -> Vec<Change> {
        if let Some(reported) = news.reported {
            self.reported = reported;
        }
        if let Some(listed) = news.listed {
            self.listed = listed;
        }
        if let Some(decided) = news.decided {
            self.decided = decided;
        }
        let passing = &mut self.passing;
        passing.joining.extend(news.joins);
        passing.leaving.extend(news.leaves);
        passing.joining.retain(|name| !news.joined.contains(name));
        passing.leaving.retain(|(one, _)| !news.left.contains(one.shared_name()));
        self.keep_who_is_wanted();
        let set = self.set();
        self.passing.joining.retain(|name| set.iter().any(|one| one.shared_name() == name));
        let mut changes = vec![Change::Membership(set.clone())];
        changes.extend(self.lay(&set));
        changes.extend(news.besides);
        changes
    }

    /// Whoever is there anyway does not leave: the removal was taken back, the file has him
    /// now, or another one has his name.
    fn keep_who_is_wanted(&mut self) {
        if self.passing.leaving.is_empty() {
            return;
        }
        let nobody = Passing { leaving: Vec::new(), ..self.passing.clone() };
        let wanted = self.decided.patch(&self.reported, &self.listed, &nobody);
        let is_wanted = |one: &Backend| wanted.iter().any(|other| other.name() == one.name());
        self.passing.leaving.retain(|(one, _)| !is_wanted(one));
    }

    /// What is decided of those in the set, where that is another than before; what was
    /// of others is lifted, and comes again with them. Nothing is said twice: that would
    /// open a backend again whose drain is over.
    fn lay(&mut self, set: &Membership) -> Vec<Change> {
        let now = self.decided.of_set(set, &self.passing);
        let mut changes = Vec::new();
        let names: BTreeSet<&Arc<str>> = self.laid.keys().chain(now.keys()).collect();
        for name in names {
            let (before, after) = (usual_or(self.laid.get(name)), usual_or(now.get(name)));
            if before.state != after.state {
                let (backend, state) = (Arc::clone(name), after.state);
                changes.push(Change::Admin { backend, state });
            }
            if before.weight != after.weight {
                let (backend, weight) = (Arc::clone(name), after.weight);
                changes.push(Change::Weight { backend, weight });
            }
        }
        self.laid = now;
        changes
    }
}

fn usual_or(laid: Option<&Laid>) -> Laid {
    laid.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use lb_core::{Tick, Weight, cluster::CauseKind};
    use serde_json::json;

    use super::*;
    use crate::state::{ChangeId, Field, Override, Subject, UnixMillis};

    fn set(names: &[&str]) -> Membership {
        Membership::new(names.iter().map(Backend::new)).unwrap()
    }

    fn decided(overrides: &[(&str, Field, serde_json::Value)]) -> Decided {
        let overrides: Vec<Override> = overrides
            .iter()
            .enumerate()
            .map(|(number, (backend, field, value))| Override {
                subject: Subject::of_backend("web", backend),
                field: *field,
                value: value.clone(),
                basis: serde_json::Value::Null,
                change: ChangeId::new(number as u64 + 1),
                seen: UnixMillis::new(0),
            })
            .collect();
        Decided::of("web", &overrides)
    }

    fn told(cluster: &Cluster, now: &mut u64) -> Vec<(String, AdminState, u32)> {
        *now += 1_000;
        let at = Tick::from_millis(*now);
        cluster.drive(&move || at);
        let snapshot = cluster.snapshot();
        let view = snapshot.view();
        view.slots()
            .map(|slot| {
                let standing = match view.standing(slot) {
                    lb_core::cluster::Standing::In => AdminState::Enabled,
                    lb_core::cluster::Standing::Disabled => AdminState::Disabled,
                    _ => AdminState::Draining { until: None },
                };
                (view.backend(slot).name().to_owned(), standing, view.base_weight(slot))
            })
            .collect()
    }

    #[test]
    fn whoever_joins_waits_though_the_file_has_him_by_now() {
        let cluster = Cluster::builder("web").membership(set(&["a:1"])).build();
        let stage = Stage::new(set(&["a:1"]), BTreeSet::new(), Decided::default());
        let cause = || Cause::new(CauseKind::Person, "test");
        let mut now = 0;
        let added = decided(&[("b:1", Field::Added, json!({ "address": "b:1" }))]);
        let joins = vec!["b:1".into()];
        let news = News { decided: Some(added), joins, ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        assert_eq!(told(&cluster, &mut now)[1].1, AdminState::Disabled);
        let reported = Some(set(&["a:1", "b:1"]));
        let news = News { reported, decided: Some(Decided::default()), ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        assert_eq!(told(&cluster, &mut now)[1].1, AdminState::Disabled);
        let news = News { joined: vec!["b:1".into()], ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        assert_eq!(told(&cluster, &mut now)[1].1, AdminState::Enabled);
    }

    #[test]
    fn what_was_decided_holds_in_every_set_a_source_reports() {
        let cluster = Cluster::builder("web").membership(set(&["a:1", "b:1"])).build();
        let stage = Stage::new(set(&["a:1", "b:1"]), BTreeSet::new(), Decided::default());
        let cause = || Cause::new(CauseKind::Person, "test");
        let mut now = 0;
        let wanted = decided(&[
            ("a:1", Field::State, json!("draining")),
            ("b:1", Field::Removed, json!({ "address": "b:1", "instance": null })),
            ("c:1", Field::Added, json!({ "address": "c:1", "weight": 3 })),
            ("c:1", Field::Weight, json!(7)),
        ]);
        let news = News { decided: Some(wanted), ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        let draining = AdminState::Draining { until: None };
        let both = [("a:1".to_owned(), draining, 1), ("c:1".to_owned(), AdminState::Enabled, 7)];
        assert_eq!(told(&cluster, &mut now), both);

        // A source brings the removed one again, and takes the draining one away.
        let news = News { reported: Some(set(&["b:1", "d:1"])), ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        let names: Vec<String> = told(&cluster, &mut now).into_iter().map(|one| one.0).collect();
        assert_eq!(names, ["d:1", "c:1"]);

        // Back, it is what was decided; another life of the removed one comes in.
        let other = Backend::new("b:1").instance("second");
        let back = Membership::new([Backend::new("a:1"), other]).unwrap();
        let news = News { reported: Some(back), ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        let now_there = told(&cluster, &mut now);
        assert_eq!(now_there[0], both[0]);
        assert_eq!(now_there[1].0, "b:1");

        // Nothing is decided any more.
        let news = News { decided: Some(Decided::default()), ..News::default() };
        stage.tell(&cluster, news, cause()).unwrap();
        let states: Vec<_> = told(&cluster, &mut now).into_iter().map(|one| one.1).collect();
        assert_eq!(states, [AdminState::Enabled; 2]);
        assert_eq!(Weight::ONE.get(), 1);
    }
}
