//! Reading what the workers count, beside them.
//!
//! The one reader keeps what each meter said last, and takes the difference: so nothing is
//! ever set back under a worker's hands, and a meter whose worker has let go of it is read
//! to the end before it is forgotten.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::Ordering::Relaxed,
        mpsc::{self, Receiver, Sender},
    },
};

use super::{
    histogram::{Histogram, PLACES},
    meter::{Begun, Meter, Meters},
    sketch::{Union, Window},
};

/// What happened since the reading before.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Reading {
    /// Requests that were answered or given up. Of a backend each try is one; of a cluster
    /// each request of a client is, however many backends were tried.
    pub requests: u64,
    /// Of these, failures and answers of 500 or more other than 501, and answers that broke
    /// off.
    pub errors: u64,
    /// From the pick of the backend, of the first one for a cluster, to the head of the
    /// answer.
    pub latency: Histogram,
}

/// What is read: a cluster, or one of its backends.
pub type Counted = (Arc<str>, Option<Arc<str>>);

/// How many different clients were seen, estimated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientsSeen {
    /// Of all backends: less than their sum if some went from one to another.
    pub clients: u64,
    /// Of each backend, by name. Those that nobody came to are not there.
    pub backends: BTreeMap<Arc<str>, u64>,
}

/// All meters of one proxy.
#[derive(Debug)]
pub(crate) struct MeterBoard {
    begun: Sender<Begun>,
    /// Locked by readers only.
    read: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    begun: Receiver<Begun>,
    meters: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    begun: Begun,
    last: [u32; 3],
    latency: Box<[u32; PLACES]>,
}

impl Default for MeterBoard {
    fn default() -> Self {
        let (sender, begun) = mpsc::channel();
        Self { begun: sender, read: Mutex::new(Known { begun, meters: Vec::new() }) }
    }
}

impl MeterBoard {
    /// The meters of a cluster that a worker begins to use.
    pub(crate) fn meters(&self, cluster: &str) -> Meters {
        Meters::new(cluster, self.begun.clone())
    }

    /// What happened since the last call, of those of whom something did.
    pub(crate) fn read(&self) -> BTreeMap<Counted, Reading> {
        let mut known = self.known();
        let mut readings = BTreeMap::new();
        known.meters.retain_mut(|watched| {
            // Also makes visible here what its last writer wrote.
            let is_over = Arc::get_mut(&mut watched.begun.meter).is_some();
            watched.read(&mut readings);
            !is_over
        });
        readings
    }

    /// How many clients the backends of a cluster saw in the last `window`. `now` is in
    /// seconds since 1970.
    pub(crate) fn seen(&self, cluster: &str, window: Window, now: u64) -> ClientsSeen {
        let known = self.known();
        let mut unions = BTreeMap::<Arc<str>, Union>::new();
        for Watched { begun, .. } in &known.meters {
            if *begun.cluster == *cluster
                && let (Some(backend), Some(sketch)) = (&begun.backend, begun.meter.clients.get())
            {
                unions.entry(Arc::clone(backend)).or_default().add(sketch, window, now);
            }
        }
        let mut all = Union::default();
        unions.values().for_each(|union| all.merge(union));
        let backends = unions.into_iter().map(|(name, union)| (name, union.estimate()));
        ClientsSeen {
            clients: all.estimate(),
            backends: backends.filter(|(_, some)| *some > 0).collect(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Numbers are right whoever panicked beside them.
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { begun, meters } = &mut *known;
        meters.extend(begun.try_iter().map(|begun| Watched {
            begun,
            last: [0; 3],
            latency: Box::new([0; PLACES]),
        }));
        known
    }
}

impl Watched {
    fn read(&mut self, readings: &mut BTreeMap<Counted, Reading>) {
        let Self { begun: Begun { cluster, backend, meter }, last, latency } = self;
        let now = meter.read();
        if now == *last {
            return;
        }
        let difference = |place: usize| u64::from(now[place].wrapping_sub(last[place]));
        let key = (Arc::clone(cluster), backend.clone());
        let reading = readings.entry(key).or_default();
        reading.requests += difference(0) + difference(1);
        reading.errors += difference(2);
        read_latency(meter, latency, &mut reading.latency);
        *last = now;
    }
}

fn read_latency(meter: &Meter, last: &mut [u32; PLACES], into: &mut Histogram) {
    for (place, (count, last)) in meter.latency.iter().zip(last).enumerate() {
        let now = count.load(Relaxed);
        into.add_at(place, now.wrapping_sub(*last));
        *last = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lb_core::{Cluster, Membership, PickCx, Tick, backend::Backend};

    use super::*;

    fn cluster() -> Cluster {
        let members = [Backend::new("10.0.0.1:80").named("a")];
        Cluster::builder("web").membership(Membership::new(members).unwrap()).build()
    }

    fn of(backend: Option<&str>) -> Counted {
        ("web".into(), backend.map(Into::into))
    }

    #[test]
    fn all_that_workers_count_is_read_once_and_added_up() {
        let (board, cluster) = (MeterBoard::default(), cluster());
        let workers = [board.meters("web"), board.meters("web")];
        let lease = cluster.handle().acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
        for meters in &workers {
            meters.of(&lease).meter.answers(Duration::from_millis(5), false);
            meters.of(&lease).meter.ends_unanswered(true);
            meters.whole.answers(Duration::from_millis(7), false);
        }
        let readings = board.read();
        let read = &readings[&of(Some("a"))];
        assert_eq!((read.requests, read.errors, read.latency.count()), (4, 2, 2));
        assert_eq!(readings[&of(None)].requests, 2);
        assert!(board.read().is_empty(), "it was read");
        workers[0].of(&lease).meter.errs();
        assert_eq!(board.read()[&of(Some("a"))].errors, 1);
    }

    #[test]
    fn what_a_worker_has_let_go_of_is_read_to_the_end() {
        let (board, cluster) = (MeterBoard::default(), cluster());
        let meters = board.meters("web");
        let lease = cluster.handle().acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
        meters.of(&lease).meter.ends_unanswered(false);
        meters.retain(|_| false);
        assert_eq!(board.read()[&of(Some("a"))].requests, 1);
        assert_eq!(board.known().meters.len(), 1, "only the cluster's is left");
        drop(meters);
        board.read();
        assert!(board.known().meters.is_empty());
    }

    #[test]
    fn clients_are_told_by_backend_and_once_for_all() {
        let (board, cluster) = (MeterBoard::default(), cluster());
        let (meters, window) = (board.meters("web"), Window::of_secs(60));
        let lease = cluster.handle().acquire(&PickCx::new(Tick::ZERO, 0)).unwrap();
        for client in 0..3 {
            meters.of(&lease).meter.saw(lb_core::sample::mix(client + 1), window, 50);
        }
        let seen = board.seen("web", window, 50);
        assert_eq!((seen.clients, seen.backends["a"]), (3, 3));
        assert_eq!(board.seen("other", window, 50), ClientsSeen::default());
    }
}
