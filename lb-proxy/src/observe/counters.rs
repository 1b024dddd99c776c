//! What is counted, and how it is read without disturbing those who count.
//!
//! Each worker has a [`Tally`] of its own for each cluster: it adds without a lock or
//! a contended cache line, since nobody else writes there. Whoever reads sums them up.
//! The fields are named as the metrics they will be.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use lb_core::{Cluster, Health, health::TransitionCounts};

use super::{AccessLog, readings::MeterBoard, recent::RecentBoard};
use crate::{http::binder::Stickiness, runtime::clock};

/// What a proxy has counted since it was started. A snapshot: plain values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Configurations that were to replace the first one.
    pub config_reloads_total: ReloadCounters,
    /// When the last of them was taken up or refused, in seconds since 1970.
    pub config_last_reload_timestamp_seconds: Option<u64>,
    /// Lines of the access log that were not written.
    pub access_log_dropped_total: u64,
    /// By cluster, sorted by name. Clusters that are gone keep their counts.
    pub clusters: Vec<ClusterCounters>,
}

/// Reloads by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadCounters {
    /// Taken up.
    pub accepted: u64,
    /// Refused as a whole; the one before stayed.
    pub rejected: u64,
}

/// What was counted of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterCounters {
    /// Its name.
    pub cluster: Arc<str>,
    /// Requests that went to another backend, by what happened with the one before.
    pub retries_total: RetryCounters,
    /// Requests that were sent again to the same backend, as a kept connection to it
    /// was closed.
    pub replays_total: u64,
    /// Requests that did not go to another backend, as too many did already.
    pub retry_budget_exhausted_total: u64,
    /// What became of bindings of clients to backends.
    pub sticky_total: StickyCounters,
    /// Answers of backends, to requests and probes, that report a load in a way that cannot
    /// be read.
    pub load_reports_malformed_total: u64,
    /// Backends that were asked for their load.
    pub load_probes_total: ProbeCounters,
    /// Backends that were taken out as requests to them failed.
    pub ejections_total: u64,
    /// Changes of what is thought of a backend.
    pub health_transitions_total: HealthCounters,
}

/// Changes of health by what it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCounters {
    /// Nobody looks any more.
    pub unknown: u64,
    /// It works.
    pub up: u64,
    /// Requests to it failed.
    pub ejected: u64,
    /// One request at a time tries it again.
    pub half_open: u64,
    /// Its checks fail.
    pub down: u64,
}

/// Retries by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryCounters {
    /// No connection could be made.
    pub connect: u64,
    /// The connection broke before an answer.
    pub reset: u64,
    /// No answer came in time.
    pub timeout: u64,
    /// The answer had a status that is retried.
    pub status: u64,
}

/// Probes by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeCounters {
    /// An answer came.
    pub answered: u64,
    /// None came in time, or one that tells of a failure.
    pub failed: u64,
}

/// Requests to sticky clusters by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StickyCounters {
    /// The client's backend answered.
    pub kept: u64,
    /// The client was not bound, and is now.
    pub new: u64,
    /// The client's backend could not be had; it is bound to another now.
    pub moved: u64,
}

/// The counts of one cluster in one worker. Statistics: written by that worker,
/// read by whoever asks, and nothing hangs on their order. Aligned so that no two
/// workers write to one cache line, or to a pair that is fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    retries: [Count; 4],
    pub(crate) replays: Count,
    pub(crate) retry_budget_exhausted: Count,
    kept: Count,
    new: Count,
    moved: Count,
    pub(crate) load_reports_malformed: Count,
    pub(crate) probes_answered: Count,
    pub(crate) probes_failed: Count,
}

/// Why a request goes to another backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryReason {
    Connect,
    Reset,
    Timeout,
    Status,
}

impl Tally {
    pub(crate) fn retries(&self, reason: RetryReason) -> &Count {
        &self.retries[reason as usize]
    }

    /// A sticky cluster has answered.
    pub(crate) fn bound(&self, stickiness: Stickiness) {
        match stickiness {
            Stickiness::Kept => self.kept.add(),
            Stickiness::New => self.new.add(),
            Stickiness::Moved => self.moved.add(),
            Stickiness::None => {}
        }
    }
}

/// A number that one thread adds to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more. Cheaper than an atomic addition, which a single writer does not need.
    pub(crate) fn add(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Whether nothing was counted yet.
    pub(crate) fn is_none(&self) -> bool {
        self.read() == 0
    }

    fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All counts of one proxy.
#[derive(Debug, Default)]
pub(crate) struct Board {
    tallies: Mutex<Vec<(Arc<str>, Arc<Tally>)>>,
    health: Mutex<Vec<(Arc<str>, HealthTally)>>,
    reloads: Mutex<(ReloadCounters, Option<u64>)>,
    log: Mutex<Dropped>,
    pub(crate) meters: MeterBoard,
    pub(crate) recent: RecentBoard,
}

/// What clusters of one name have counted.
#[derive(Debug, Default)]
struct HealthTally {
    /// By those that are no more.
    before: HealthCounters,
    counts: Vec<Arc<TransitionCounts>>,
}

impl HealthTally {
    /// Reads `counts` too from now on, once.
    fn take_up(&mut self, counts: Arc<TransitionCounts>) {
        if !self.counts.iter().any(|known| Arc::ptr_eq(known, &counts)) {
            self.counts.push(counts);
        }
        let before = &mut self.before;
        self.counts.retain_mut(|counts| match Arc::get_mut(counts) {
            Some(counts) => {
                before.add(counts);
                false
            }
            None => true,
        });
    }

    fn read(&self) -> HealthCounters {
        let mut sum = self.before;
        self.counts.iter().for_each(|counts| sum.add(counts));
        sum
    }
}

/// Lines dropped by the log in use, and by those before.
#[derive(Debug, Default)]
struct Dropped {
    before: u64,
    log: Option<AccessLog>,
}

impl Board {
    /// A tally for a cluster that a worker begins to use. It goes on with one that
    /// no worker uses any more, so there are never more than were used at a time.
    pub(crate) fn tally(&self, cluster: &str) -> Arc<Tally> {
        let mut tallies = lock(&self.tallies);
        let same = tallies.iter_mut().filter(|(name, _)| **name == *cluster);
        for (_, tally) in same {
            // Also makes visible here what its last writer wrote.
            if Arc::get_mut(tally).is_some() {
                return Arc::clone(tally);
            }
        }
        let tally = Arc::<Tally>::default();
        tallies.push((cluster.into(), Arc::clone(&tally)));
        tally
    }

    /// Reads what this cluster counts from now on, whether or not it did before.
    pub(crate) fn takes_up(&self, cluster: &Cluster) {
        let mut health = lock(&self.health);
        let index = health.iter().position(|(name, _)| **name == *cluster.name());
        let index = index.unwrap_or_else(|| {
            health.push((cluster.name().into(), HealthTally::default()));
            health.len() - 1
        });
        health[index].1.take_up(cluster.transitions());
    }

    /// A configuration was taken up, or refused.
    pub(crate) fn reloaded(&self, accepted: bool) {
        let (reloads, last) = &mut *lock(&self.reloads);
        if accepted {
            reloads.accepted += 1;
        } else {
            reloads.rejected += 1;
        }
        *last = Some(clock::since_epoch().as_secs());
    }

    /// Requests are logged there from now on.
    pub(crate) fn logs_to(&self, log: Option<&AccessLog>) {
        let mut dropped = lock(&self.log);
        if dropped.log.as_ref() != log {
            dropped.before += dropped.log.as_ref().map_or(0, AccessLog::dropped);
            dropped.log = log.cloned();
        }
    }

    /// The log in use.
    pub(crate) fn log(&self) -> Option<AccessLog> {
        lock(&self.log).log.clone()
    }

    pub(crate) fn read(&self) -> Counters {
        let (config_reloads_total, last) = *lock(&self.reloads);
        let dropped = lock(&self.log);
        let access_log_dropped_total =
            dropped.before + dropped.log.as_ref().map_or(0, AccessLog::dropped);
        Counters {
            config_reloads_total,
            config_last_reload_timestamp_seconds: last,
            access_log_dropped_total,
            clusters: self.clusters(),
        }
    }

    fn clusters(&self) -> Vec<ClusterCounters> {
        let mut clusters = Vec::<ClusterCounters>::new();
        for (name, tally) in &*lock(&self.tallies) {
            of_name(&mut clusters, name).add(tally);
        }
        for (name, health) in &*lock(&self.health) {
            let cluster = of_name(&mut clusters, name);
            cluster.health_transitions_total = health.read();
            cluster.ejections_total = cluster.health_transitions_total.ejected;
        }
        clusters
    }
}

fn of_name<'a>(clusters: &'a mut Vec<ClusterCounters>, name: &Arc<str>) -> &'a mut ClusterCounters {
    let known = clusters.binary_search_by(|known| known.cluster.cmp(name));
    let index = known.unwrap_or_else(|index| {
        let cluster = Arc::clone(name);
        clusters.insert(index, ClusterCounters { cluster, ..Default::default() });
        index
    });
    &mut clusters[index]
}

impl HealthCounters {
    fn add(&mut self, counts: &TransitionCounts) {
        self.unknown += counts.to(Health::Unknown);
        self.up += counts.to(Health::Up);
        self.ejected += counts.to(Health::Ejected);
        self.half_open += counts.to(Health::HalfOpen);
        self.down += counts.to(Health::Down);
    }
}

/// Numbers are right whoever panicked beside them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClusterCounters {
    fn add(&mut self, tally: &Tally) {
        self.retries_total.connect += tally.retries(RetryReason::Connect).read();
        self.retries_total.reset += tally.retries(RetryReason::Reset).read();
        self.retries_total.timeout += tally.retries(RetryReason::Timeout).read();
        self.retries_total.status += tally.retries(RetryReason::Status).read();
        self.replays_total += tally.replays.read();
        self.retry_budget_exhausted_total += tally.retry_budget_exhausted.read();
        self.sticky_total.kept += tally.kept.read();
        self.sticky_total.new += tally.new.read();
        self.sticky_total.moved += tally.moved.read();
        self.load_reports_malformed_total += tally.load_reports_malformed.read();
        self.load_probes_total.answered += tally.probes_answered.read();
        self.load_probes_total.failed += tally.probes_failed.read();
    }
}

#[cfg(test)]
mod tests {
    use lb_core::{
        Backend, Cause, Change, Membership, Tick,
        cluster::{CauseKind, Slot},
    };

    use super::*;

    #[test]
    fn the_counts_of_all_workers_add_up() {
        let board = Board::default();
        let workers = [board.tally("web"), board.tally("web"), board.tally("api")];
        for (tally, times) in workers.iter().zip([1, 2, 4]) {
            for _ in 0..times {
                tally.retries(RetryReason::Connect).add();
                tally.bound(Stickiness::Moved);
            }
        }
        let read = board.read().clusters;
        let names: Vec<_> = read.iter().map(|cluster| &*cluster.cluster).collect();
        assert_eq!(names, ["api", "web"]);
        assert_eq!((read[0].retries_total.connect, read[1].retries_total.connect), (4, 3));
        assert_eq!((read[0].sticky_total.moved, read[1].sticky_total.moved), (4, 3));
        assert_eq!(read[1].replays_total, 0);
    }

    #[test]
    fn a_cluster_that_comes_back_goes_on_counting() {
        let board = Board::default();
        for round in 1..=3 {
            let tally = board.tally("web");
            tally.replays.add();
            assert_eq!(board.read().clusters[0].replays_total, round);
        }
        assert_eq!(lock(&board.tallies).len(), 1);
    }

    #[test]
    fn transitions_are_counted_once_and_outlive_their_cluster() {
        let board = Board::default();
        for round in 1..=3 {
            let members = Membership::new([Backend::new("a")]).unwrap();
            let cluster = Cluster::builder("web").membership(members).build();
            board.takes_up(&cluster);
            let incarnation = cluster.snapshot().view().incarnation(Slot::new(0));
            for health in [Health::Ejected, Health::HalfOpen] {
                let change = Change::Health { incarnation, health };
                cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
                cluster.drive(&|| Tick::ZERO);
            }
            board.takes_up(&cluster);
            let read = &board.read().clusters[0];
            assert_eq!(read.ejections_total, round);
            let expected =
                HealthCounters { ejected: round, half_open: round, ..Default::default() };
            assert_eq!(read.health_transitions_total, expected);
        }
        assert_eq!(lock(&board.health)[0].1.counts.len(), 1, "of those that are gone");
    }

    #[test]
    fn no_two_workers_share_a_tally() {
        let board = Board::default();
        let (one, other) = (board.tally("web"), board.tally("web"));
        assert!(!Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn reloads_are_counted_with_the_time_of_the_last() {
        let board = Board::default();
        assert_eq!(board.read().config_last_reload_timestamp_seconds, None);
        let before = clock::since_epoch().as_secs();
        for accepted in [true, false, true] {
            board.reloaded(accepted);
        }
        let read = board.read();
        assert_eq!(read.config_reloads_total, ReloadCounters { accepted: 2, rejected: 1 });
        assert!(read.config_last_reload_timestamp_seconds >= Some(before));
    }
}
