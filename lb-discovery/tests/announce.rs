//! Announcements through real sockets.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

use std::{net::SocketAddr, time::Duration};

use lb_discovery::{
    Report, Source, SourceError,
    announce::{
        Announced, Announcer, Grant, Group, Inboxes, Interface, Key, Place, Policy, Record,
        Refusal, State, Target,
    },
};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

fn key() -> Key {
    Key::new([7; Key::LENGTH])
}

fn policy(cluster: &str) -> Policy {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let grant = Grant { networks, ..Grant::default() };
    let max_skew = Duration::from_secs(30);
    Policy { cluster: cluster.into(), keys: vec![(key(), grant)], max_skew }
}

fn announcer(cluster: &str, port: u16, to: SocketAddr, interface: Option<Interface>) -> Announcer {
    let target = Target { to: to.to_string().into(), interface };
    let record = Record::new(cluster, Place::Port(port));
    let interval = Duration::from_millis(200);
    Announcer::new(key(), record, vec![target], interval, port.into()).unwrap()
}

async fn next(source: &mut Announced) -> Result<Report, SourceError> {
    timeout(DEADLINE, source.next()).await.expect("it says nothing")
}

fn addresses(report: &Report) -> Vec<&str> {
    report.set.iter().map(|backend| backend.address()).collect()
}

#[tokio::test]
async fn a_node_comes_within_moments_and_is_gone_when_it_says_so_or_is_silent() {
    let mut source =
        Announced::new(&Inboxes::default(), ([127, 0, 0, 1], 0).into(), Vec::new(), policy("c"));
    source.open().unwrap();
    let to = source.address().unwrap();
    let mut first = announcer("c", 1, to, None);
    first.send(State::Up).await.unwrap();
    assert_eq!(addresses(&next(&mut source).await.unwrap()), ["127.0.0.1:1"]);
    first.send(State::Draining).await.unwrap();
    let draining = next(&mut source).await.unwrap();
    assert_ne!(draining.set.iter().next().unwrap().state(), lb_core::AdminState::Enabled);
    first.leave().await.unwrap();
    assert_eq!(addresses(&next(&mut source).await.unwrap()), [""; 0]);
    announcer("c", 2, to, None).send(State::Up).await.unwrap();
    assert_eq!(addresses(&next(&mut source).await.unwrap()), ["127.0.0.1:2"]);
    assert_eq!(addresses(&next(&mut source).await.unwrap()), [""; 0], "after 600 ms of silence");
}

#[tokio::test]
async fn sources_at_one_address_share_a_socket_and_each_hears_of_its_cluster() {
    let (inboxes, bind) = (Inboxes::default(), ([127, 0, 0, 1], 0).into());
    let mut one = Announced::new(&inboxes, bind, Vec::new(), policy("one"));
    let mut two = Announced::new(&inboxes, bind, Vec::new(), policy("two"));
    one.open().unwrap();
    let to = two.address().unwrap();
    announcer("one", 1, to, None).send(State::Up).await.unwrap();
    announcer("two", 2, to, None).send(State::Up).await.unwrap();
    announcer("three", 3, to, None).send(State::Up).await.unwrap();
    // The one that is asked reads for both.
    let (first, second) = tokio::join!(next(&mut one), next(&mut two));
    assert_eq!(addresses(&first.unwrap()), ["127.0.0.1:1"]);
    assert_eq!(addresses(&second.unwrap()), ["127.0.0.1:2"]);
    for source in [&one, &two] {
        assert_eq!(source.refusals().unwrap().of(Refusal::Cluster), 1);
    }
}

#[tokio::test]
async fn a_source_that_takes_over_goes_on_from_what_is_known() {
    let (inboxes, bind) = (Inboxes::default(), ([127, 0, 0, 1], 0).into());
    let mut old = Announced::new(&inboxes, bind, Vec::new(), policy("c"));
    old.open().unwrap();
    announcer("c", 1, old.address().unwrap(), None).send(State::Up).await.unwrap();
    next(&mut old).await.unwrap();
    let mut new = Announced::new(&inboxes, bind, Vec::new(), policy("c"));
    drop(old);
    assert_eq!(addresses(&next(&mut new).await.unwrap()), ["127.0.0.1:1"]);
}

/// As after the process was stopped for a while.
#[tokio::test]
async fn who_has_spoken_while_nobody_listened_is_heard_before_anybody_is_gone() {
    let (inboxes, bind) = (Inboxes::default(), ([127, 0, 0, 1], 0).into());
    let mut source = Announced::new(&inboxes, bind, Vec::new(), policy("c"));
    source.open().unwrap();
    let to = source.address().unwrap();
    let mut nodes: Vec<_> = [1, 2].map(|port| announcer("c", port, to, None)).into();
    for node in &mut nodes {
        node.send(State::Up).await.unwrap();
    }
    assert_eq!(next(&mut source).await.unwrap().set.len(), 2);
    // The silence of each would be over; more has come than is read at once.
    tokio::time::sleep(Duration::from_millis(700)).await;
    for _ in 0..150 {
        nodes[0].send(State::Up).await.unwrap();
    }
    nodes[1].send(State::Up).await.unwrap();
    let silence = timeout(Duration::from_millis(300), source.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_until_it_is_free() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let mut source = Announced::new(&Inboxes::default(), bind, Vec::new(), policy("c"));
    let error = next(&mut source).await.unwrap_err().explained();
    assert!(error.starts_with(&format!("cannot listen on udp {bind}: ")), "{error}");
    drop(taken);
    source.open().unwrap();
    announcer("c", 1, bind, None).send(State::Up).await.unwrap();
    assert_eq!(addresses(&next(&mut source).await.unwrap()), ["127.0.0.1:1"]);
}

#[tokio::test]
async fn a_group_is_heard_where_it_was_joined() {
    let group = |interface: &str| Group {
        address: [239, 255, 70, 70].into(),
        interface: Some(interface.parse().unwrap()),
    };
    // By name and by address, and one that hears another group there.
    let bind = ([0, 0, 0, 0], 0).into();
    let other = Group { address: [239, 255, 70, 71].into(), ..group("lo") };
    let mut sources = Vec::new();
    for group in [group("lo"), group("127.0.0.1"), other] {
        let source = Announced::new(&Inboxes::default(), bind, vec![group], policy("c"));
        source.open().unwrap();
        sources.push(source);
    }
    for (index, source) in sources.iter_mut().enumerate() {
        let to = SocketAddr::from(([239, 255, 70, 70], source.address().unwrap().port()));
        for port in [1, 2] {
            let mut announcer = announcer("c", port, to, "lo".parse().ok());
            announcer = announcer.from([127, 0, 0, 1].into());
            announcer.send(State::Up).await.unwrap();
        }
        let report = next(source).await.unwrap();
        let expected = if index < 2 { vec!["127.0.0.1:1", "127.0.0.1:2"] } else { Vec::new() };
        assert_eq!(addresses(&report), expected);
    }
    // On another interface of this machine, if there is one.
    let others = std::fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap());
    let others = others.filter_map(|entry| entry.file_name().into_string().ok());
    for other in others.filter(|name| name != "lo") {
        let mut source =
            Announced::new(&Inboxes::default(), bind, vec![group(&other)], policy("c"));
        if let Err(error) = source.open() {
            println!("skipped: {}", error.explained());
            continue;
        }
        let to = SocketAddr::from(([239, 255, 70, 70], source.address().unwrap().port()));
        let announcer = announcer("c", 1, to, "lo".parse().ok());
        announcer.from([127, 0, 0, 1].into()).send(State::Up).await.unwrap();
        assert_eq!(addresses(&next(&mut source).await.unwrap()), [""; 0], "on {other}");
    }
    let nowhere = Announced::new(&Inboxes::default(), bind, vec![group("nosuch0")], policy("c"));
    let error = nowhere.open().unwrap_err().explained();
    assert!(error.starts_with("cannot hear 239.255.70.70 on nosuch0: "), "{error}");
}
