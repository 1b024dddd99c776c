//! Runs checks for as long as somebody is there to check.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lb_core::{
    Cause, Change, Cluster, Health, Tick,
    backend::IncarnationId,
    cluster::{CauseKind, Observation},
};
use rustix::process::{Resource, getrlimit};
use tokio::{
    sync::Notify,
    task::{self, JoinError, JoinSet},
    time::Instant,
};

use super::{
    asked::{Asked, NotChecked, Waiting},
    check::{Failed, Seen, check, request_line},
    found::{CheckResult, Found},
    schedule::{SPACING, Schedule, TargetId},
    settings::HealthCheck,
    targets::{Subject, Targets},
};
use crate::runtime::clock::now;

/// A check that took this much longer than its limit was held up by ourselves.
const LAG: Duration = Duration::from_millis(500);
/// Checks under way at a time, and at most this part of all open files: the rest is for
/// clients and their backends.
const AT_A_TIME: usize = 1024;
const PART_OF_FILES: u64 = 4;

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
    /// What was set last.
    wanted: Mutex<Arc<[Watched]>>,
    changed: Arc<Notify>,
    asked: Waiting,
    found: Arc<Found>,
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
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = watched.into();
        self.changed.notify_one();
    }

    /// Checks a backend now, whatever the schedule says, and answers what was found. It
    /// counts like any other check.
    ///
    /// # Errors
    ///
    /// [`NotChecked`]: it was not.
    pub async fn check_now(
        &self,
        cluster: &Cluster,
        incarnation: IncarnationId,
    ) -> Result<CheckResult, NotChecked> {
        let answered = self.asked.add(cluster, incarnation)?;
        self.changed.notify_one();
        answered.await.map_err(|_| NotChecked::Nobody)
    }

    /// What the last checks of a backend have found, oldest first, at most 20.
    pub fn results(&self, cluster: &Cluster, incarnation: IncarnationId) -> Vec<CheckResult> {
        self.found.of(cluster.name(), incarnation)
    }

    /// Checks for ever; one at a time. Dropping it ends all checks under way; another
    /// call begins again with what was set last.
    pub async fn run(&self) {
        let files = getrlimit(Resource::Nofile).current;
        let mut work = Work::new(at_a_time(files), Arc::clone(&self.found));
        loop {
            let wanted = Arc::clone(&self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
            if !Arc::ptr_eq(&wanted, &work.watched) {
                work.watch(wanted, &self.changed);
            }
            work.take_up();
            for asked in self.asked.take(work.asked.len()) {
                work.start_asked(asked);
            }
            work.start_what_is_due();
            let next = work.next();
            tokio::select! {
                () = self.changed.notified() => {}
                Some(done) = work.under_way.join_next_with_id() => work.end(done),
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
#[derive(Debug)]
struct Work {
    watched: Arc<[Watched]>,
    /// Checks that may be under way at a time.
    at_a_time: usize,
    subjects: Vec<Subject>,
    targets: Targets,
    schedule: Schedule,
    under_way: JoinSet<Done>,
    /// Which check is which task, and when it began.
    tasks: HashMap<task::Id, (TargetId, Tick)>,
    /// Those that somebody asked for, and where the answer goes.
    asked: HashMap<task::Id, Asked>,
    found: Arc<Found>,
    stale: bool,
    /// It was told that there are too many.
    is_behind: bool,
}

/// A check that has ended.
#[derive(Debug)]
struct Done {
    target: TargetId,
    request: String,
    seen: Seen,
}

/// How many checks may be under way, with so many open files (`None`: any number).
fn at_a_time(files: Option<u64>) -> usize {
    let part = files.map_or(AT_A_TIME as u64, |files| files / PART_OF_FILES);
    usize::try_from(part).unwrap_or(AT_A_TIME).clamp(1, AT_A_TIME)
}

impl Work {
    fn new(at_a_time: usize, found: Arc<Found>) -> Self {
        Self {
            watched: Arc::default(),
            at_a_time,
            subjects: Vec::new(),
            targets: Targets::default(),
            schedule: Schedule::default(),
            under_way: JoinSet::new(),
            tasks: HashMap::new(),
            asked: HashMap::new(),
            found,
            stale: false,
            is_behind: false,
        }
    }

    fn watch(&mut self, watched: Arc<[Watched]>, changed: &Arc<Notify>) {
        let mut before = std::mem::take(&mut self.subjects);
        self.stale = true;
        for Watched { cluster, check } in watched.iter().cloned() {
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
        before.iter().for_each(|subject| forget(&subject.cluster));
        self.watched = watched;
    }

    fn take_up(&mut self) {
        for subject in &mut self.subjects {
            self.stale |= subject.handle.refresh();
        }
        if std::mem::take(&mut self.stale) {
            self.targets.update(&self.subjects, &mut self.schedule, now());
            self.found.keep(self.targets.members());
            self.tell_if_behind();
        }
    }

    /// Says once that all checks together are more than may be made.
    fn tell_if_behind(&mut self) {
        let (wanted, most) = (self.targets.wanted_rate().ceil(), SPACING.as_secs_f64().recip());
        let was_behind = std::mem::replace(&mut self.is_behind, wanted > most);
        if self.is_behind && !was_behind {
            tracing::warn!(
                "the checks of all backends are {wanted} a second, more than the {most} that are \
                 made: each backend is checked less often than its interval says"
            );
        }
    }

    fn start_what_is_due(&mut self) {
        while self.under_way.len() < self.at_a_time
            && let Some(id) = self.schedule.take(now())
        {
            let started = now();
            if let Some(task) = self.start(id, false) {
                self.tasks.insert(task, (id, started));
            }
        }
    }

    /// Starts a check beside the schedule. Whoever asked hears of it by the end of the
    /// answer where there is nobody to check.
    fn start_asked(&mut self, asked: Asked) {
        let id = self.targets.of_member(asked.cluster.name(), asked.incarnation);
        if let Some(task) = id.and_then(|id| self.start(id, true)) {
            self.asked.insert(task, asked);
        }
    }

    fn start(&mut self, id: TargetId, is_asked_for: bool) -> Option<task::Id> {
        let (address, target) = self.targets.get(id)?;
        let (address, settings) = (Arc::clone(address), Arc::clone(&target.check));
        let place = target.place.clone();
        let task = self.under_way.spawn(async move {
            let request = request_line(&settings, &address);
            let seen = match place.addresses(settings.timeout).await {
                Ok(at) => check(&settings, &address, &at, is_asked_for).await,
                Err(why) => Seen::nothing(Failed::NoAnswer(why)),
            };
            Done { target: id, request, seen }
        });
        Some(task.id())
    }

    fn next(&self) -> Option<Tick> {
        self.schedule.next().filter(|_| self.under_way.len() < self.at_a_time)
    }

    /// Takes in what a check has found, and plans the next of its target.
    fn end(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let task = match &done {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let asked = self.asked.remove(&task);
        match done {
            Ok((_, done)) => self.report(done, asked),
            // The panic hook has said where.
            Err(error) => tracing::error!(%error, "a check has ended without a result"),
        }
        if let Some((target, started)) = self.tasks.remove(&task) {
            self.targets.checked(target, &mut self.schedule, started);
        }
    }

    fn report(&mut self, done: Done, asked: Option<Asked>) {
        let Done { target, request, seen: Seen { verdict, status, excerpt, took } } = done;
        let now = now();
        let Some((address, target)) = self.targets.get(target) else { return };
        tracing::trace!(%address, ?verdict, ?took, "checked");
        let counts = verdict.is_ok() || took <= target.check.timeout + LAG;
        if !counts {
            tracing::warn!(%address, ?took, "a check came too late to count");
        }
        let why = verdict.as_ref().map_err(|failed| match failed {
            Failed::Answer(why) | Failed::NoAnswer(why) => Arc::clone(why),
        });
        let result = CheckResult {
            at: now,
            took,
            request: request.into(),
            status,
            excerpt: excerpt.map(Arc::from),
            verdict: why.copied(),
            is_asked_for: asked.is_some(),
            counts,
        };
        for member in &target.members {
            self.found.add(member.cluster.name(), member.incarnation, result.clone());
            if counts {
                let observation = match &verdict {
                    Ok(()) => Observation::Check(Ok(took)),
                    Err(Failed::Answer(why)) => Observation::Check(Err(Arc::clone(why))),
                    Err(Failed::NoAnswer(why)) => Observation::NoAnswer(Arc::clone(why)),
                };
                // It may have left meanwhile.
                let _ = member.cluster.observe(member.incarnation, observation, now);
            }
        }
        if let Some(asked) = asked {
            // He may have gone away.
            let _ = asked.answer.send(result);
        }
    }
}

/// Takes back what checks have said about the backends of a cluster. That requests
/// failed goes on to be true.
fn forget(cluster: &Cluster) {
    let cause = Cause::new(CauseKind::File, "no checks any more");
    let by_checks = |health| matches!(health, Health::Up | Health::Down);
    let take_back = || {
        let conditions = cluster.conditions().into_iter();
        let checked = conditions.filter(|condition| by_checks(condition.health));
        let unknown = checked.map(|condition| Change::Health {
            incarnation: condition.incarnation,
            health: Health::Unknown,
        });
        cluster.apply_all(unknown, cause.clone())
    };
    // One of them may have left meanwhile.
    while take_back().is_err() {}
}

#[cfg(test)]
mod tests {
    use lb_core::{Backend, Membership};

    use super::*;

    #[test]
    fn the_end_of_checks_takes_back_what_they_said_in_one_change_and_no_ejection() {
        let backends = ["a:1", "b:1", "c:1"].map(Backend::new);
        let cluster = Cluster::builder("web").membership(Membership::new(backends).unwrap());
        let cluster = cluster.build();
        let health = |cluster: &Cluster| {
            cluster.conditions().iter().map(|condition| condition.health).collect::<Vec<_>>()
        };
        let said = [Health::Up, Health::Down, Health::Ejected];
        for (condition, health) in cluster.conditions().iter().zip(said) {
            let change = Change::Health { incarnation: condition.incarnation, health };
            cluster.apply(change, Cause::new(CauseKind::Health, "seen")).unwrap();
        }
        cluster.drive(&|| Tick::from_millis(1_000));
        assert_eq!(health(&cluster), said);
        forget(&cluster);
        cluster.drive(&|| Tick::from_millis(2_000));
        assert_eq!(health(&cluster), [Health::Unknown, Health::Unknown, Health::Ejected]);
        let generations = cluster.generations();
        let causes = &generations.last().unwrap().causes;
        let of_ours = causes.iter().filter(|cause| cause.text() == "no checks any more");
        assert_eq!(of_ours.count(), 1, "{causes:?}");
    }

    #[test]
    fn checks_leave_open_files_to_requests() {
        let limits = [Some(1_024), Some(1_000_000), Some(0), None].map(at_a_time);
        assert_eq!(limits, [256, 1_024, 1, 1_024]);
    }

    #[tokio::test]
    async fn a_check_that_is_asked_for_is_made_now_and_counts() {
        let membership = Membership::new([Backend::new("127.0.0.1:1")]).unwrap();
        let cluster = Cluster::builder("web").membership(membership).build();
        let incarnation = cluster.conditions()[0].incarnation;
        let prober = Prober::new();
        let check = HealthCheck { interval: Duration::from_secs(600), ..HealthCheck::default() };
        let asked = async {
            assert_eq!(prober.check_now(&cluster, incarnation).await, Err(NotChecked::Nobody));
            prober.set(vec![Watched { cluster: cluster.clone(), check }]);
            for number in 1..=3 {
                let found = prober.check_now(&cluster, incarnation).await.unwrap();
                assert_eq!(&*found.request, "connect to 127.0.0.1:1");
                assert_eq!(found.verdict, Err("connect: refused".into()));
                assert_eq!(prober.results(&cluster, incarnation).len(), number);
            }
            assert_eq!(cluster.conditions()[0].health, Health::Down);
        };
        tokio::select! {
            () = prober.run() => {}
            () = asked => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nobody is checked"),
        }
    }

    #[tokio::test]
    async fn a_target_whose_check_has_panicked_is_checked_again() {
        let membership = Membership::new([Backend::new("127.0.0.1:1")]).unwrap();
        let cluster = Cluster::builder("web").membership(membership).build();
        let mut work = Work::new(1, Arc::default());
        let watched = Watched { cluster, check: HealthCheck::default() };
        work.watch([watched].into(), &Arc::default());
        work.take_up();
        let target = work.schedule.take(now() + Duration::from_secs(2)).unwrap();
        let task = work.under_way.spawn(async { panic!("on purpose") });
        work.tasks.insert(task.id(), (target, now()));
        let done = work.under_way.join_next_with_id().await.unwrap();
        work.end(done);
        assert!(work.schedule.has(target));
        assert!(work.tasks.is_empty());
    }

    #[tokio::test]
    async fn whoever_runs_it_again_finds_whom_to_check() {
        let backend = Backend::new("127.0.0.1:1");
        let membership = Membership::new([backend]).unwrap();
        let cluster = Cluster::builder("web").membership(membership).build();
        let prober = Prober::new();
        let check = HealthCheck { interval: Duration::from_millis(1), ..HealthCheck::default() };
        prober.set(vec![Watched { cluster: cluster.clone(), check }]);
        // It has begun, and is dropped as if it had panicked.
        let mut run = Box::pin(prober.run());
        tokio::select! {
            biased;
            () = &mut run => {}
            () = std::future::ready(()) => {}
        }
        drop(run);
        let down = async {
            while cluster.conditions()[0].health != Health::Down {
                cluster.drive(&now);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = prober.run() => {}
            () = down => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nobody is checked"),
        }
    }
}
