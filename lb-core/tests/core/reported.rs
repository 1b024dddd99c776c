//! By what backends report of their load.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use lb_core::{
    Cluster, ClusterHandle, Lease, LoadReport, Outcome, PickCx, Tick,
    sample::{index, mix},
    strategy::{ReportedLoad, StrategyKind},
};

use crate::support::{boxed, cluster, equal, position};

fn acquire(handle: &mut ClusterHandle, entropy: u64, at: Tick) -> Lease {
    handle.acquire(&PickCx::new(at, entropy)).unwrap()
}

/// So much of a whole, in percent.
fn share(percent: u64) -> LoadReport {
    LoadReport::new((percent << 16) / 100)
}

/// So many requests in flight.
fn count(count: u32) -> LoadReport {
    let mut report = LoadReport::new(u64::from(count) * LoadReport::ONE);
    report.in_flight = Some(count);
    report
}

/// Each backend reports once.
fn report(handle: &mut ClusterHandle, reports: &[LoadReport], at: Tick) {
    for (backend, report) in reports.iter().enumerate() {
        let cx = PickCx::new(at, 0);
        let mut lease = handle.acquire(&cx.preferring(&format!("b{backend}"))).unwrap();
        lease.reports(*report, at);
    }
}

#[test]
fn the_one_that_says_it_is_least_loaded_is_taken() {
    let cluster = cluster(StrategyKind::ReportedLoad, equal(5));
    let mut handle = cluster.handle();
    report(&mut handle, &[50, 40, 10, 60, 20].map(share), Tick::ZERO);
    for request in 0..100 {
        let lease = acquire(&mut handle, mix(request), Tick::ZERO);
        assert_eq!(position(lease.backend().name()), 2);
    }
}

#[test]
fn what_was_sent_since_is_added() {
    let cluster = cluster(StrategyKind::ReportedLoad, equal(3));
    let mut handle = cluster.handle();
    report(&mut handle, &[10, 12, 14].map(count), Tick::ZERO);
    let mut leases: Vec<_> =
        (0..12).map(|request| acquire(&mut handle, mix(request), Tick::ZERO)).collect();
    let mut counts = [10, 12, 14];
    // A lease reported and then ended: each backend had one more of ours then.
    leases.iter().for_each(|lease| counts[position(lease.backend().name())] += 1);
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
    leases.clear();
}

#[test]
fn old_reports_are_forgotten() {
    let strategy = ReportedLoad::new(5, Duration::from_secs(10));
    let cluster = boxed(Box::new(strategy), equal(2));
    let mut handle = cluster.handle();
    report(&mut handle, &[90, 10].map(share), Tick::ZERO);
    let mut first = |at| {
        let picks = (0..1_000).map(|request| acquire(&mut handle, mix(request), at));
        picks.filter(|lease| lease.backend().name() == "b0").count()
    };
    assert_eq!(first(Tick::from_millis(9_999)), 0);
    // Binomial(1000, 1/2): sigma is 15.8, so five are 79.
    assert!(first(Tick::from_millis(10_001)).abs_diff(500) < 79);
}

#[test]
fn who_has_not_reported_gets_a_usual_share() {
    let cluster = cluster(StrategyKind::ReportedLoad, equal(3));
    let mut handle = cluster.handle();
    report(&mut handle, &[80, 20].map(share), Tick::ZERO);
    // In the middle of the two: taken as soon as the better one has half as much more.
    let names: Vec<_> = (0..30)
        .map(|request| {
            let lease = acquire(&mut handle, mix(request), Tick::ZERO);
            let at = position(lease.backend().name());
            std::mem::forget(lease);
            at
        })
        .collect();
    assert_eq!(names[0], 1);
    let of = |backend| names.iter().filter(|at| **at == backend).count();
    assert!(of(2) > of(0) && of(2) > 5, "{names:?}");
}

#[test]
fn who_fails_fast_and_says_it_is_idle_gets_no_more_than_its_share() {
    let cluster = cluster(StrategyKind::ReportedLoad, equal(4));
    let mut handle = cluster.handle();
    let mut busy = std::collections::VecDeque::new();
    let mut failed = 0;
    for request in 0..4_000 {
        let now = Tick::from_millis(request);
        let mut lease = acquire(&mut handle, mix(request), now);
        if lease.backend().name() == "b0" {
            failed += 1;
            lease.reports(share(0), now);
            lease.complete(Outcome::Status(500), now);
        } else {
            busy.push_back(lease);
        }
        // The others take 20 ms.
        if busy.len() > 20 {
            let mut lease = busy.pop_front().unwrap();
            lease.reports(share(40), now);
            lease.complete(Outcome::Status(200), now);
        }
    }
    println!("{failed} of 4000 requests went to the one that fails");
    assert!(failed <= 1_000, "{failed}");
}

/// Backends that work on one request at a time, the second half at half the speed, and
/// balancers that know nothing of each other. Loads are reported with each answer.
struct Fleet {
    balancers: Vec<(Cluster, ClusterHandle)>,
    /// By backend: when it is free, and how many requests it has.
    backends: Vec<(u64, u32)>,
    most_in_flight: u32,
    latencies: Vec<u64>,
}

impl Fleet {
    fn new(kind: StrategyKind, balancers: usize, backends: usize) -> Self {
        let make = |_| {
            let cluster = cluster(kind, equal(backends));
            let handle = cluster.handle();
            (cluster, handle)
        };
        Self {
            balancers: (0..balancers).map(make).collect(),
            backends: vec![(0, 0); backends],
            most_in_flight: 0,
            latencies: Vec::new(),
        }
    }

    /// Runs `requests` at this share of what the backends can do, in percent.
    fn run(mut self, requests: u64, load: u64) -> Self {
        const FAST: u64 = 1_000_000;
        let backends = self.backends.len();
        // A pair of a fast and a slow one does three in two milliseconds.
        let apart = 2 * FAST * 100 / (3 * load * (backends as u64 / 2));
        let mut ends = BinaryHeap::<Reverse<(u64, u64, usize)>>::new();
        let mut leases = std::collections::BTreeMap::new();
        let mut now = 0;
        for request in 0..requests {
            now += index(mix(request), usize::try_from(2 * apart).unwrap()) as u64;
            while let Some(Reverse((at, _, _))) = ends.peek()
                && *at <= now
            {
                let Reverse((at, ended, backend)) = ends.pop().unwrap();
                let (mut lease, began): (Lease, u64) = leases.remove(&ended).unwrap();
                lease.reports(count(self.backends[backend].1), Tick::from_nanos(at));
                lease.complete(Outcome::Status(200), Tick::from_nanos(at));
                self.backends[backend].1 -= 1;
                self.latencies.push(at - began);
            }
            let entropy = mix(request ^ 0x5eed);
            let balancer = index(mix(entropy), self.balancers.len());
            let lease = acquire(&mut self.balancers[balancer].1, entropy, Tick::from_nanos(now));
            let backend = position(lease.backend().name());
            let (free, busy) = &mut self.backends[backend];
            let speed = if backend < backends / 2 { FAST } else { 2 * FAST };
            // From nothing to twice the mean.
            let takes = index(mix(entropy ^ 1), usize::try_from(2 * speed).unwrap()) as u64;
            *free = now.max(*free) + takes;
            *busy += 1;
            self.most_in_flight = self.most_in_flight.max(*busy);
            ends.push(Reverse((*free, request, backend)));
            leases.insert(request, (lease, now));
        }
        self.latencies.sort_unstable();
        self
    }

    fn p99(&self) -> u64 {
        self.latencies[self.latencies.len() * 99 / 100]
    }
}

/// The model of the fleet simulation of the design, small: what only the backends know
/// is worth more than a choice of two by what one balancer sees.
#[test]
fn many_balancers_keep_slow_backends_shorter_by_reports_than_by_their_own_counts() {
    let run = |kind| Fleet::new(kind, 20, 40).run(60_000, 90);
    let local = run(StrategyKind::P2c);
    let reported = run(StrategyKind::ReportedLoad);
    let show = |fleet: &Fleet| (fleet.most_in_flight, fleet.p99() / 1_000);
    println!("most in flight, p99 in µs: p2c {:?}, reported {:?}", show(&local), show(&reported));
    assert!(reported.most_in_flight * 2 < local.most_in_flight);
    assert!(reported.p99() * 2 < local.p99());
}

#[test]
fn a_balancer_alone_loses_nothing_by_reports() {
    let run = |kind| Fleet::new(kind, 1, 40).run(60_000, 90);
    let local = run(StrategyKind::P2c);
    let reported = run(StrategyKind::ReportedLoad);
    println!("p99 in ns: p2c {}, reported {}", local.p99(), reported.p99());
    assert!(reported.p99() <= local.p99());
}
