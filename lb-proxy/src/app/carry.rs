//! Carrying out what people want, one after the other.
//!
//! In three steps. What is wanted is understood, which may refuse it; it is written
//! down, which may take as long as a disk does, so that signals are heard meanwhile;
//! then it is done, which takes no time and cannot be refused any more, short of
//! something that a source said just then. In that case all of it is taken back, and
//! that is written down as well. Whoever asked is answered once every worker goes by
//! it, while the next one is already served.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use lb_core::{
    AdminState, Backend, Cause,
    cluster::{CauseKind, Version},
};
use lb_proxy::{
    Service,
    config::{self, Config},
    now,
};
use tokio::sync::oneshot;

use super::{
    App,
    show::{cause, change_event, would_be},
    stage::News,
};
use crate::control::{
    Ask, ChangeRecord, Decided, Done, Impact, Overrides, Plan, Refused, Saving, Sight, Unfit, Wish,
    Written, plan, tune, undoing,
};

/// How long whoever asked waits for workers at most.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) type Answer = oneshot::Sender<Result<Done, Refused>>;

/// Something that will be true at all workers.
type Soon = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What was done so far of what is wanted.
#[derive(Default)]
struct Progress {
    soon: Vec<Soon>,
    versions: BTreeMap<Box<str>, Version>,
}

impl App {
    /// Understands what is wanted. Nothing is written down or changed.
    pub(super) async fn understand(&self, ask: &Ask) -> Result<Plan, Refused> {
        let undone: Vec<u64> = ask
            .wishes
            .iter()
            .filter_map(|wish| match wish {
                Wish::Undo { change } => Some(*change),
                _ => None,
            })
            .collect();
        let undone = self.ledger.undoable(undone).await?;
        let sight = Sight {
            config: &self.file,
            clusters: self.farm.seen(),
            overrides: &self.ledger.overrides,
            undone: &undone,
        };
        plan(&ask.wishes, ask.force, &sight)
    }

    /// Writes it down, unless it is only to be told.
    pub(super) async fn write_down(&self, ask: &Ask, plan: &Plan) -> Result<Vec<Written>, Refused> {
        match ask.dry_run {
            true => Ok(Vec::new()),
            false => self.ledger.record(&plan.edits, &ask.author, ask.why.as_deref()).await,
        }
    }

    /// Does what was written down, and has the answer sent when it is true everywhere.
    pub(super) async fn carry_out(
        &mut self,
        ask: Ask,
        plan: Plan,
        written: Vec<Written>,
        answer: Answer,
    ) {
        if ask.dry_run {
            let changes = plan.edits.iter().map(|edit| would_be(&ask, edit)).collect();
            let done = Done { changes, impact: plan.impact, ..Done::default() };
            // He may have gone away, here and below: it is done all the same.
            let _ = answer.send(Ok(done));
            return;
        }
        let before = self.ledger.overrides.clone();
        self.ledger.take(&written);
        let mut progress = Progress::default();
        if let Err(error) = self.tell_all(&ask, &plan, &mut progress) {
            let refused = self.take_back(before, &plan, &written, &progress, &error).await;
            let _ = answer.send(Err(refused));
            return;
        }
        self.join_at_once(&plan);
        self.look_who_is_bound();
        self.follow_drains(&plan, &progress.versions);
        self.publish();
        for one in &written {
            self.desk.events().push(change_event(&ChangeRecord::from(&one.change)));
        }
        let changes = written.iter().map(|one| ChangeRecord::from(&one.change)).collect();
        let impact = plan.impact;
        let soon = progress.soon;
        self.answer_soon(async move {
            let effective = are_all(soon).await;
            let _ = answer.send(Ok(Done { changes, impact, effective, saving: None }));
        });
    }

    /// Answers for a reload, when every worker goes by it.
    pub(super) fn answer_reload(
        &mut self,
        reloaded: Result<String, Refused>,
        changes: Vec<ChangeRecord>,
        saving: Option<Saving>,
        answer: Answer,
    ) {
        let says = match reloaded {
            Ok(says) => says,
            Err(refused) => return drop(answer.send(Err(refused))),
        };
        let seen = self.farm.seen().into_iter();
        // What was said last: nothing comes after it by saying nothing.
        let nothing = || Cause::new(CauseKind::File, "reload");
        let soon = seen.filter_map(|seen| {
            let version = seen.cluster.apply_all([], nothing()).ok()?;
            Some(Box::pin(seen.cluster.effective(version)) as Soon)
        });
        let soon: Vec<Soon> = soon.collect();
        self.answer_soon(async move {
            let effective = are_all(soon).await;
            let impact = Impact { says, ..Impact::default() };
            let saving = saving.map(Box::new);
            let _ = answer.send(Ok(Done { changes, impact, effective, saving }));
        });
    }

    fn answer_soon(&mut self, answering: impl Future<Output = ()> + Send + 'static) {
        while self.answering.try_join_next().is_some() {}
        self.answering.spawn_on(answering, self.control.handle());
    }

    /// Waits a moment for those whose wish was done and who were not told.
    pub(super) async fn end_answers(&mut self, patience: Duration) {
        let answers = async { while self.answering.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(patience, answers).await;
    }

    fn tell_all(&mut self, ask: &Ask, plan: &Plan, progress: &mut Progress) -> anyhow::Result<()> {
        let mut names: BTreeSet<&str> = plan.touched.iter().map(|name| &**name).collect();
        names.extend(plan.leaves.iter().map(|(cluster, ..)| &**cluster));
        for name in names {
            let news = News {
                decided: Some(Decided::of(name, self.ledger.overrides.values())),
                joins: in_cluster(&plan.joins, name),
                leaves: leaves(plan, name),
                ..News::default()
            };
            let version = self.farm.tell(name, news, cause(ask, plan, name))?;
            progress.versions.insert(name.into(), version);
            progress.soon.extend(self.soon(name, version));
        }
        let mut is_served_otherwise = false;
        for name in tuned(plan) {
            let settings = self.settings_of(name)?;
            let (version, otherwise) = self.farm.tune(name, &settings, cause(ask, plan, name))?;
            is_served_otherwise |= otherwise;
            progress.soon.extend(self.soon(name, version));
        }
        if is_served_otherwise {
            let reloaded = self.running.reload(self.service())?;
            progress.soon.push(Box::pin(async { drop(reloaded.await) }));
        }
        Ok(())
    }

    fn soon(&self, name: &str, version: Version) -> Option<Soon> {
        Some(Box::pin(self.farm.effective(name, version)?))
    }

    /// Makes everything as it was before something of it could not be done.
    async fn take_back(
        &mut self,
        before: Overrides,
        plan: &Plan,
        written: &[Written],
        progress: &Progress,
        error: &anyhow::Error,
    ) -> Refused {
        self.ledger.overrides = before;
        let cause = Cause::new(CauseKind::Person, "taken back, as it could not be done");
        for name in progress.versions.keys() {
            let news = News {
                decided: Some(Decided::of(name, self.ledger.overrides.values())),
                joined: in_cluster(&plan.joins, name),
                ..News::default()
            };
            if let Err(error) = self.farm.tell(name, news, cause.clone()) {
                tracing::error!(cluster = &**name, %error, "a change could not be taken back");
            }
        }
        for name in tuned(plan) {
            let back = self.settings_of(name);
            let back = back.and_then(|one| self.farm.tune(name, &one, cause.clone()));
            if let Err(error) = back {
                tracing::error!(cluster = name, %error, "settings could not be taken back");
            }
        }
        let why = format!("it could not be done: {error:#}");
        let undone = written.iter().rev().map(|one| undoing(one, &why)).collect();
        if let Err(refused) = self.ledger.record_all(undone).await {
            tracing::error!("{}; the state file is not what runs", refused.detail());
        }
        Refused::Conflict { detail: why }
    }

    /// How a cluster works: as people have set it, or else the file.
    fn settings_of(&self, name: &str) -> anyhow::Result<config::Cluster> {
        let mut clusters = self.file.clusters.iter();
        let file = clusters.find(|cluster| *cluster.name == *name);
        let file = file.with_context(|| format!("no cluster `{name}`"))?;
        match tune(file, &self.ledger.overrides) {
            Ok(tuned) => Ok(tuned.cluster),
            Err(Unfit { field, detail, .. }) => anyhow::bail!("`{field}`: {detail}"),
        }
    }

    fn service(&self) -> Service {
        Service {
            listeners: self.listeners.clone(),
            routes: Arc::new(self.file.route_table()),
            clusters: self.farm.settings(&self.file),
            access_log: self.log.as_ref().map(|log| log.log.clone()),
        }
    }
}

/// Waits for all, for a while.
async fn are_all(soon: Vec<Soon>) -> bool {
    let all = async {
        for one in soon {
            one.await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.is_ok()
}

/// A configuration with the settings of clusters that people have changed.
pub(super) fn with_settings(file: &Config, overrides: &Overrides) -> Config {
    let mut config = file.clone();
    for cluster in &mut config.clusters {
        match tune(cluster, overrides) {
            Ok(tuned) => *cluster = tuned.cluster,
            Err(Unfit { field, detail, .. }) => tracing::error!(
                cluster = &*cluster.name,
                "what was set does not go with the file, which holds: `{field}`: {detail}"
            ),
        }
    }
    config
}

/// The clusters that are to work in another way.
fn tuned(plan: &Plan) -> BTreeSet<&str> {
    let edits = plan.edits.iter().filter(|edit| edit.field.is_of_cluster());
    edits.map(|edit| edit.subject.cluster()).collect()
}

fn in_cluster(all: &[(Box<str>, Arc<str>)], name: &str) -> Vec<Arc<str>> {
    all.iter().filter(|(one, _)| **one == *name).map(|(_, backend)| Arc::clone(backend)).collect()
}

fn leaves(plan: &Plan, name: &str) -> Vec<(Backend, AdminState)> {
    let leaves = plan.leaves.iter().filter(|(cluster, ..)| **cluster == *name);
    let until = |limit: &Duration| AdminState::Draining { until: Some(now() + *limit) };
    leaves.map(|(_, backend, limit)| (backend.clone(), until(limit))).collect()
}
