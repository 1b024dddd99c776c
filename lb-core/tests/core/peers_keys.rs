//! What the hashes of nginx and HAProxy do with keys, clusters, and accidents that no
//! file of vectors has: beside the same worked out the long way, as the peers do it.

use std::collections::BTreeMap;

use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, Health, Lease, Membership, PickCx, Tick, Weight,
    cluster::CauseKind,
    sample::{index, mix},
    strategy::{BoundedLoad, HashType, KeyForm, Reason, StrategyKind, StrategyOptions},
};

use crate::support::{boxed, cluster, equal, position, settle, weighted};

/// The three strategies, HAProxy's with both types.
fn kinds() -> [(StrategyKind, StrategyOptions); 4] {
    let usual = StrategyOptions::default();
    let ring = StrategyOptions { hash_type: HashType::Consistent, ..usual };
    [
        (StrategyKind::Hash, usual),
        (StrategyKind::HashConsistent, usual),
        (StrategyKind::HaproxyHash, usual),
        (StrategyKind::HaproxyHash, ring),
    ]
}

fn say(cluster: &Cluster, change: Change) {
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
    settle(cluster);
}

fn set_health(cluster: &Cluster, backend: &str, health: Health) {
    let snapshot = cluster.snapshot();
    let incarnation = snapshot.view().incarnation(snapshot.find(backend).unwrap());
    say(cluster, Change::Health { incarnation, health });
}

fn keys() -> impl Iterator<Item = String> {
    (0..5_000).map(|key| format!("/shop/{}?id={key}", mix(key) % 1_000))
}

/// Where each of the keys goes.
fn owners(cluster: &Cluster) -> Vec<usize> {
    let mut handle = cluster.handle();
    let owner = |(number, key): (u64, String)| {
        let cx = PickCx::new(Tick::ZERO, mix(number)).keyed(key.as_bytes());
        position(handle.acquire(&cx).unwrap().backend().name())
    };
    (0..).zip(keys()).map(owner).collect()
}

/// Up to forty weights up to `heaviest`.
fn some_weights(seed: u64, heaviest: usize) -> Vec<u32> {
    let weight = |n: usize| 1 + index(mix(seed << 8 | n as u64), heaviest);
    (0..2 + index(mix(seed), 38)).map(|n| u32::try_from(weight(n)).unwrap()).collect()
}

#[test]
fn hash_is_nginxs_for_any_weights() {
    for seed in 0..12 {
        let weights = some_weights(seed, 1 << (seed % 9));
        let owner = |key: String| {
            let total: u32 = weights.iter().sum();
            let mut rest = ((crc32(key.as_bytes()) >> 16) & 0x7fff) % total;
            weights.iter().position(|weight| {
                let is_his = rest < *weight;
                rest = rest.saturating_sub(*weight);
                is_his
            })
        };
        let expected: Vec<usize> = keys().map(|key| owner(key).unwrap()).collect();
        let cluster = cluster(StrategyKind::Hash, weighted(&weights));
        assert_eq!(owners(&cluster), expected, "{weights:?}");
    }
}

#[test]
fn hash_consistent_is_nginxs_whatever_was_there_before() {
    let running = cluster(StrategyKind::HashConsistent, equal(3));
    for seed in 0..8 {
        let mut weights = some_weights(seed, 12);
        weights.rotate_left(index(mix(seed), 3));
        say(&running, Change::Membership(weighted(&weights)));
        let mut points = BTreeMap::new();
        for (number, weight) in weights.iter().enumerate() {
            let mut place = 0_u32;
            for _ in 0..160 * weight {
                let name = format!("10.0.0.{number}\x0080");
                place = crc32(&[name.as_bytes(), &place.to_le_bytes()].concat());
                points.entry(place).or_insert(number);
            }
        }
        let owner = |key: String| {
            let next = points.range(crc32(key.as_bytes())..).next();
            *next.or_else(|| points.first_key_value()).unwrap().1
        };
        let expected: Vec<usize> = keys().map(owner).collect();
        assert_eq!(owners(&running), expected, "{weights:?}");
    }
}

#[test]
fn the_ring_is_haproxys_also_without_those_that_are_down() {
    for seed in 0..8 {
        let weights = some_weights(seed, 1 << (seed % 9));
        let (kind, options) = kinds()[3];
        let running = boxed(kind.build_with(&options), weighted(&weights));
        let is_down = |number: usize| number > 0 && mix(seed ^ number as u64).is_multiple_of(4);
        let mut points = BTreeMap::new();
        for (number, weight) in weights.iter().enumerate() {
            if is_down(number) {
                set_health(&running, &format!("b{number}"), Health::Down);
                continue;
            }
            for point in 0..16 * weight {
                let id = u32::try_from(number + 1).unwrap();
                points.insert(full_hash(id * 4_096 + point), number);
            }
        }
        let owner = |key: String| {
            let hash = full_hash(sdbm(key.as_bytes()));
            let next = points.range(hash..).next().or_else(|| points.first_key_value()).unwrap();
            let last =
                points.range(..hash).next_back().or_else(|| points.last_key_value()).unwrap();
            let (ahead, behind) = (next.0.wrapping_sub(hash), hash.wrapping_sub(*last.0));
            if behind <= ahead { *last.1 } else { *next.1 }
        };
        let expected: Vec<usize> = keys().map(owner).collect();
        assert_eq!(owners(&running), expected, "{weights:?}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0_u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

fn sdbm(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0_u32, |hash, byte| {
        let sum = u32::from(*byte).wrapping_add(hash << 6).wrapping_add(hash << 16);
        sum.wrapping_sub(hash)
    })
}

fn full_hash(a: u32) -> u32 {
    let a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    let a = a ^ 0xc761_c23c ^ (a >> 19);
    let a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    let a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    let a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    let a = a ^ 0xb55a_4f09 ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

#[test]
fn a_flap_moves_only_the_flapping_backends_keys() {
    for (kind, options) in kinds() {
        let cluster = boxed(kind.build_with(&options), equal(7));
        let before = owners(&cluster);
        set_health(&cluster, "b3", Health::Down);
        let during = owners(&cluster);
        let mut heirs = [0; 7];
        for (before, during) in before.iter().zip(&during) {
            match before {
                3 => heirs[*during] += 1,
                _ => assert_eq!(before, during, "{kind} {:?}", options.hash_type),
            }
        }
        assert_eq!(heirs[3], 0, "{kind}");
        assert_eq!(heirs.iter().filter(|heir| **heir > 0).count(), 6, "{kind}: {heirs:?}");
        set_health(&cluster, "b3", Health::Up);
        assert_eq!(owners(&cluster), before, "{kind}");
        let state = AdminState::Draining { until: None };
        say(&cluster, Change::Admin { backend: "b1".into(), state });
        assert!(!owners(&cluster).contains(&1), "{kind} gives a draining backend new keys");
    }
}

#[test]
fn on_a_ring_no_others_move_when_one_leaves_for_good() {
    for (kind, options) in [kinds()[1], kinds()[3]] {
        let cluster = boxed(kind.build_with(&options), weighted(&[3, 1, 2, 2, 1]));
        let before = owners(&cluster);
        // The last one: those behind it would get other ids in HAProxy.
        say(&cluster, Change::Membership(weighted(&[3, 1, 2, 2])));
        for (before, after) in before.iter().zip(owners(&cluster)) {
            assert!(*before == after || *before == 4, "{kind}");
        }
    }
}

#[test]
fn a_light_backend_beside_one_heavier_than_haproxys_gets_no_more_than_its_share() {
    let (kind, options) = kinds()[3];
    let owners = owners(&boxed(kind.build_with(&options), weighted(&[65_535, 300])));
    let light = owners.iter().filter(|owner| **owner == 1).count();
    // 23 of 5,000; it has eighteen points of 4,113, so that half as many again are many.
    assert!((5..50).contains(&light), "{light}");
}

#[test]
fn ids_are_counted_over_backups_as_well() {
    let (kind, options) = kinds()[3];
    let tiered = |tiers: &[u8]| {
        let backend = |(n, tier): (usize, &u8)| Backend::new(format!("b{n}")).in_tier(*tier);
        let membership = Membership::new(tiers.iter().enumerate().map(backend)).unwrap();
        owners(&boxed(kind.build_with(&options), membership))
    };
    // As if the backup were a server that is down.
    let cluster = boxed(kind.build_with(&options), equal(4));
    set_health(&cluster, "b1", Health::Down);
    assert_eq!(tiered(&[0, 1, 0, 0]), owners(&cluster));
}

#[test]
fn requests_without_a_key_take_turns_in_nginx_and_are_drawn_in_haproxys_place() {
    for (kind, options) in kinds() {
        for key in [None, Some(&b""[..])] {
            let cluster = boxed(kind.build_with(&options), weighted(&[1, 2, 1]));
            let mut handle = cluster.handle();
            let mut counts = [0_u32; 3];
            for request in 0..4_000 {
                let cx = PickCx::new(Tick::ZERO, mix(request));
                let lease = handle.acquire(&key.map_or(cx, |key| cx.keyed(key))).unwrap();
                counts[position(lease.backend().name())] += 1;
                let is_turn = lease.reason() == Reason::Turn;
                assert_eq!(is_turn, kind != StrategyKind::HaproxyHash, "{kind}");
            }
            match (kind, options.hash_type) {
                // Sixteen points per unit of weight: half of the share is easily missed.
                (StrategyKind::HaproxyHash, HashType::Consistent) => {
                    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
                }
                // Binomial(4000, ≤ 1/2): sigma is at most 32, so five are 160.
                (StrategyKind::HaproxyHash, _) => {
                    let off = counts.iter().zip([1_000, 2_000, 1_000]);
                    let off = off.map(|(count, share)| count.abs_diff(share));
                    assert!(off.max().unwrap() < 160, "{counts:?}");
                }
                _ => assert_eq!(counts, [1_000, 2_000, 1_000], "{kind}"),
            }
        }
    }
}

#[test]
fn backends_of_one_address_share_its_points_by_weight() {
    let backend = |name: &str, address: &str, weight| {
        Backend::new(address).named(name).weighted(Weight::new(weight).unwrap())
    };
    let kind = StrategyKind::HashConsistent;
    let alone = [backend("b0", "a:1", 1), backend("b1", "b:1", 3), backend("b2", "c:1", 1)];
    let alone = owners(&cluster(kind, Membership::new(alone).unwrap()));
    let shared = [
        backend("b0", "a:1", 1),
        backend("b1", "b:1", 3),
        backend("b2", "c:1", 1),
        backend("b3", "b:1", 1),
    ];
    let shared = cluster(kind, Membership::new(shared).unwrap());
    let of_both = |owner: usize| if owner == 3 { 1 } else { owner };
    let merge = |owners: &[usize]| owners.iter().copied().map(of_both).collect::<Vec<_>>();
    let together = owners(&shared);
    assert_eq!(merge(&together), alone);
    let count = |owner| together.iter().filter(|it| **it == owner).count();
    let both = count(1) + count(3);
    // Binomial(≤ 5000, 1/4): sigma is at most 31, so five are 155.
    assert!(count(3).abs_diff(both / 4) < 155, "{} of {both}", count(3));
    set_health(&shared, "b1", Health::Down);
    let during = owners(&shared);
    assert_eq!(merge(&during), alone, "the other one takes all of its keys");
    assert!(!during.contains(&1));
}

#[test]
fn loads_are_bounded_where_that_is_said() {
    for (kind, options) in kinds() {
        let options = StrategyOptions { bounded_load: BoundedLoad::Factor(1.25), ..options };
        let cluster = boxed(kind.build_with(&options), equal(8));
        let mut handle = cluster.handle();
        let mut held: Vec<Lease> = Vec::new();
        for request in 0..400_u64 {
            // Six of ten have one key.
            let key = if request % 10 < 6 { 0 } else { mix(request) };
            let key = key.to_be_bytes();
            let cx = PickCx::new(Tick::ZERO, mix(request)).keyed(&key);
            held.push(handle.acquire(&cx).unwrap());
            let mut counts = [0; 8];
            held.iter().for_each(|lease| counts[position(lease.backend().name())] += 1);
            let bound = (1.25 * held.len() as f64 / 8.0).ceil();
            let most = counts.iter().max().unwrap();
            assert!(f64::from(*most) <= bound, "{kind}: {counts:?} of {}", held.len());
        }
    }
}

/// After that many, nginx takes turns, which know no bounds.
#[test]
fn a_key_that_misses_more_than_twenty_times_is_bounded_as_well() {
    for kind in [StrategyKind::Hash, StrategyKind::HashConsistent] {
        let options = StrategyOptions {
            bounded_load: BoundedLoad::Factor(1.0),
            ..StrategyOptions::default()
        };
        let cluster = boxed(kind.build_with(&options), equal(16));
        let mut handle = cluster.handle();
        let mut held: Vec<Lease> = Vec::new();
        let mut counts = [0; 16];
        for request in 0..16 * 20 {
            let key = mix(request).to_be_bytes();
            held.push(handle.acquire(&PickCx::new(Tick::ZERO, mix(request)).keyed(&key)).unwrap());
            counts[position(held[held.len() - 1].backend().name())] += 1;
            let most = held.len().div_ceil(16);
            assert!(counts.iter().all(|count| *count <= most), "{kind}: {counts:?}");
        }
    }
}

#[test]
fn an_address_is_hashed_by_its_words_and_a_number_by_itself() {
    let options = StrategyOptions { key_form: KeyForm::Address, ..StrategyOptions::default() };
    let cluster = boxed(StrategyKind::HaproxyHash.build_with(&options), equal(100));
    let mut handle = cluster.handle();
    let mut owner = |octets: &[u8]| {
        let cx = PickCx::new(Tick::ZERO, 0).keyed(octets);
        position(handle.acquire(&cx).unwrap().backend().name())
    };
    assert_eq!(owner(&[0, 0, 1, 44]), 0, "300 modulo 100");
    assert_eq!(owner(&[0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]), 4, "7 ^ 1 ^ 2");
    let options = StrategyOptions {
        function: Some(lb_core::strategy::HashFunction::None),
        ..StrategyOptions::default()
    };
    say(&cluster, Change::Strategy(StrategyKind::HaproxyHash.build_with(&options)));
    let mut handle = cluster.handle();
    let cx = PickCx::new(Tick::ZERO, 0).keyed(b"1234");
    assert_eq!(position(handle.acquire(&cx).unwrap().backend().name()), 34);
}
