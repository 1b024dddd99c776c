//! Clients that bring a cookie.

use lb_core::{
    AdminState, Backend, Binding, Cause, Change, Cluster, ClusterHandle, Health, Membership,
    PickCx, Tick, Tried, UnixTime,
    cluster::CauseKind,
    sample::mix,
    sticky::{Format, Ring, Sticky},
    strategy::{Reason, StrategyKind},
};

use crate::support::{cluster, equal, settle, weighted};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn say(cluster: &Cluster, change: Change) {
    cluster.apply(change, Cause::new(CauseKind::Person, "test")).unwrap();
    settle(cluster);
}

fn with_ring(ring: &Ring, membership: Membership) -> Cluster {
    let builder = Cluster::builder("test").boxed_strategy(StrategyKind::First.build());
    builder.ring(ring.clone()).membership(membership).build()
}

fn formats() -> [Format; 3] {
    [Format::Derived, Format::Sealed { ttl: None }, Format::Name]
}

/// Where a client with this binding goes, and why.
fn follow(handle: &mut ClusterHandle, binding: Binding<'_>) -> (String, Reason) {
    let lease = handle.acquire(&PickCx::new(Tick::ZERO, 0).bound_to(binding)).unwrap();
    (lease.backend().name().to_owned(), lease.reason())
}

#[test]
fn a_cookie_leads_back_to_its_backend_in_every_form() {
    let ring = Ring::derived_from("test");
    let cluster = with_ring(&ring, equal(20));
    let mut handle = cluster.handle();
    for format in formats() {
        let sticky = Sticky::new(format, ring.clone());
        for backend in (0..20).map(|index| format!("b{index}")) {
            let value = sticky.value(&backend, NOW);
            let binding = sticky.read(value.as_bytes(), NOW).unwrap();
            assert_eq!(follow(&mut handle, binding), (backend, Reason::Preferred), "{format:?}");
        }
    }
}

#[test]
fn balancers_with_the_same_keys_agree_whoever_else_is_there() {
    let keys = Ring::new([[9; 16]]).unwrap().for_cluster("web");
    let again = Ring::new([[9; 16]]).unwrap().for_cluster("web");
    let one = with_ring(&keys, equal(3));
    let others = ["b7", "x", "b1", "b30"].map(|name| Backend::new("10.9.9.9:1").named(name));
    let other = with_ring(&again, Membership::new(others).unwrap());
    let sticky = Sticky::new(Format::Derived, keys);
    let value = sticky.value("b1", NOW);
    let binding = sticky.read(value.as_bytes(), NOW).unwrap();
    for cluster in [&one, &other] {
        assert_eq!(follow(&mut cluster.handle(), binding).0, "b1");
    }
    // Restarted, reordered, and with others that came and went.
    say(&other, Change::Membership(weighted(&[1, 4, 2, 2])));
    assert_eq!(follow(&mut other.handle(), binding), ("b1".to_owned(), Reason::Preferred));
}

#[test]
fn a_cookie_whose_backend_cant_be_used_leads_to_whoever_is_picked() {
    let ring = Ring::derived_from("test");
    let cluster = with_ring(&ring, equal(3));
    let mut handle = cluster.handle();
    let (route, key) = (Binding::Route(ring.route("b2")), Binding::Key(b"cookie"));
    let picked = ("b0".to_owned(), Reason::First);

    let mut tried = Tried::default();
    let lease = handle.acquire(&PickCx::new(Tick::ZERO, 0).bound_to(route)).unwrap();
    tried.add(lease.incarnation());
    drop(lease);
    let retry = handle.acquire(&PickCx::new(Tick::ZERO, 0).bound_to(route).avoiding(&tried));
    assert_eq!(retry.unwrap().reason(), Reason::First, "tried");
    assert_eq!(follow(&mut handle, Binding::Route(1)), picked, "nobody's");
    assert_eq!(follow(&mut handle, Binding::Name("b9")), picked, "gone");

    say(&cluster, Change::Admin { backend: "b2".into(), state: AdminState::Disabled });
    assert_eq!(follow(&mut handle, route), picked, "disabled");
    assert_eq!(follow(&mut handle, key).1, Reason::Preferred, "others are there");
}

#[test]
fn a_draining_backend_keeps_its_bound_clients_and_takes_no_strangers() {
    let ring = Ring::derived_from("test");
    let cluster = with_ring(&ring, equal(2));
    let mut handle = cluster.handle();
    let state = AdminState::Draining { until: None };
    say(&cluster, Change::Admin { backend: "b1".into(), state });
    let route = Binding::Route(ring.route("b1"));
    assert_eq!(follow(&mut handle, route), ("b1".to_owned(), Reason::Preferred));
    for value in 0..100_u64 {
        assert_eq!(follow(&mut handle, Binding::Key(&mix(value).to_be_bytes())).0, "b0");
    }
}

#[test]
fn without_a_ring_no_route_is_found_and_a_change_brings_one() {
    let cluster = cluster(StrategyKind::First, equal(3));
    let mut handle = cluster.handle();
    let (old, new) = (Ring::new([[1; 16]]).unwrap(), Ring::new([[2; 16], [1; 16]]).unwrap());
    let route = Binding::Route(old.route("b2"));
    assert_eq!(follow(&mut handle, route).1, Reason::First);
    for ring in [&old, &new] {
        say(&cluster, Change::Ring(Some(ring.clone())));
        assert_eq!(follow(&mut handle, route).1, Reason::Preferred, "all keys are accepted");
    }
    let generations = cluster.generations().len();
    say(&cluster, Change::Ring(Some(new)));
    assert_eq!(cluster.generations().len(), generations, "nothing new");
    say(&cluster, Change::Ring(None));
    assert_eq!(follow(&mut handle, route).1, Reason::First);
}

#[test]
fn strangers_cookies_go_where_every_balancer_sends_them() {
    let forward = cluster(StrategyKind::Random, equal(10));
    let mut backends: Vec<_> = equal(10).iter().map(|backend| Backend::clone(backend)).collect();
    backends.reverse();
    let backward = cluster(StrategyKind::LeastConn, Membership::new(backends).unwrap());
    let (mut one, mut other) = (forward.handle(), backward.handle());
    let mut counts = std::collections::BTreeMap::new();
    let mut before = Vec::new();
    for value in (0..5_000).map(|value| mix(value).to_be_bytes()) {
        let (backend, reason) = follow(&mut one, Binding::Key(&value));
        assert_eq!(reason, Reason::Preferred);
        assert_eq!(follow(&mut other, Binding::Key(&value)).0, backend);
        *counts.entry(backend.clone()).or_insert(0) += 1;
        before.push((value, backend));
    }
    // Binomial(5000, 1/10): sigma is 21, so five are below 110.
    assert!(counts.len() == 10 && counts.values().all(|count| (390..610).contains(count)));
    let snapshot = forward.snapshot();
    let incarnation = snapshot.view().incarnation(snapshot.find("b4").unwrap());
    say(&forward, Change::Health { incarnation, health: Health::Down });
    for (value, backend) in before {
        let now = follow(&mut one, Binding::Key(&value)).0;
        assert!(now != "b4" && (now == backend || backend == "b4"), "only its own move");
    }
}
