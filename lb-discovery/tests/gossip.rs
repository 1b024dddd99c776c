//! Gossip through real sockets.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lb_discovery::{
    Report, Source, SourceError,
    announce::{Grant, Key, Place, Record, Refusal, State},
    gossip::{Gossiped, Gossiper, Meshes, Policy, Profile, Ring, Settings},
};
use tokio::{net::TcpListener, time::timeout};

const DEADLINE: Duration = Duration::from_secs(30);

fn settings(join: Option<SocketAddr>, key: u8) -> Settings {
    Settings {
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        join: join.into_iter().map(|join| join.to_string().into()).collect(),
        ring: Ring::new([Key::new([key; Key::LENGTH])]),
        insecure: false,
        profile: Profile::Fast,
        max_skew: Duration::from_secs(30),
    }
}

fn policy(cluster: &str) -> Policy {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    Policy { cluster: cluster.into(), grant: Grant { networks, ..Grant::default() } }
}

fn source(meshes: &Meshes, cluster: &str) -> Gossiped {
    let mut source = Gossiped::new(meshes, settings(None, 7), policy(cluster));
    source.open().unwrap();
    source
}

fn node(join: SocketAddr, key: u8, port: u16) -> Gossiper {
    Gossiper::new(settings(Some(join), key), Record::new("c", Place::Port(port))).unwrap()
}

async fn next(source: &mut Gossiped) -> Result<Report, SourceError> {
    timeout(DEADLINE, source.next()).await.expect("it says nothing")
}

/// Listens until these backends are there, and says how long it took.
async fn until(source: &mut Gossiped, ports: &[u16]) -> Duration {
    let start = Instant::now();
    let mut wanted: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    wanted.sort();
    loop {
        if let Ok(report) = next(source).await
            && report.set.iter().map(|backend| backend.address()).eq(wanted.iter())
        {
            return start.elapsed();
        }
    }
}

#[tokio::test]
async fn a_node_comes_drains_and_leaves_within_moments() {
    let mut source = source(&Meshes::default(), "c");
    let to = source.address().unwrap();
    assert_eq!(next(&mut source).await.unwrap(), Report::default(), "nobody is there");
    let mut first = node(to, 7, 1);
    first.beat(State::Up).await.unwrap();
    println!("it came after {:?}", until(&mut source, &[1]).await);
    first.beat(State::Draining).await.unwrap();
    let draining = next(&mut source).await.unwrap();
    assert_ne!(draining.set.iter().next().unwrap().state(), lb_core::AdminState::Enabled);
    let (left, gone) = tokio::join!(first.leave(), until(&mut source, &[]));
    left.unwrap();
    println!("it was gone after {gone:?}");
}

#[tokio::test]
async fn one_that_dies_is_gone_when_its_backend_refuses_and_stays_while_it_answers() {
    let mut source = source(&Meshes::default(), "c");
    let to = source.address().unwrap();
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = backend.local_addr().unwrap().port();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other_port = other.local_addr().unwrap().port();
    let (agent, witness) = (node(to, 7, port), node(to, 7, other_port));
    agent.say(State::Up).unwrap();
    witness.say(State::Up).unwrap();
    until(&mut source, &[port, other_port]).await;
    drop(agent);
    let silence = timeout(Duration::from_secs(4), source.next()).await;
    assert!(silence.is_err(), "only the agent has died: {silence:?}");
    drop(backend);
    println!(
        "after the last connection it was gone in {:?}",
        until(&mut source, &[other_port]).await
    );
    drop((witness, other));
    println!("both were gone in {:?}", until(&mut source, &[]).await);
}

#[tokio::test]
async fn whoever_joins_later_learns_of_all_and_clusters_share_a_member() {
    let meshes = Meshes::default();
    let mut one = source(&meshes, "c");
    let to = one.address().unwrap();
    let nodes: Vec<_> = (1..=5).map(|port| node(to, 7, port)).collect();
    for node in &nodes {
        node.say(State::Up).unwrap();
    }
    until(&mut one, &[1, 2, 3, 4, 5]).await;
    let mut two = source(&meshes, "d");
    assert_eq!(two.address(), Some(to));
    assert!(next(&mut two).await.unwrap().set.is_empty());
    let seed = nodes[4].address().unwrap();
    let mut late = Gossiped::new(&Meshes::default(), settings(Some(seed), 7), policy("c"));
    println!("who came later knows after {:?}", until(&mut late, &[1, 2, 3, 4, 5]).await);
    drop(one);
    let mut again = source(&meshes, "c");
    assert_eq!(next(&mut again).await.unwrap().set.len(), 5, "goes on from what is known");
}

#[tokio::test]
async fn what_has_another_key_or_speaks_for_others_is_ignored_and_counted() {
    let mut source = source(&Meshes::default(), "c");
    let to = source.address().unwrap();
    let stranger = node(to, 8, 1);
    stranger.say(State::Up).unwrap();
    let foreign = Record::new("c", Place::Address(([10, 0, 0, 1], 80).into()));
    let foreign = Gossiper::new(settings(Some(to), 7), foreign).unwrap();
    foreign.say(State::Up).unwrap();
    let refusals = source.refusals().unwrap();
    loop {
        let report = next(&mut source).await.unwrap();
        assert_eq!(report.set.len(), 0);
        let text: String = report.warnings.iter().map(ToString::to_string).collect();
        if text.contains("a key that is not known") && text.contains("speaks for another address") {
            break;
        }
    }
    assert!(refusals.of(Refusal::Key) > 0 && refusals.of(Refusal::Foreign) > 0);
}

#[tokio::test]
async fn without_a_key_it_is_a_member_on_loopback_only_or_where_that_was_wished() {
    let open = |bind: [u8; 4], insecure| {
        let plain = Settings { bind: (bind, 0).into(), ring: Ring::default(), ..settings(None, 7) };
        Gossiped::new(&Meshes::default(), Settings { insecure, ..plain }, policy("c")).open()
    };
    assert!(open([127, 0, 0, 1], false).is_ok());
    let error = open([0; 4], false).unwrap_err().explained();
    assert_eq!(error, "gossip without a key is believed from anybody");
    if let Err(error) = open([0; 4], true) {
        // A machine without any network cannot say where it is.
        assert!(error.explained().contains("`advertise` would say"), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_until_it_is_free() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let settings = Settings { bind, ..settings(None, 7) };
    let mut source = Gossiped::new(&Meshes::default(), settings, policy("c"));
    let error = next(&mut source).await.unwrap_err().explained();
    assert!(error.starts_with(&format!("cannot listen on udp {bind}: ")), "{error}");
    drop(taken);
    assert!(next(&mut source).await.is_ok());
}
