//! Tiers that spill over, zones, subsets and spares: who gets how much.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use lb_core::{
    AdminState, Backend, Binding, Cause, Change, Cluster, Health, Lease, Membership, PickCx, Tick,
    Tried,
    cluster::{CauseKind, GroupId, Overflow, Place, Policy, Standing, Subset, Zone},
    sample::mix,
    strategy::{Reason, StrategyKind},
};

use crate::support::settle;

const PICKS: u64 = 100_000;

/// Five standard deviations of how often a share of [`PICKS`] requests comes up.
fn five_sigma(share: f64) -> f64 {
    5.0 * (PICKS as f64 * share * (1.0 - share)).sqrt()
}

fn spilling() -> Policy {
    Policy { overflow: Some(Overflow::default()), ..Policy::default() }
}

/// Three backends of each of two tiers.
fn two_tiers() -> Vec<Backend> {
    (0..6).map(|n| Backend::new(format!("b{n}")).in_tier(n / 3)).collect()
}

fn cluster(kind: StrategyKind, backends: Vec<Backend>, policy: Policy) -> Cluster {
    let membership = Membership::new(backends).unwrap();
    let builder = Cluster::builder("test").boxed_strategy(kind.build());
    builder.membership(membership).policy(policy).build()
}

fn say(cluster: &Cluster, change: Change) {
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
    settle(cluster);
}

fn set(cluster: &Cluster, name: &str, health: Health) {
    let snapshot = cluster.snapshot();
    let incarnation = snapshot.view().incarnation(snapshot.find(name).unwrap());
    say(cluster, Change::Health { incarnation, health });
}

fn standing(cluster: &Cluster, name: &str) -> Standing {
    let snapshot = cluster.snapshot();
    snapshot.view().standing(snapshot.find(name).unwrap())
}

/// How many requests, each of a client of its own, each backend gets.
fn counts(cluster: &Cluster, picks: u64) -> BTreeMap<String, u64> {
    let mut handle = cluster.handle();
    let mut counts = BTreeMap::new();
    for n in 0..picks {
        let key = mix(n).to_be_bytes();
        let cx = PickCx::new(Tick::ZERO, mix(n)).keyed(&key[..4]);
        let lease = handle.acquire(&cx).unwrap();
        *counts.entry(lease.backend().name().to_owned()).or_default() += 1;
    }
    counts
}

/// How many these get together.
fn sum_of(counts: &BTreeMap<String, u64>, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| counts.get(*name)).sum()
}

fn owners(cluster: &Cluster, keys: u64) -> Vec<String> {
    let mut handle = cluster.handle();
    let owner = |n: u64| {
        let key = mix(n).to_be_bytes();
        // Another entropy for each question: only the key may matter.
        let cx = PickCx::new(Tick::ZERO, mix(n ^ 0x77 << 32)).keyed(&key[..4]);
        handle.acquire(&cx).unwrap().backend().name().to_owned()
    };
    (0..keys).map(owner).collect()
}

#[test]
fn with_two_of_three_down_a_tier_keeps_its_share_under_every_strategy() {
    for kind in StrategyKind::ALL {
        let cluster = cluster(*kind, two_tiers(), spilling());
        set(&cluster, "b0", Health::Down);
        set(&cluster, "b1", Health::Down);
        let groups: Vec<(GroupId, f64)> = cluster.snapshot().groups().collect();
        assert_eq!(groups[1].0, GroupId::new(1, Place::Any));
        // 1.4 × 1 ÷ 3.
        assert!((groups[0].1 - 0.466_667).abs() < 1e-6, "{groups:?}");
        let counts = counts(&cluster, PICKS);
        let second = sum_of(&counts, &["b3", "b4", "b5"]);
        let expected = (1.0 - 1.4 / 3.0) * PICKS as f64;
        let off = (second as f64 - expected).abs();
        assert!(off < five_sigma(1.4 / 3.0), "{kind}: {second} for {expected}");
        assert!(!counts.contains_key("b0") && !counts.contains_key("b1"), "{kind}");
    }
}

#[test]
fn round_robin_is_exact_within_each_group() {
    let mut backends = two_tiers();
    backends[4] = Backend::new("b4").in_tier(1).weighted(lb_core::Weight::new(2).unwrap());
    let cluster = cluster(StrategyKind::RoundRobin, backends, spilling());
    set(&cluster, "b0", Health::Down);
    set(&cluster, "b1", Health::Down);
    let counts = counts(&cluster, 10_000);
    let second: u64 = ["b3", "b4", "b5"].iter().map(|name| counts[*name]).sum();
    for (name, weight) in [("b3", 1), ("b4", 2), ("b5", 1)] {
        let fair = second * weight / 4;
        assert!(counts[name].abs_diff(fair) <= 1, "{counts:?}");
    }
}

#[test]
fn keys_keep_their_tier_while_shares_stand_and_few_move_when_they_change() {
    const KEYS: u64 = 20_000;
    let by_key = StrategyKind::ALL.iter().filter(|kind| kind.needs_key());
    for kind in by_key {
        let cluster = cluster(*kind, two_tiers(), spilling());
        set(&cluster, "b0", Health::Down);
        let whole = owners(&cluster, KEYS);
        assert_eq!(owners(&cluster, KEYS), whole, "{kind}");
        let is_first = |name: &String| ["b0", "b1", "b2"].contains(&&**name);
        // 2 of 3 are good for 93.3 %, 1 for 46.7 %.
        set(&cluster, "b1", Health::Down);
        let less = owners(&cluster, KEYS);
        let pairs = || whole.iter().zip(&less);
        let back = pairs().filter(|(before, after)| !is_first(before) && is_first(after)).count();
        assert_eq!(back, 0, "{kind}: nobody returns to a tier that lost one");
        let stayed = pairs().filter(|(before, _)| !is_first(before));
        assert!(stayed.clone().all(|(before, after)| before == after), "{kind}");
        let over = pairs().filter(|(before, after)| is_first(before) && !is_first(after)).count();
        let share = over as f64 / KEYS as f64;
        // Binomial(20000, 0.467): sigma is 0.0035 of it.
        assert!((share - 1.4 / 3.0).abs() < 0.0175, "{kind}: {share} went to the second tier");
        let kept = pairs().filter(|(before, after)| *before == "b2" && is_first(after));
        assert!(kept.clone().count() > 2_000 && kept.clone().all(|(_, after)| after == "b2"));
        set(&cluster, "b1", Health::Up);
        assert_eq!(owners(&cluster, KEYS), whole, "{kind}: as if nothing had been");
    }
}

#[test]
fn clients_of_one_network_do_not_part_under_ip_hash() {
    let cluster = cluster(StrategyKind::IpHash, two_tiers(), spilling());
    set(&cluster, "b0", Health::Down);
    set(&cluster, "b1", Health::Down);
    let mut handle = cluster.handle();
    let mut tiers = [0; 2];
    for network in 0..200_u64 {
        let [a, b, c, ..] = mix(network).to_be_bytes();
        let mut owner = |address: &[u8]| {
            let cx = PickCx::new(Tick::ZERO, mix(network)).keyed(address);
            handle.acquire(&cx).unwrap().backend().clone()
        };
        let first = owner(&[a, b, c, 0]);
        assert!((1..=255).all(|host| owner(&[a, b, c, host]).name() == first.name()));
        tiers[usize::from(first.tier())] += 1;
    }
    // Binomial(200, 0.467): sigma is 7.
    assert!((60..=128).contains(&tiers[0]), "{tiers:?}");
}

/// Of a cookie that was sealed with a key we don't have.
#[test]
fn clients_that_other_balancers_have_bound_follow_the_shares() {
    let cluster = cluster(StrategyKind::LeastConn, two_tiers(), spilling());
    set(&cluster, "b0", Health::Down);
    set(&cluster, "b1", Health::Down);
    let mut handle = cluster.handle();
    let mut owners = || -> Vec<String> {
        let owner = |n: u64| {
            let key = mix(n).to_be_bytes();
            let cx = PickCx::new(Tick::ZERO, n).bound_to(Binding::Key(&key));
            let lease = handle.acquire(&cx).unwrap();
            assert_eq!(lease.reason(), Reason::Preferred);
            lease.backend().name().to_owned()
        };
        (0..20_000).map(owner).collect()
    };
    let before = owners();
    assert_eq!(owners(), before);
    let first = before.iter().filter(|name| *name == "b2").count() as f64;
    // Binomial(20000, 0.467): sigma is 71.
    assert!((first - 1.4 / 3.0 * 20_000.0).abs() < 355.0, "{first}");
}

#[test]
fn what_chose_the_group_says_nothing_of_the_place_within_it() {
    for kind in [StrategyKind::Maglev, StrategyKind::Random] {
        let cluster = cluster(kind, two_tiers(), spilling());
        set(&cluster, "b0", Health::Down);
        let counts = counts(&cluster, PICKS);
        let of = |name: &str| counts[name] as f64;
        // Thirds of 6.7 %.
        let second = sum_of(&counts, &["b3", "b4", "b5"]);
        for name in ["b3", "b4", "b5"] {
            // Binomial(6667, 1/3): sigma is 38; the table's parts differ by far less.
            assert!((of(name) - second as f64 / 3.0).abs() < 200.0, "{counts:?}");
        }
        // And halves of the rest; sigma is 153.
        assert!((of("b1") - of("b2")).abs() < 1_600.0, "{counts:?}");
    }
}

#[test]
fn panic_that_goes_on_in_another_tier_is_told() {
    let policy = Policy { panic_threshold: 50, ..spilling() };
    let cluster = cluster(StrategyKind::LeastConn, two_tiers(), policy);
    let told = Arc::<Mutex<Vec<Option<u8>>>>::default();
    let tell = Arc::clone(&told);
    cluster.on_panic(Arc::new(move |panic| {
        tell.lock().unwrap().push(panic.map(|panic| panic.tier));
    }));
    for name in ["b0", "b1", "b3", "b4"] {
        set(&cluster, name, Health::Down);
    }
    assert_eq!(*told.lock().unwrap(), [Some(0)], "the first of two");
    // Tier 0 is good for 93.3 %, so tier 1 still has a share.
    set(&cluster, "b0", Health::Up);
    assert_eq!(*told.lock().unwrap(), [Some(0), Some(1)]);
    set(&cluster, "b3", Health::Up);
    assert_eq!(*told.lock().unwrap(), [Some(0), Some(1), None]);
}

#[test]
fn a_request_that_its_group_cannot_take_goes_to_the_others_before_those_on_standby() {
    for kind in StrategyKind::ALL {
        let mut backends = two_tiers();
        backends.push(Backend::new("standby").in_tier(2));
        let cluster = cluster(*kind, backends, spilling());
        set(&cluster, "b0", Health::Down);
        set(&cluster, "b1", Health::Down);
        let mut handle = cluster.handle();
        for client in 0..50 {
            let mut tried = Tried::default();
            let mut names = Vec::new();
            let key = mix(client).to_be_bytes();
            for attempt in 0..5 {
                let entropy = mix(client * 64 + attempt);
                let cx = PickCx::new(Tick::ZERO, entropy).keyed(&key[..4]).avoiding(&tried);
                let lease = handle.acquire(&cx).unwrap();
                assert_eq!(lease.reason() == Reason::Standby, attempt == 4, "{kind}: {lease:?}");
                names.push(lease.backend().name().to_owned());
                tried.add(lease.incarnation());
            }
            assert_eq!(names.pop().as_deref(), Some("standby"));
            names.sort();
            assert_eq!(names, ["b2", "b3", "b4", "b5"], "{kind}");
        }
    }
}

#[test]
fn what_a_full_group_cannot_take_goes_to_the_others() {
    for kind in StrategyKind::ALL {
        let backends = two_tiers().into_iter().map(|it| it.with_max_in_flight(NonZeroU32::MIN));
        let cluster = cluster(*kind, backends.collect(), spilling());
        set(&cluster, "b0", Health::Down);
        set(&cluster, "b1", Health::Down);
        let mut handle = cluster.handle();
        let mut acquire = |n: u64| {
            let key = mix(n).to_be_bytes();
            handle.acquire(&PickCx::new(Tick::ZERO, mix(n)).keyed(&key[..4]))
        };
        let leases: Vec<Lease> = (0..4).map(|n| acquire(n).unwrap()).collect();
        let error = acquire(4).unwrap_err();
        assert_eq!(error.to_string(), "none of 6 backends can be used: 2 down, 4 full", "{kind}");
        drop(leases);
        drop(acquire(5).unwrap());
    }
}

/// Four backends of our zone, and four of two others.
fn zones() -> (Vec<Backend>, Policy) {
    let zone = |n: u32| ["here", "here", "there", "yonder"][n as usize % 4];
    let backends = (0..8).map(|n| Backend::new(format!("b{n}")).in_zone(zone(n))).collect();
    let zone = Some(Zone { own: "here".into() });
    (backends, Policy { zone, ..Policy::default() })
}

#[test]
fn a_zone_keeps_its_requests_while_it_can_and_then_what_it_can() {
    let own = ["b0", "b1", "b4", "b5"];
    for kind in StrategyKind::ALL {
        let (backends, policy) = zones();
        let cluster = cluster(*kind, backends, policy);
        assert_eq!(sum_of(&counts(&cluster, 1_000), &own), 1_000, "{kind}");
        assert_eq!(standing(&cluster, "b2"), Standing::Standby);
        set(&cluster, "b0", Health::Ejected);
        assert_eq!(sum_of(&counts(&cluster, 1_000), &own), 1_000, "1.4 × 3 ÷ 4 is enough");
        set(&cluster, "b1", Health::Ejected);
        let places: Vec<Place> = cluster.snapshot().groups().map(|(id, _)| id.place()).collect();
        assert_eq!(places, [Place::Own, Place::Others]);
        let share = sum_of(&counts(&cluster, PICKS), &own);
        assert!((share as f64 - 70_000.0).abs() < five_sigma(0.7), "{kind}: {share}");
        set(&cluster, "b4", Health::Down);
        set(&cluster, "b5", Health::Down);
        assert_eq!(sum_of(&counts(&cluster, 1_000), &own), 0, "{kind}");
    }
}

#[test]
fn clients_bound_to_another_zone_stay_there() {
    let (backends, policy) = zones();
    let cluster = cluster(StrategyKind::LeastConn, backends, policy);
    let mut handle = cluster.handle();
    let cx = PickCx::new(Tick::ZERO, 1).preferring("b3");
    assert_eq!(handle.acquire(&cx).unwrap().backend().name(), "b3");
}

#[test]
fn a_balancer_uses_its_subset_and_it_keeps_its_size() {
    for kind in StrategyKind::ALL {
        let subset = Some(Subset { size: NonZeroU32::new(10).unwrap(), instance: 3 });
        let backends = (0..100).map(|n| Backend::new(format!("b{n:02}"))).collect();
        let cluster = cluster(*kind, backends, Policy { subset, ..Policy::default() });
        let members = || -> Vec<String> {
            let snapshot = cluster.snapshot();
            let view = snapshot.view();
            let new = view.new_set().as_slice().iter();
            new.map(|slot| view.backend(*slot).name().to_owned()).collect()
        };
        let before = members();
        assert_eq!(before.len(), 10);
        assert!(counts(&cluster, 1_000).keys().all(|name| before.contains(name)), "{kind}");
        let elsewhere = (0..100).map(|n| format!("b{n:02}")).find(|name| !before.contains(name));
        let elsewhere = elsewhere.unwrap();
        assert_eq!(standing(&cluster, &elsewhere), Standing::Elsewhere);
        let cx = PickCx::new(Tick::ZERO, 1).preferring(&elsewhere);
        assert_eq!(cluster.handle().acquire(&cx).unwrap().backend().name(), elsewhere);
        set(&cluster, &before[0], Health::Ejected);
        let after = members();
        assert_eq!(after.len(), 10);
        let news = after.iter().filter(|name| !before.contains(name)).count();
        assert_eq!(news, 1, "{kind}: somebody else in its place");
    }
}

#[test]
fn when_a_whole_subset_was_tried_nobody_elsewhere_is_asked() {
    let subset = Some(Subset { size: NonZeroU32::MIN, instance: 0 });
    let backends = (0..3).map(|n| Backend::new(format!("b{n}"))).collect();
    let policy = Policy { subset, ..Policy::default() };
    let cluster = cluster(StrategyKind::LeastConn, backends, policy);
    let mut handle = cluster.handle();
    let mut tried = Tried::default();
    tried.add(handle.acquire(&PickCx::new(Tick::ZERO, 1)).unwrap().incarnation());
    let error = handle.acquire(&PickCx::new(Tick::ZERO, 1).avoiding(&tried)).unwrap_err();
    let expected = "none of 3 backends can be used: 2 left to other balancers, 1 tried";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn spares_are_used_while_as_many_others_are_out() {
    for kind in StrategyKind::ALL {
        let spare = |name: &str| Backend::new(name).spare(true);
        let backends = vec![spare("s0"), Backend::new("b0"), spare("s1"), Backend::new("b1")];
        let cluster = cluster(*kind, backends, Policy::default());
        let used = || -> Vec<String> { counts(&cluster, 300).into_keys().collect() };
        let first_only = *kind == StrategyKind::First;
        let expect = |expected: &[&str]| {
            let expected = if first_only { &expected[..1] } else { expected };
            assert_eq!(used(), expected, "{kind}");
        };
        expect(&["b0", "b1"]);
        assert_eq!(standing(&cluster, "s0"), Standing::Standby);
        set(&cluster, "b0", Health::Down);
        if !first_only {
            expect(&["b1", "s0"]);
        }
        let disabled = |state| Change::Admin { backend: "b1".into(), state };
        say(&cluster, disabled(AdminState::Disabled));
        expect(&["s0", "s1"]);
        set(&cluster, "s0", Health::Down);
        assert_eq!(used(), ["s1"], "{kind}");
        set(&cluster, "b0", Health::Up);
        say(&cluster, disabled(AdminState::Enabled));
        expect(&["b0", "b1"]);
    }
}

/// A cluster of whatever is possible, drawn with `seed`. Each backend takes one request.
fn any_cluster(kind: StrategyKind, seed: u64) -> Cluster {
    let draw = |what: u64, below: u64| mix(mix(seed) ^ what) % below;
    let size = 1 + draw(0, 12);
    let backend = |n: u64| {
        let of = |what: u64, below| draw(100 * what + n, below);
        let backend = Backend::new(format!("b{n}")).with_max_in_flight(NonZeroU32::MIN);
        let backend = backend.in_tier(u8::try_from(of(1, 3)).unwrap()).spare(of(2, 4) == 0);
        backend.in_zone(["here", "there"][usize::try_from(of(3, 2)).unwrap()])
    };
    let threshold = [0, 50, 100][usize::try_from(draw(1, 3)).unwrap()];
    let policy = Policy {
        panic_threshold: threshold,
        overflow: (draw(2, 2) == 0).then(Overflow::default),
        zone: (draw(3, 2) == 0).then(|| Zone { own: "here".into() }),
        subset: (draw(4, 3) == 0).then(|| Subset {
            size: NonZeroU32::new(1 + u32::try_from(draw(5, 4)).unwrap()).unwrap(),
            instance: u32::try_from(draw(6, 9)).unwrap(),
        }),
        ..Policy::default()
    };
    let cluster = cluster(kind, (0..size).map(backend).collect(), policy);
    let snapshot = cluster.snapshot();
    for n in 0..size {
        let health = [Health::Up, Health::Down, Health::Ejected, Health::HalfOpen];
        let Some(health) = health.get(usize::try_from(draw(900 + n, 7)).unwrap()) else { continue };
        let incarnation = snapshot.view().incarnation(snapshot.find(&format!("b{n}")).unwrap());
        let change = Change::Health { incarnation, health: *health };
        cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
    }
    settle(&cluster);
    cluster
}

#[test]
fn whoever_could_take_a_request_is_found_however_backends_are_grouped() {
    for kind in StrategyKind::ALL {
        for seed in 0..60 {
            let cluster = any_cluster(*kind, seed);
            let standings = |wanted: &[Standing]| {
                let snapshot = cluster.snapshot();
                let view = snapshot.view();
                view.slots().filter(|slot| wanted.contains(&view.standing(*slot))).count()
            };
            let used = [Standing::In, Standing::HalfOpen, Standing::Panic];
            let (used, standby) = (standings(&used), standings(&[Standing::Standby]));
            let mut handle = cluster.handle();
            let mut acquire = |n: u64| {
                let key = mix(n).to_be_bytes();
                handle.acquire(&PickCx::new(Tick::ZERO, mix(n)).keyed(&key[..4]))
            };
            let leases: Vec<Lease> = (0..).map_while(|n| acquire(n).ok()).collect();
            assert_eq!(leases.len(), used + standby, "{kind}, cluster {seed}");
            let last = leases.iter().rposition(|lease| lease.reason() != Reason::Standby);
            assert_eq!(last.map_or(0, |last| last + 1), used, "{kind}, cluster {seed}");
        }
    }
}
