//! Clusters to test with.

use std::sync::atomic::{AtomicU64, Ordering};

use lb_core::{
    Backend, Cluster, ClusterHandle, Lease, Membership, Outcome, PickCx, PickError, Tick, Tried,
    Weight,
    strategy::{Strategy, StrategyKind},
};

/// Backends named `b0`, `b1`, … of these weights.
pub(crate) fn weighted(weights: &[u32]) -> Membership {
    let backends = weights.iter().enumerate().map(|(index, weight)| {
        Backend::new(format!("10.0.0.{index}:80"))
            .named(format!("b{index}"))
            .weighted(Weight::new(*weight).unwrap())
    });
    Membership::new(backends).unwrap()
}

pub(crate) fn equal(count: usize) -> Membership {
    weighted(&vec![1; count])
}

pub(crate) fn cluster(kind: StrategyKind, membership: Membership) -> Cluster {
    boxed(kind.build(), membership)
}

pub(crate) fn boxed(strategy: Box<dyn Strategy>, membership: Membership) -> Cluster {
    Cluster::builder("test").boxed_strategy(strategy).membership(membership).build()
}

/// Drives `cluster` until nothing is due, ten seconds after the last call, so that
/// no pause between builds is in the way.
pub(crate) fn settle(cluster: &Cluster) {
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    let now = Tick::from_millis(SECONDS.fetch_add(10, Ordering::Relaxed) * 1_000);
    cluster.drive(&|| now);
}

/// A request with this entropy, of a client of its own.
pub(crate) fn acquire(
    handle: &mut ClusterHandle,
    entropy: u64,
    tried: &Tried,
) -> Result<Lease, PickError> {
    let key = entropy.to_be_bytes();
    handle.acquire(&PickCx::new(Tick::ZERO, entropy).keyed(&key).avoiding(tried))
}

/// The position of the backend that one request with this entropy gets and
/// finishes on.
pub(crate) fn pick(handle: &mut ClusterHandle, entropy: u64) -> usize {
    let lease = acquire(handle, entropy, &Tried::default()).unwrap();
    let position = position(lease.backend().name());
    lease.complete(Outcome::Status(200), Tick::ZERO);
    position
}

pub(crate) fn position(name: &str) -> usize {
    name.strip_prefix('b').unwrap().parse().unwrap()
}
