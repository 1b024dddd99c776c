//! Any sequence of events, against a model that keeps the books naively.

use std::collections::BTreeMap;

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, ClusterHandle, Health, Lease, Membership, Outcome,
    PickCx, Tick, Weight, cluster::CauseKind, strategy::StrategyKind,
};
use proptest::{prelude::*, test_runner::RngSeed};

use crate::support::{cluster, settle};

#[derive(Clone, Debug)]
enum Event {
    Acquire { entropy: u64, prefer: Option<u8> },
    Finish { which: usize, by: How },
    Members(Vec<(u8, u32, u8)>),
    Admin { backend: u8, state: AdminState },
    Health { backend: u8, health: Health },
    Weight { backend: u8, weight: Option<u32> },
    Strategy(StrategyKind),
    Settle,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Completed,
    BackendFirst,
    Dropped,
}

fn event() -> impl Strategy<Value = Event> {
    let admin = prop_oneof![
        Just(AdminState::Enabled),
        Just(AdminState::Draining { until: None }),
        Just(AdminState::Disabled),
    ];
    let health = prop_oneof![
        Just(Health::Up),
        Just(Health::Down),
        Just(Health::Ejected),
        Just(Health::Unknown)
    ];
    let how = prop_oneof![Just(How::Completed), Just(How::BackendFirst), Just(How::Dropped)];
    prop_oneof![
        8 => (any::<u64>(), prop::option::weighted(0.2, 0..16_u8))
            .prop_map(|(entropy, prefer)| Event::Acquire { entropy, prefer }),
        6 => (any::<usize>(), how).prop_map(|(which, by)| Event::Finish { which, by }),
        1 => prop::collection::vec((0..16_u8, 1..5_u32, 0..2_u8), 0..14).prop_map(Event::Members),
        2 => (0..16_u8, admin).prop_map(|(backend, state)| Event::Admin { backend, state }),
        2 => (0..16_u8, health).prop_map(|(backend, health)| Event::Health { backend, health }),
        1 => (0..16_u8, prop::option::of(1..9_u32))
            .prop_map(|(backend, weight)| Event::Weight { backend, weight }),
        1 => prop::sample::select(StrategyKind::ALL).prop_map(Event::Strategy),
        4 => Just(Event::Settle),
    ]
}

/// Everything the cluster should know, kept without cleverness.
struct Model {
    cluster: Cluster,
    handle: ClusterHandle,
    leases: Vec<Lease>,
    /// Live states, as said; effective ones are those of the last settle.
    admin: BTreeMap<String, AdminState>,
}

impl Model {
    fn new() -> Self {
        let cluster = cluster(StrategyKind::LeastConn, Membership::default());
        let handle = cluster.handle();
        Self { cluster, handle, leases: Vec::new(), admin: BTreeMap::new() }
    }

    fn apply(&mut self, event: Event) {
        let cause = || Cause::new(CauseKind::Person, "event");
        match event {
            Event::Acquire { entropy, prefer } => self.acquire(entropy, prefer),
            Event::Finish { which, by } => self.finish(which, by),
            Event::Members(list) => {
                let distinct: BTreeMap<u8, (u32, u8)> =
                    list.into_iter().map(|(name, weight, tier)| (name, (weight, tier))).collect();
                let backends = distinct.into_iter().map(|(name, (weight, tier))| {
                    let backend = Backend::new(format!("b{name}")).in_tier(tier);
                    backend.weighted(Weight::new(weight).unwrap())
                });
                let membership = Membership::new(backends).unwrap();
                self.cluster.apply(Change::Membership(membership), cause()).unwrap();
            }
            Event::Admin { backend, state } => {
                let name = format!("b{backend}");
                let change = Change::Admin { backend: name.as_str().into(), state };
                if self.cluster.apply(change, cause()).is_ok() {
                    self.admin.insert(name, state);
                }
            }
            Event::Health { backend, health } => {
                let snapshot = self.cluster.snapshot();
                if let Some(slot) = snapshot.find(&format!("b{backend}")) {
                    let incarnation = snapshot.view().incarnation(slot);
                    self.cluster.apply(Change::Health { incarnation, health }, cause()).unwrap();
                }
            }
            Event::Weight { backend, weight } => {
                let weight = weight.map(|weight| Weight::new(weight).unwrap());
                let backend = format!("b{backend}").as_str().into();
                // Refused when the backend is not there; both are fine.
                let _ = self.cluster.apply(Change::Weight { backend, weight }, cause());
            }
            Event::Strategy(kind) => {
                self.cluster.apply(Change::Strategy(kind.build()), cause()).unwrap();
            }
            Event::Settle => settle(&self.cluster),
        }
        self.check();
    }

    fn acquire(&mut self, entropy: u64, prefer: Option<u8>) {
        self.handle.refresh();
        let prefer = prefer.map(|name| format!("b{name}"));
        let mut cx = PickCx::new(Tick::ZERO, entropy);
        if let Some(name) = &prefer {
            cx = cx.preferring(name);
        }
        let closed = |name: &str| !self.admin.get(name).copied().unwrap_or_default().admits_new();
        let open_to_new = {
            let view = self.handle.snapshot().view();
            let slots = view.new_set().as_slice().iter();
            let open = slots.filter(|slot| !closed(view.backend(**slot).name())).count();
            open > 0
        };
        match self.handle.acquire(&cx) {
            Ok(lease) => {
                let name = lease.backend().name();
                let bound = prefer.as_deref() == Some(name);
                let state = self.admin.get(name).copied().unwrap_or_default();
                assert!(state != AdminState::Disabled, "{name} is disabled");
                assert!(bound || state.admits_new(), "{name} is draining");
                self.leases.push(lease);
            }
            Err(error) => assert!(!open_to_new, "there was somebody, but: {error}"),
        }
    }

    fn finish(&mut self, which: usize, by: How) {
        if self.leases.is_empty() {
            return;
        }
        let mut lease = self.leases.swap_remove(which % self.leases.len());
        match by {
            How::Completed => lease.complete(Outcome::Status(200), Tick::ZERO),
            How::BackendFirst => lease.backend_done(Outcome::Reset, Tick::ZERO),
            How::Dropped => drop(lease),
        }
    }

    /// Every backend has exactly the requests in flight that we hold on it.
    fn check(&self) {
        let snapshot = self.cluster.snapshot();
        let view = snapshot.view();
        for slot in view.slots() {
            let held = self.leases.iter().filter(|l| l.incarnation() == view.incarnation(slot));
            let held = u32::try_from(held.count()).unwrap();
            assert_eq!((view.in_flight(slot), view.held(slot)), (held, held));
            assert!(!view.new_set().contains(slot) || view.bound_set().contains(slot));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(0x1b),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_events_miscounts_or_misroutes(events in prop::collection::vec(event(), 1..200)) {
        let mut model = Model::new();
        for event in events {
            model.apply(event);
        }
        model.leases.clear();
        model.check();
    }
}
