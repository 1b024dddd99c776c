//! A small world to try strategies in: balancers, servers, and a clock of its own.
//!
//! Balancers are clusters with the same backends; each sees only what it sent itself.
//! A server takes a fixed time, one request after the other or all at once, and may
//! change at any time. Everything is in milliseconds or nanoseconds of the simulated
//! clock, and all randomness is [`mix`] of a counter.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use lb_core::{
    Cluster, ClusterHandle, Lease, Outcome, PickCx, Tick,
    cluster::{Passive, Policy},
    sample::mix,
    strategy::StrategyKind,
};

use crate::support::{equal, position};

/// How one request is served: how long it takes, and how it ends.
pub(crate) type Service<'a> = &'a dyn Fn(usize, Tick, u64) -> (Duration, Outcome);

pub(crate) struct World {
    balancers: Vec<(Cluster, ClusterHandle)>,
    /// When each server is free, where it serves one at a time.
    free: Vec<Tick>,
    one_at_a_time: bool,
    /// Answers begin well, whatever becomes of them.
    heads_first: bool,
    /// Ends of requests: when, which, and what.
    ends: BinaryHeap<Reverse<(Tick, u64)>>,
    running: Vec<Option<(Lease, Tick, usize, Outcome)>>,
    seed: u64,
    next_drive: Tick,
}

/// One request that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) server: usize,
    pub(crate) at: Tick,
    pub(crate) took: Duration,
}

impl World {
    /// So many balancers before so many servers, with no ejection: what is to be seen
    /// is the strategy.
    pub(crate) fn new(kind: StrategyKind, balancers: usize, servers: usize) -> Self {
        let balancer = |_| {
            let policy = Policy { passive: Passive::Off, ..Policy::default() };
            let builder = Cluster::builder("test").boxed_strategy(kind.build()).policy(policy);
            let cluster = builder.membership(equal(servers)).build();
            let handle = cluster.handle();
            (cluster, handle)
        };
        Self {
            balancers: (0..balancers).map(balancer).collect(),
            free: vec![Tick::ZERO; servers],
            one_at_a_time: false,
            heads_first: false,
            ends: BinaryHeap::new(),
            running: Vec::new(),
            seed: 0,
            next_drive: Tick::ZERO,
        }
    }

    pub(crate) fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }

    pub(crate) fn heads_first(mut self) -> Self {
        self.heads_first = true;
        self
    }

    fn random(&mut self) -> u64 {
        self.seed += 1;
        mix(self.seed)
    }

    fn begin(&mut self, now: Tick, service: Service<'_>) {
        let (entropy, size) = (self.random(), self.random());
        let which = self.random() as usize % self.balancers.len();
        let cx = PickCx::new(now, entropy);
        let lease = self.balancers[which].1.acquire(&cx).unwrap();
        let server = position(lease.backend().name());
        let (time, outcome) = service(server, now, size);
        let start = if self.one_at_a_time { self.free[server].max(now) } else { now };
        let end = start + time;
        self.free[server] = end;
        self.ends.push(Reverse((end, self.running.len() as u64)));
        self.running.push(Some((lease, now, server, outcome)));
    }

    fn end(&mut self) -> Done {
        let Reverse((at, number)) = self.ends.pop().unwrap();
        let (mut lease, started, server, outcome) = self.running[number as usize].take().unwrap();
        if self.heads_first {
            lease.answers(200, started + at.since(started) / 2);
        }
        if let Outcome::Status(status) = outcome {
            lease.answers(status, at);
            // An answer that says it failed is short.
            lease.transferred(if outcome.is_held_against() { 100 } else { 100_000 });
        }
        lease.complete(outcome, at);
        Done { server, at, took: at.since(started) }
    }

    fn drive(&mut self, now: Tick) {
        if now >= self.next_drive {
            self.balancers.iter().for_each(|(cluster, _)| {
                cluster.drive(&|| now);
            });
            self.next_drive = now + Duration::from_millis(100);
        }
    }

    /// So many clients, each with its next request as soon as the last one is over.
    pub(crate) fn closed(
        &mut self,
        clients: usize,
        until: Tick,
        service: Service<'_>,
    ) -> Vec<Done> {
        let mut done = Vec::new();
        (0..clients).for_each(|_| self.begin(Tick::ZERO, service));
        loop {
            let over = self.end();
            if over.at > until {
                return done;
            }
            self.drive(over.at);
            done.push(over);
            self.begin(over.at, service);
        }
    }

    /// Requests that come at random, this long after each other on average.
    pub(crate) fn open(&mut self, every: Duration, until: Tick, service: Service<'_>) -> Vec<Done> {
        let mut done = Vec::new();
        let mut next = Tick::ZERO;
        while next < until {
            while self.ends.peek().is_some_and(|Reverse((at, _))| *at <= next) {
                done.push(self.end());
            }
            self.drive(next);
            self.begin(next, service);
            let random = self.random();
            next = next + every.mul_f64(exponential(random));
        }
        while !self.ends.is_empty() {
            done.push(self.end());
        }
        done
    }
}

/// A draw from the exponential distribution of mean 1.
pub(crate) fn exponential(entropy: u64) -> f64 {
    -(((entropy >> 11) as f64 + 0.5) / (1_u64 << 53) as f64).ln()
}
