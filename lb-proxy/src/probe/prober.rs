//! Runs checks for as long as somebody is there to check.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lb_core::{
    Cause, Change, Cluster, Health, Tick,
    cluster::{CauseKind, Observation},
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    check::{Failed, Verdict, check},
    schedule::{Schedule, TargetId},
    settings::HealthCheck,
    targets::{Subject, Targets},
};
use crate::runtime::clock::now;

/// A check that took this much longer than its limit was held up by ourselves.
const LAG: Duration = Duration::from_millis(500);
/// Checks under way at a time.
const AT_A_TIME: usize = 256;

/// A cluster whose backends are checked, and how.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Whose backends.
    pub cluster: Cluster,
    /// How.
    pub check: HealthCheck,
}

/// Checks backends. Tell it whom with [`set`](Self::set), and have
/// [`run`](Self::run) polled by a tokio runtime that is not busy with anything
/// else for long.
#[derive(Debug, Default)]
pub struct Prober {
    /// What was set, until `run` takes it up.
    news: Mutex<Option<Vec<Watched>>>,
    changed: Arc<Notify>,
}

impl Prober {
    /// Checks nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks these from now on, and no others. Backends that were checked before
    /// and are the same go on being so; a cluster that is not checked any more is
    /// used as if nobody had looked.
    pub fn set(&self, watched: Vec<Watched>) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(watched);
        self.changed.notify_one();
    }

    /// Checks for ever; one at a time. Dropping it ends all checks under way.
    pub async fn run(&self) {
        let mut work = Work::default();
        loop {
            if let Some(watched) = self.news.lock().unwrap_or_else(PoisonError::into_inner).take() {
                work.watch(watched, &self.changed);
            }
            work.take_up();
            work.start_what_is_due();
            let next = work.next();
            tokio::select! {
                () = self.changed.notified() => {}
                Some(done) = work.under_way.join_next() => {
                    // A check that panicked has said nothing; its target is due no more,
                    // which the log of the panic explains.
                    if let Ok(done) = done {
                        work.report(&done);
                    }
                }
                () = until(next) => {}
            }
        }
    }
}

async fn until(next: Option<Tick>) {
    match next {
        Some(next) => tokio::time::sleep_until(Instant::now() + next.since(now())).await,
        None => std::future::pending().await,
    }
}

/// What [`Prober::run`] has in hand.
#[derive(Debug, Default)]
struct Work {
    subjects: Vec<Subject>,
    targets: Targets,
    schedule: Schedule,
    under_way: JoinSet<Done>,
    stale: bool,
}

/// A check that has ended.
#[derive(Debug)]
struct Done {
    target: TargetId,
    verdict: Verdict,
    started: Tick,
}

impl Work {
    fn watch(&mut self, watched: Vec<Watched>, changed: &Arc<Notify>) {
        let mut before = std::mem::take(&mut self.subjects);
        self.stale = true;
        for Watched { cluster, check } in watched {
            let known = before.iter().position(|subject| subject.handle.is_of(&cluster));
            let handle = match known {
                Some(position) => before.swap_remove(position).handle,
                None => {
                    let changed = Arc::clone(changed);
                    cluster.handle_waking(Arc::new(move || changed.notify_one()))
                }
            };
            self.subjects.push(Subject { cluster, check: Arc::new(check), handle });
        }
        before.iter().for_each(forget);
    }

    fn take_up(&mut self) {
        for subject in &mut self.subjects {
            self.stale |= subject.handle.refresh();
        }
        if std::mem::take(&mut self.stale) {
            self.targets.update(&self.subjects, &mut self.schedule, now());
        }
    }

    fn start_what_is_due(&mut self) {
        while self.under_way.len() < AT_A_TIME
            && let Some(id) = self.schedule.take(now())
        {
            let Some((address, target)) = self.targets.get(id) else { continue };
            let (address, settings) = (Arc::clone(address), Arc::clone(&target.check));
            self.under_way.spawn(async move {
                let started = now();
                let verdict = check(&settings, &address).await;
                Done { target: id, verdict, started }
            });
        }
    }

    fn next(&self) -> Option<Tick> {
        self.schedule.next().filter(|_| self.under_way.len() < AT_A_TIME)
    }

    fn report(&mut self, done: &Done) {
        let now = now();
        let took = now.since(done.started);
        if let Some((address, target)) = self.targets.get(done.target) {
            tracing::trace!(%address, verdict = ?done.verdict, ?took, "checked");
            if done.verdict.is_err() && took > target.check.timeout + LAG {
                tracing::warn!(%address, ?took, "a check came too late to count");
            } else {
                for member in &target.members {
                    let observation = match &done.verdict {
                        Ok(()) => Observation::Check(Ok(took)),
                        Err(Failed::Answer(why)) => Observation::Check(Err(Arc::clone(why))),
                        Err(Failed::NoAnswer(why)) => Observation::NoAnswer(Arc::clone(why)),
                    };
                    // It may have left meanwhile.
                    let _ = member.cluster.observe(member.incarnation, observation, now);
                }
            }
        }
        self.targets.checked(done.target, &mut self.schedule, done.started);
    }
}

/// Takes back what checks have said about the backends of a cluster.
fn forget(subject: &Subject) {
    let view = subject.handle.snapshot().view();
    let cause = Cause::new(CauseKind::File, "no checks any more");
    for slot in view.slots() {
        let incarnation = view.incarnation(slot);
        let change = Change::Health { incarnation, health: Health::Unknown };
        // It may have left meanwhile.
        let _ = subject.cluster.apply(change, cause.clone());
    }
}
