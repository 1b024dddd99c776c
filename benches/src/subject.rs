//! A cluster to measure, and the bare picker inside it.

use std::{
    hint::black_box,
    sync::{Arc, Mutex, PoisonError},
};

use lb_core::{
    Cause, Change, Cluster, ClusterHandle, Health, Lease, Outcome, PickCx, Tick,
    cluster::{CauseKind, View},
    strategy::{BuildCx, Choice, Needs, Picker, Strategy, StrategyKind},
};

use crate::{Entropy, Keys, Weights, membership};

/// A cluster with one of the strategies.
#[derive(Debug)]
pub struct Subject {
    cluster: Cluster,
    latest: Latest,
}

/// The picker of the latest snapshot, where it is tapped.
type Latest = Arc<Mutex<Option<Arc<dyn Picker>>>>;

impl Subject {
    /// `size` idle backends of equal weight.
    #[must_use]
    pub fn new(strategy: StrategyKind, size: usize) -> Self {
        Self::of(strategy.build(), size)
    }

    /// The same of a strategy with options.
    #[must_use]
    pub fn of(strategy: Box<dyn Strategy>, size: usize) -> Self {
        Self::build(strategy, size, Latest::default())
    }

    /// The same with access to the bare picker, which a cluster itself hides
    /// behind its leases. Leases cost one more indirect call here.
    #[must_use]
    pub fn tapped(strategy: StrategyKind, size: usize) -> Self {
        Self::tapping(strategy.build(), size)
    }

    /// The same of a strategy with options.
    #[must_use]
    pub fn tapping(strategy: Box<dyn Strategy>, size: usize) -> Self {
        let latest = Latest::default();
        let tap = Tap { strategy, latest: Arc::clone(&latest) };
        Self::build(Box::new(tap), size, latest)
    }

    fn build(strategy: Box<dyn Strategy>, size: usize, latest: Latest) -> Self {
        let cluster = Cluster::builder("bench")
            .boxed_strategy(strategy)
            .membership(membership(size, Weights::Equal))
            .build();
        Self { cluster, latest }
    }

    /// Puts one to three requests on each backend, as long as the leases live:
    /// loads that a comparison cannot guess, and nobody idle.
    ///
    /// # Panics
    ///
    /// When a backend takes no request.
    #[must_use]
    pub fn under_load(&self) -> Vec<Lease> {
        let mut handle = self.cluster.handle();
        let snapshot = self.cluster.snapshot();
        let view = snapshot.view();
        let entropy = Entropy::new(1);
        let mut leases = Vec::new();
        for (slot, number) in view.slots().zip(0..) {
            for _ in 0..=entropy.of(number) % 3 {
                let name = view.backend(slot).name();
                let cx = PickCx::new(Entropy::NOW, 0).preferring(name);
                leases.push(handle.acquire(&cx).expect("every backend is usable"));
            }
        }
        leases
    }

    /// Lets an active check hold nine of ten backends down.
    ///
    /// # Panics
    ///
    /// When the cluster refuses that.
    #[must_use]
    pub fn mostly_down(self) -> Self {
        let snapshot = self.cluster.snapshot();
        for (position, slot) in snapshot.view().slots().enumerate() {
            if position % 10 != 0 {
                let incarnation = snapshot.view().incarnation(slot);
                let change = Change::Health { incarnation, health: Health::Down };
                let cause = Cause::new(CauseKind::Health, "bench");
                self.cluster.apply(change, cause).expect("the incarnation is there");
            }
        }
        // Late enough for a build to be allowed again.
        self.cluster.drive(&|| Tick::from_millis(60_000));
        self
    }

    /// A loop of bare picks for one thread: each looks for a newer snapshot, as a
    /// worker does, and ends with a backend in hand, not counted in. It returns how
    /// many found none.
    ///
    /// # Panics
    ///
    /// Unless it is [`tapped`](Self::tapped).
    pub fn picks(&self, thread: usize) -> impl FnMut(u64) -> u64 + Send + use<> {
        let mut handle = self.cluster.handle();
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let picker = latest.clone().expect("picks need a tapped subject");
        let entropy = Entropy::new(thread as u64);
        move |iterations| {
            let mut without = 0;
            // Where in an `Arc` of something unknown that begins would be computed each time.
            let picker = &*picker;
            for pick in 0..iterations {
                let key = entropy.address(pick);
                let cx = PickCx::new(Entropy::NOW, entropy.of(pick));
                let cx = cx.on_worker(thread).keyed(&key);
                handle.refresh();
                let view = handle.snapshot().view();
                let choice = picker.pick(view, black_box(&cx));
                let backend = choice.map(|choice| view.backend(choice.slot()));
                without += u64::from(black_box(backend).is_none());
            }
            without
        }
    }

    /// A loop of bare picks by these keys, without a look for a newer snapshot: what it
    /// costs to hash a key and look it up.
    ///
    /// # Panics
    ///
    /// Unless it is [tapped](Self::tapped).
    pub fn picks_by(&self, keys: Keys) -> impl FnMut(u64) -> u64 + Send + use<> {
        let handle = self.cluster.handle();
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let picker = latest.clone().expect("picks need a tapped subject");
        move |iterations| {
            let view = handle.snapshot().view();
            let mut without = 0;
            for pick in 0..iterations {
                let cx = PickCx::new(Entropy::NOW, pick).keyed(keys.of(pick));
                without += u64::from(black_box(picker.pick(view, black_box(&cx))).is_none());
            }
            without
        }
    }

    /// A loop of whole leases for one thread: picked, counted in, the backend in hand,
    /// counted out where the handle is. It returns how many found no backend.
    pub fn leases(&self, thread: usize) -> impl FnMut(u64) -> u64 + Send + use<> {
        let mut handle: ClusterHandle = self.cluster.handle();
        let entropy = Entropy::new(thread as u64);
        move |iterations| {
            let mut without = 0;
            for pick in 0..iterations {
                let key = entropy.address(pick);
                let cx = PickCx::new(Entropy::NOW, entropy.of(pick));
                let cx = cx.on_worker(thread).keyed(&key);
                match handle.acquire(black_box(&cx)) {
                    Ok(lease) => {
                        black_box(lease.backend());
                        handle.complete(lease, Outcome::Status(200), Entropy::NOW);
                    }
                    Err(_) => without += 1,
                }
            }
            without
        }
    }
}

/// A strategy that keeps hold of the pickers another one builds.
#[derive(Debug)]
struct Tap {
    strategy: Box<dyn Strategy>,
    latest: Latest,
}

impl Strategy for Tap {
    fn name(&self) -> &'static str {
        self.strategy.name()
    }

    fn needs(&self) -> Needs {
        self.strategy.needs()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let picker: Arc<dyn Picker> = self.strategy.build(view, cx).into();
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&picker));
        Box::new(Tapped(picker))
    }
}

#[derive(Debug)]
struct Tapped(Arc<dyn Picker>);

impl Picker for Tapped {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        self.0.pick(view, cx)
    }
}
