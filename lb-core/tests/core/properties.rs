//! Any sequence of events, against a model that keeps the books naively.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, ClusterHandle, Health, Lease, Membership, Outcome,
    PickCx, Tick, Weight,
    backend::IncarnationId,
    cluster::{CauseKind, Passive, Policy},
    strategy::StrategyKind,
};
use proptest::{prelude::*, test_runner::RngSeed};

#[derive(Clone, Debug)]
enum Event {
    Acquire { entropy: u64, prefer: Option<u8> },
    BackendDone { which: usize },
    Complete { which: usize },
    Drop { which: usize },
    Members(Vec<(u8, u32, u8, Option<u32>)>),
    Admin { backend: u8, state: AdminState },
    Health { backend: u8, health: Health },
    Weight { backend: u8, weight: Option<u32> },
    Strategy(StrategyKind),
    Settle,
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
        Just(Health::HalfOpen),
        Just(Health::Unknown)
    ];
    let member = (0..16_u8, 1..5_u32, 0..3_u8, prop::option::of(1..3_u32));
    prop_oneof![
        8 => (any::<u64>(), prop::option::weighted(0.2, 0..16_u8))
            .prop_map(|(entropy, prefer)| Event::Acquire { entropy, prefer }),
        2 => any::<usize>().prop_map(|which| Event::BackendDone { which }),
        3 => any::<usize>().prop_map(|which| Event::Complete { which }),
        2 => any::<usize>().prop_map(|which| Event::Drop { which }),
        1 => prop::collection::vec(member, 0..14).prop_map(Event::Members),
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
    /// Each with whether the backend still works on it.
    leases: Vec<(Lease, bool)>,
    /// What was said.
    admin: BTreeMap<String, AdminState>,
    members: Vec<Backend>,
    /// Who is judged good enough by what was known at the last settle.
    chosen: Chosen,
    /// Who was half-open and has not been up since: where one may be kept waiting.
    gated: BTreeSet<IncarnationId>,
    now: Tick,
}

#[derive(Default)]
struct Chosen {
    /// Who takes anybody.
    used: Vec<String>,
    /// Who is tried by one request, because its tier comes first.
    trials: Vec<String>,
    /// Who is asked when nobody else can.
    standby: Vec<String>,
}

impl Model {
    fn new() -> Self {
        // What failed requests do is tested elsewhere; here only people speak.
        let policy = Policy { passive: Passive::Off, ..Policy::default() };
        let builder = Cluster::builder("test").boxed_strategy(StrategyKind::LeastConn.build());
        let cluster = builder.policy(policy).build();
        let handle = cluster.handle();
        Self {
            cluster,
            handle,
            leases: Vec::new(),
            admin: BTreeMap::new(),
            members: Vec::new(),
            chosen: Chosen::default(),
            gated: BTreeSet::new(),
            now: Tick::ZERO,
        }
    }

    fn apply(&mut self, event: Event) {
        let cause = || Cause::new(CauseKind::Person, "event");
        match event {
            Event::Acquire { entropy, prefer } => self.acquire(entropy, prefer),
            Event::BackendDone { which } => {
                if let Some(which) = which.checked_rem(self.leases.len()) {
                    let (lease, busy) = &mut self.leases[which];
                    lease.backend_done(Outcome::Reset, self.now);
                    *busy = false;
                }
            }
            Event::Complete { which } => {
                if let Some(which) = which.checked_rem(self.leases.len()) {
                    let (lease, _) = self.leases.swap_remove(which);
                    lease.complete(Outcome::Status(200), self.now);
                }
            }
            Event::Drop { which } => {
                if let Some(which) = which.checked_rem(self.leases.len()) {
                    drop(self.leases.swap_remove(which));
                }
            }
            Event::Members(list) => {
                let distinct: BTreeMap<u8, _> =
                    list.into_iter().map(|member| (member.0, member)).collect();
                let backend = |(name, weight, tier, limit): (u8, u32, u8, Option<u32>)| {
                    let backend = Backend::new(format!("b{name}")).in_tier(tier);
                    let backend = backend.weighted(Weight::new(weight).unwrap());
                    match limit.and_then(NonZeroU32::new) {
                        Some(limit) => backend.with_max_in_flight(limit),
                        None => backend,
                    }
                };
                self.members = distinct.into_values().map(backend).collect();
                let membership = Membership::new(self.members.clone()).unwrap();
                self.cluster.apply(Change::Membership(membership), cause()).unwrap();
            }
            Event::Admin { backend, state } => {
                let name = format!("b{backend}");
                let change = Change::Admin { backend: name.as_str().into(), state };
                let known = self.members.iter().any(|member| member.name() == name);
                let applied = self.cluster.apply(change, cause());
                assert_eq!(applied.is_ok(), known || state == AdminState::Enabled);
                if applied.is_ok() {
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
            Event::Settle => {
                // Long enough for the pause between builds.
                self.now = self.now + Duration::from_secs(10);
                self.cluster.drive(&|| self.now);
                self.judge();
            }
        }
        self.check();
    }

    fn state(&self, name: &str) -> AdminState {
        self.admin.get(name).copied().unwrap_or_default()
    }

    /// Who may be picked: the rules again, written as one reads them aloud.
    fn judge(&mut self) {
        let conditions = self.cluster.conditions();
        let health: Vec<Health> = conditions.iter().map(|it| it.health).collect();
        for condition in &conditions {
            match condition.health {
                Health::HalfOpen => self.gated.insert(condition.incarnation),
                Health::Up | Health::Unknown => self.gated.remove(&condition.incarnation),
                _ => false,
            };
        }
        let with = |wanted: &[Health]| -> Vec<&Backend> {
            let members = self.members.iter().zip(&health);
            let good = members.filter(|(backend, health)| {
                self.state(backend.name()) == AdminState::Enabled && wanted.contains(health)
            });
            good.map(|(backend, _)| backend).collect()
        };
        let tier = |wanted: &[Health]| with(wanted).iter().map(|backend| backend.tier()).min();
        let good = [Health::Up, Health::Unknown, Health::HalfOpen];
        let (tier, wanted) = match tier(&good[..2]) {
            Some(tier) => (Some(tier), &good[..]),
            None => (
                tier(&[Health::HalfOpen]).or_else(|| tier(&[Health::Ejected])),
                &[Health::HalfOpen, Health::Ejected][..],
            ),
        };
        let named = |wanted: &[Health], fits: fn(u8, u8) -> bool| -> Vec<String> {
            let fits = |backend: &&Backend| tier.is_some_and(|tier| fits(backend.tier(), tier));
            with(wanted).into_iter().filter(fits).map(|it| it.name().to_owned()).collect()
        };
        self.chosen = Chosen {
            used: named(wanted, |tier, used| tier == used),
            trials: named(&[Health::HalfOpen], |tier, used| tier < used),
            standby: named(&good, |tier, used| tier > used),
        };
    }

    fn acquire(&mut self, entropy: u64, prefer: Option<u8>) {
        let prefer = prefer.map(|name| format!("b{name}"));
        let key = entropy.to_be_bytes();
        let mut cx = PickCx::new(self.now, entropy).keyed(&key);
        if let Some(name) = &prefer {
            cx = cx.preferring(name);
        }
        self.handle.refresh();
        let snapshot = self.handle.snapshot();
        let is_free = |name: &String| {
            let slot = snapshot.find(name).unwrap();
            self.state(name).admits_new() && !snapshot.view().is_full(slot)
        };
        let [used, trials, standby] =
            [&self.chosen.used, &self.chosen.trials, &self.chosen.standby]
                .map(|names| names.iter().any(is_free));
        match self.handle.acquire(&cx) {
            Ok(lease) => {
                let name = lease.backend().name();
                let state = self.state(name);
                let is_one_of = |names: &[String]| names.iter().any(|chosen| chosen == name);
                assert!(state != AdminState::Disabled, "{name} is disabled");
                if prefer.as_deref() != Some(name) {
                    assert!(state.admits_new(), "{name} is draining");
                    if trials {
                        assert!(is_one_of(&self.chosen.trials), "{name} instead of a trial");
                    } else if used {
                        assert!(is_one_of(&self.chosen.used), "{name} was not chosen");
                    } else {
                        assert!(is_one_of(&self.chosen.standby), "{name} does not stand by");
                    }
                }
                self.leases.push((lease, true));
            }
            Err(error) => {
                assert!(!used && !trials && !standby, "there was somebody, but: {error}");
            }
        }
    }

    /// Every backend has exactly the requests in flight that we have on it.
    fn check(&self) {
        let snapshot = self.cluster.snapshot();
        let view = snapshot.view();
        let new: Vec<_> =
            view.new_set().as_slice().iter().map(|slot| view.backend(*slot).name()).collect();
        assert_eq!(new, self.chosen.used);
        for slot in view.slots() {
            let ours = || {
                let on_it =
                    |lease: &&(Lease, bool)| lease.0.incarnation() == view.incarnation(slot);
                self.leases.iter().filter(on_it)
            };
            let busy = u32::try_from(ours().filter(|(_, busy)| *busy).count()).unwrap();
            let held = u32::try_from(ours().count()).unwrap();
            assert_eq!((view.in_flight(slot), view.held(slot)), (busy, held));
            let limit = view.backend(slot).max_in_flight();
            let is_full = limit.is_some_and(|limit| busy >= limit.get());
            if !self.gated.contains(&view.incarnation(slot)) {
                assert_eq!(view.is_full(slot), is_full);
            }
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
    fn no_sequence_of_events_miscounts_or_misroutes(
        events in prop::collection::vec(event(), 1..200)
    ) {
        let mut model = Model::new();
        for event in events {
            model.apply(event);
        }
        model.leases.clear();
        model.check();
    }
}
