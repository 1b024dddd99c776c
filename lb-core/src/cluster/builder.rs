//! How a cluster begins.

use std::sync::{Arc, Mutex, atomic::AtomicU64};

use arc_swap::ArcSwap;

use super::{
    Cluster, Inputs, Shared,
    acknowledge::Workers,
    build::Builder,
    driver::Driver,
    generation::{Cause, CauseKind},
    policy::Policy,
};
use crate::{
    membership::Membership,
    retry::RetryFloor,
    sticky::Ring,
    strategy::{BuildCx, LeastConn, Strategy},
    time::Tick,
};

/// How many retries a cluster may have in ten seconds however few its requests are.
const RETRIES: u32 = 10;

/// Settings of a new cluster; see [`Cluster::builder`].
#[derive(Debug)]
#[must_use = "`build` makes the cluster"]
pub struct ClusterBuilder {
    name: Arc<str>,
    strategy: Box<dyn Strategy>,
    membership: Membership,
    entropy: u64,
    policy: Policy,
    ring: Option<Ring>,
}

impl ClusterBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            strategy: Box::new(LeastConn::default()),
            membership: Membership::default(),
            entropy: 0,
            policy: Policy::default(),
            ring: None,
        }
    }

    /// How to pick; [`LeastConn`] unless said.
    pub fn strategy(self, strategy: impl Strategy + 'static) -> Self {
        self.boxed_strategy(Box::new(strategy))
    }

    /// How to pick, chosen at run time.
    pub fn boxed_strategy(mut self, strategy: Box<dyn Strategy>) -> Self {
        self.strategy = strategy;
        self
    }

    /// Who is there at first; nobody unless said.
    pub fn membership(mut self, membership: Membership) -> Self {
        self.membership = membership;
        self
    }

    /// Randomness for where cursors start. With 0, the default, round-robin
    /// starts at the first backend.
    pub fn entropy(mut self, entropy: u64) -> Self {
        self.entropy = entropy;
        self
    }

    /// What to do about backends that fail, come back, or are too few.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The keys by which backends are found from cookies; without, they are not.
    /// Should two of the first backends have the same route, which one pair in 2⁶⁴
    /// has, neither is found by it; a [`Change`](super::Change) that leads to that
    /// is refused.
    pub fn ring(mut self, ring: Ring) -> Self {
        self.ring = Some(ring);
        self
    }

    /// Makes the cluster, with its first generation.
    pub fn build(self) -> Cluster {
        let mut inputs = Inputs {
            membership: self.membership,
            policy: self.policy,
            ring: self.ring,
            causes: vec![Cause::new(CauseKind::Start, "start")],
            ..Inputs::default()
        };
        let mut builder = Builder::new(self.strategy, BuildCx::new(self.entropy, &self.name));
        let built = builder.build(inputs.take(), Tick::ZERO);
        inputs.forget(&built, Tick::ZERO);
        let first = built.snapshot;
        Cluster {
            shared: Arc::new(Shared {
                name: self.name,
                inputs: Mutex::new(inputs),
                builder: Mutex::new(builder),
                publication: AtomicU64::new(first.publication()),
                current: ArcSwap::from_pointee(first),
                workers: Workers::default(),
                driver: Driver::new(),
                listeners: Mutex::default(),
                retry_floor: Arc::new(RetryFloor::new(RETRIES)),
                panic_listeners: Mutex::default(),
                transitions: Arc::default(),
            }),
        }
    }
}
