//! What goes on: series of numbers, the last requests, and who has which sessions.
//!
//! Once a second this reads what the workers have counted, and makes points of it; the
//! rest it passes on when it is asked. It changes nothing, and no worker waits for it.
//! The hard decision is what is bounded by what: by the number of rows, each of which has
//! a fixed length. There are at most [`MOST`] backends and clusters, so 50 MiB; whoever
//! comes later has no series, unless one can go that is not there any more.

mod row;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use lb_proxy::{ClientsSeen, Counted, KeptRequest, Observer, Reading};
use tokio::time::MissedTickBehavior;

use self::row::Row;
pub(crate) use self::row::{COARSE, Point, Rate, SECONDS, TENS};

/// Rows at most.
const MOST: usize = 1_000;

const SECOND: Duration = Duration::from_secs(1);

/// Requests in flight of each cluster and backend that is there.
pub(crate) type Loads = BTreeMap<Counted, u32>;

/// The length of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Second,
    Ten,
}

/// Series of a cluster and its backends, the latest point last. All have as many points;
/// none where somebody was not there yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Series {
    /// How long ago the last point ended.
    pub(crate) ended: Duration,
    /// Of the cluster as its clients see it, then of its backends by name.
    pub(crate) rows: Vec<Points>,
}

/// One row of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Points {
    /// `None`: of the cluster.
    pub(crate) backend: Option<Arc<str>>,
    pub(crate) points: Vec<Option<Point>>,
}

/// A cheap handle. All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    observer: OnceLock<Observer>,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    rows: BTreeMap<Counted, Row>,
    /// Seconds since the beginning.
    second: u64,
    /// When the last of them ended, and the last coarse step.
    ended: [Option<Instant>; 2],
}

impl Traffic {
    /// Reads on once a second, until it is dropped. `loads` says who is there.
    pub(crate) async fn follow(self, observer: Observer, loads: impl Fn() -> Loads) {
        let observer = self.0.observer.get_or_init(|| observer);
        let mut seconds = tokio::time::interval(SECOND);
        // One that is late is longer: none is made up.
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            let (readings, loads) = (observer.read(), loads());
            self.rows().pass(readings, &loads, Instant::now());
        }
    }

    /// What is going on at a backend, or in a cluster as its clients see it.
    pub(crate) fn rate(&self, cluster: &str, backend: Option<&str>) -> Rate {
        let key = (cluster.into(), backend.map(Into::into));
        self.rows().rows.get(&key).map(Row::rate).unwrap_or_default()
    }

    /// The last `points` of a cluster.
    pub(crate) fn series(&self, cluster: &str, step: Step, points: usize) -> Series {
        let rows = self.rows();
        let of_cluster = rows.rows.iter().filter(|((name, _), _)| **name == *cluster);
        let points = points.min(match step {
            Step::Second => SECONDS,
            Step::Ten => TENS,
        });
        let made = of_cluster.map(|((_, backend), row)| {
            let ring = match step {
                Step::Second => row.seconds(),
                Step::Ten => row.tens(),
            };
            let missing = points.saturating_sub(ring.len());
            let known = ring.iter().skip(ring.len().saturating_sub(points)).copied().map(Some);
            Points {
                backend: backend.clone(),
                points: std::iter::repeat_n(None, missing).chain(known).collect(),
            }
        });
        let ended = rows.ended[usize::from(step == Step::Ten)];
        Series {
            rows: made.collect(),
            ended: ended.map(|ended| ended.elapsed()).unwrap_or_default(),
        }
    }

    /// The last requests, newest first.
    pub(crate) fn requests(&self) -> Vec<Arc<KeptRequest>> {
        self.0.observer.get().map(Observer::requests).unwrap_or_default()
    }

    /// How many clients came that are bound.
    pub(crate) fn seen(&self, cluster: &str, remembered: Duration) -> ClientsSeen {
        let observer = self.0.observer.get();
        observer.map(|observer| observer.seen(cluster, remembered)).unwrap_or_default()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Numbers are right whoever panicked beside them.
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// A second has passed.
    fn pass(&mut self, mut readings: BTreeMap<Counted, Reading>, loads: &Loads, now: Instant) {
        self.second += 1;
        let ends_ten = self.second.is_multiple_of(COARSE as u64);
        self.ended[0] = Some(now);
        if ends_ten {
            self.ended[1] = Some(now);
        }
        self.begin_new(&readings, loads);
        for (key, row) in &mut self.rows {
            let in_flight = loads.get(key).copied().unwrap_or(0);
            row.push(readings.remove(key), in_flight, ends_ten);
        }
        // Whoever is gone stays as long as anything is left of it.
        self.rows.retain(|key, row| loads.contains_key(key) || !row.is_quiet());
    }

    /// Makes rows for those who have none. Those that are gone make room for them.
    fn begin_new(&mut self, readings: &BTreeMap<Counted, Reading>, loads: &Loads) {
        let all = loads.keys().chain(readings.keys());
        let mut new: Vec<&Counted> = all.filter(|key| !self.rows.contains_key(*key)).collect();
        // A cluster tells more than any of its backends.
        new.sort_unstable_by_key(|key| (key.1.is_some(), *key));
        new.dedup();
        let mut gone = Vec::new();
        // Not for each of them: there may be thousands who never get one.
        if self.rows.len() + new.len() > MOST {
            gone.extend(self.rows.keys().filter(|known| !loads.contains_key(*known)).cloned());
        }
        for key in new {
            if self.rows.len() >= MOST {
                let Some(gone) = gone.pop() else { return };
                self.rows.remove(&gone);
            }
            self.rows.insert(key.clone(), Row::default());
        }
    }
}
