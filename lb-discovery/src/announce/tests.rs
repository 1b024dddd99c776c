//! The receiver, with a clock of its own.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use lb_core::{AdminState, Tick};
use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::source::Report;

const WALL: u64 = 1_790_000_000_000;
const TTL: Duration = Duration::from_secs(3);

fn key(number: u8) -> Key {
    Key::new([number; 32])
}

fn at(millis: u64) -> Moment {
    Moment { tick: Tick::from_millis(millis), unix_ms: WALL + millis }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn receiver_with(keys: Vec<(Key, Grant)>) -> Receiver {
    let max_skew = Duration::from_secs(30);
    Receiver::new(Policy { cluster: "c".into(), keys, max_skew }, Tick::ZERO)
}

fn receiver() -> Receiver {
    receiver_with(vec![(key(1), Grant::default())])
}

fn datagram(boot_id: u64, number: u64, millis: u64, record: &str) -> Datagram {
    let record = Record::parse(format!("cluster=c {record}").as_bytes()).unwrap();
    Datagram { boot_id, number, sent_ms: WALL + millis, ttl: TTL, record }
}

fn hear(
    receiver: &mut Receiver,
    datagram: &Datagram,
    from: u8,
    millis: u64,
) -> Result<(), Refusal> {
    let bytes = datagram.seal(&key(1)).unwrap();
    receiver.hear(&Sealed::parse(&bytes).unwrap(), ip(from), at(millis))
}

/// What it says within 100 ms.
fn answer(receiver: &mut Receiver, millis: u64) -> Option<Answer> {
    receiver.answer(at(millis)).or_else(|| receiver.answer(at(millis + 100)))
}

fn report(receiver: &mut Receiver, millis: u64) -> Report {
    match answer(receiver, millis) {
        Some(Answer::Report(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn names(receiver: &mut Receiver, millis: u64) -> Vec<String> {
    report(receiver, millis).set.iter().map(|backend| backend.name().to_owned()).collect()
}

#[test]
fn who_announces_itself_is_there_until_it_is_silent_for_its_time() {
    let mut receiver = receiver();
    let text = "port=80 name=a weight=3 tier=1 zone=z state=draining";
    hear(&mut receiver, &datagram(1, 1, 0, text), 1, 0).unwrap();
    let report = report(&mut receiver, 0);
    let backend = report.set.iter().next().unwrap();
    assert_eq!((backend.name(), backend.address()), ("a", "10.0.0.1:80"));
    assert_eq!((backend.weight().get(), backend.tier(), backend.zone()), (3, 1, Some("z")));
    assert_eq!(backend.state(), AdminState::Draining { until: None });
    assert_eq!(receiver.answer(at(2_999)), None);
    assert_eq!(receiver.wakes_at(), Some(Tick::from_millis(3_000)));
    assert_eq!(names(&mut receiver, 3_000), [""; 0]);
}

#[test]
fn a_heartbeat_that_says_nothing_new_is_no_news() {
    let mut receiver = receiver();
    for beat in 0..10 {
        hear(&mut receiver, &datagram(1, beat + 1, beat * 1_000, "port=80"), 1, beat * 1_000)
            .unwrap();
        assert_eq!(answer(&mut receiver, beat * 1_000).is_some(), beat == 0);
    }
}

#[test]
fn a_goodbye_is_believed_at_once_and_what_was_before_it_never_again() {
    let mut receiver = receiver();
    let before = datagram(1, 1, 0, "port=80");
    hear(&mut receiver, &before, 1, 0).unwrap();
    assert_eq!(names(&mut receiver, 0), ["10.0.0.1:80"]);
    hear(&mut receiver, &datagram(1, 3, 500, "port=80 state=down"), 1, 500).unwrap();
    assert_eq!(names(&mut receiver, 510), [""; 0]);
    assert_eq!(hear(&mut receiver, &before, 1, 600), Err(Refusal::Replay));
    // It was overtaken by the goodbye.
    assert_eq!(hear(&mut receiver, &datagram(1, 2, 400, "port=80"), 1, 600), Ok(()));
    assert_eq!(answer(&mut receiver, 700), None);
    // For as long as its time can be right, and then the clock refuses it.
    for millis in (1_000..100_000).step_by(500) {
        let _ = receiver.answer(at(millis));
        let expected = if millis <= 30_000 { Refusal::Replay } else { Refusal::Skew };
        assert_eq!(hear(&mut receiver, &before, 1, millis), Err(expected), "{millis}");
    }
    assert_eq!(receiver.refusals().of(Refusal::Replay), 60);
}

#[test]
fn a_new_life_must_be_younger_than_all_that_was_heard_of_the_last() {
    let mut receiver = receiver();
    hear(&mut receiver, &datagram(1, 7, 1_000, "port=80"), 1, 1_000).unwrap();
    let old = datagram(2, 1, 1_000, "port=80");
    assert_eq!(hear(&mut receiver, &old, 1, 1_500), Err(Refusal::Stale));
    hear(&mut receiver, &datagram(2, 1, 1_001, "port=80"), 1, 1_500).unwrap();
    let first_life = datagram(1, 8, 1_001, "port=80");
    assert_eq!(hear(&mut receiver, &first_life, 1, 1_500), Err(Refusal::Stale));
}

#[test]
fn the_goodbye_of_a_program_that_was_replaced_takes_nobody_out() {
    let mut receiver = receiver();
    hear(&mut receiver, &datagram(1, 1, 0, "port=80"), 1, 0).unwrap();
    hear(&mut receiver, &datagram(2, 1, 100, "port=80"), 1, 100).unwrap();
    hear(&mut receiver, &datagram(1, 2, 200, "port=80 state=down"), 1, 200).unwrap();
    assert_eq!(names(&mut receiver, 300), ["10.0.0.1:80"]);
    hear(&mut receiver, &datagram(2, 2, 400, "port=80 state=down"), 1, 400).unwrap();
    assert_eq!(names(&mut receiver, 400), [""; 0]);
}

#[test]
fn what_is_forged_or_not_permitted_is_ignored_and_counted_by_reason() {
    let mut receiver = receiver();
    let good = datagram(1, 1, 0, "port=80");
    let mut refused = |bytes: &[u8], from: u8, reason: Refusal| {
        let sealed = Sealed::parse(bytes).unwrap();
        assert_eq!(receiver.hear(&sealed, ip(from), at(0)), Err(reason));
        assert_eq!(receiver.refusals().of(reason), 1);
    };
    refused(&good.seal(&key(2)).unwrap(), 1, Refusal::Key);
    let mut forged = good.seal(&key(1)).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    refused(&forged, 1, Refusal::Mac);
    let other = datagram(1, 1, 0, "address=10.0.0.9:80");
    refused(&other.seal(&key(1)).unwrap(), 1, Refusal::Foreign);
    let early = Datagram { sent_ms: WALL - 30_001, ..good };
    refused(&early.seal(&key(1)).unwrap(), 1, Refusal::Skew);
    let heavy = Grant { max_weight: lb_core::Weight::ONE, ..Grant::default() };
    let mut receiver = receiver_with(vec![(key(1), heavy)]);
    let heavy = datagram(1, 1, 0, "port=80 weight=2");
    assert_eq!(hear(&mut receiver, &heavy, 1, 0), Err(Refusal::Grant));
    assert!(report(&mut receiver, 3_000).set.is_empty());
}

#[test]
fn a_name_belongs_to_the_first_until_it_has_gone() {
    let keys = vec![(key(1), Grant::default()), (key(2), Grant::default())];
    let mut receiver = receiver_with(keys);
    hear(&mut receiver, &datagram(1, 1, 0, "port=80 name=a"), 1, 0).unwrap();
    let other = datagram(2, 1, 100, "port=80 name=a");
    assert_eq!(hear(&mut receiver, &other, 2, 100), Err(Refusal::Taken), "another node");
    let bytes = other.seal(&key(2)).unwrap();
    let sealed = Sealed::parse(&bytes).unwrap();
    assert_eq!(receiver.hear(&sealed, ip(1), at(100)), Err(Refusal::Taken), "another key");
    hear(&mut receiver, &datagram(3, 1, 200, "port=80 name=a"), 1, 200).unwrap();
    let _ = receiver.answer(at(3_200));
    hear(&mut receiver, &datagram(2, 2, 3_300, "port=80 name=a"), 2, 3_300).unwrap();
    let report = report(&mut receiver, 3_300);
    assert_eq!(report.set.iter().next().unwrap().address(), "10.0.0.2:80");
}

#[test]
fn there_are_no_more_than_may_be() {
    let mut receiver = receiver();
    for port in 1..=33 {
        let heard = hear(&mut receiver, &datagram(port, 1, 0, &format!("port={port}")), 1, 0);
        assert_eq!(heard.is_ok(), port <= 32, "at one address");
    }
    let grant = Grant { max_backends: 2, relay: true, ..Grant::default() };
    let mut receiver = receiver_with(vec![(key(1), grant)]);
    for port in 1..=3 {
        let heard = hear(&mut receiver, &datagram(port, 1, 0, &format!("port={port}")), 1, 0);
        assert_eq!(heard.is_ok(), port <= 2, "with one key");
    }
    hear(&mut receiver, &datagram(1, 2, 1, "port=1 state=down"), 1, 1).unwrap();
    hear(&mut receiver, &datagram(3, 2, 1, "port=3"), 1, 1).unwrap();
    let relay = Grant { relay: true, ..Grant::default() };
    let mut receiver = receiver_with(vec![(key(1), relay)]);
    for number in 1..=4_097_u64 {
        // One each second millisecond, within the rate.
        let heard =
            hear(&mut receiver, &datagram(number, 1, 0, &format!("port={number}")), 1, number * 2);
        assert_eq!(heard.is_ok(), number <= 4_096, "{number}: {heard:?}");
    }
}

#[test]
fn when_all_fall_silent_they_stay_until_somebody_is_heard() {
    let mut receiver = receiver();
    for node in 1..=3 {
        hear(
            &mut receiver,
            &datagram(node, 1, 0, "port=80"),
            u8::try_from(node).unwrap(),
            node * 100,
        )
        .unwrap();
    }
    assert_eq!(names(&mut receiver, 300).len(), 3);
    assert_eq!(receiver.answer(at(3_000)), None);
    assert_eq!(answer(&mut receiver, 3_100), Some(Answer::Deaf(3)));
    assert_eq!(answer(&mut receiver, 100_000), None, "said once");
    let now = 100_500;
    hear(&mut receiver, &datagram(2, 50, now, "port=80"), 2, now).unwrap();
    assert_eq!(names(&mut receiver, now), ["10.0.0.2:80"], "the others could be heard too");
}

#[test]
fn one_of_two_that_falls_silent_is_gone_in_its_time() {
    let mut receiver = receiver();
    hear(&mut receiver, &datagram(9, 1, 0, "port=80"), 9, 0).unwrap();
    for beat in 0..4 {
        let now = beat * 1_000;
        hear(&mut receiver, &datagram(1, beat + 1, now, "port=80"), 1, now).unwrap();
        if beat < 3 {
            let _ = answer(&mut receiver, now);
        }
    }
    assert_eq!(names(&mut receiver, 3_000), ["10.0.0.1:80"]);
}

#[test]
fn nobody_is_an_answer_only_when_there_was_time_to_speak() {
    let mut receiver = receiver();
    assert_eq!(receiver.answer(at(999)), None);
    assert_eq!(receiver.wakes_at(), Some(Tick::from_millis(1_000)));
    assert_eq!(answer(&mut receiver, 1_000), Some(Answer::Report(Report::default())));
    assert_eq!(receiver.wakes_at(), None);
}

#[test]
fn those_from_before_are_presumed_until_they_had_the_time_to_speak() {
    let mut first = receiver();
    for node in 1..=2 {
        hear(&mut first, &datagram(1, 1, 0, "port=80"), node, 0).unwrap();
    }
    let set = report(&mut first, 0).set;
    let mut second = receiver();
    second.presume(&set, Tick::ZERO);
    assert_eq!(names(&mut second, 0).len(), 2);
    hear(&mut second, &datagram(1, 2, 500, "port=80 name=b"), 2, 500).unwrap();
    assert_eq!(names(&mut second, 500), ["10.0.0.1:80", "b"]);
    for beat in 1..10 {
        let now = 500 + beat * 1_000;
        hear(&mut second, &datagram(1, beat + 2, now, "port=80 name=b"), 2, now).unwrap();
        let _ = second.answer(at(now));
    }
    assert_eq!(names(&mut second, 10_000), ["b"]);
}

#[test]
fn another_policy_goes_on_from_what_was_heard_as_far_as_it_permits() {
    let mut first = receiver_with(vec![(key(1), Grant::default()), (key(2), Grant::default())]);
    let old = datagram(1, 1, 0, "port=80 name=a weight=5");
    hear(&mut first, &old, 1, 0).unwrap();
    hear(&mut first, &datagram(1, 1, 0, "port=80 name=b"), 2, 0).unwrap();
    let bytes = datagram(1, 1, 0, "port=80 name=c").seal(&key(2)).unwrap();
    first.hear(&Sealed::parse(&bytes).unwrap(), ip(3), at(0)).unwrap();
    assert_eq!(names(&mut first, 0), ["a", "b", "c"]);
    let light = Grant { max_weight: lb_core::Weight::ONE, ..Grant::default() };
    let mut second = receiver_with(vec![(key(1), light)]);
    second.adopt(&first);
    assert_eq!(names(&mut second, 100), ["b"]);
    assert_eq!(hear(&mut second, &old, 1, 100), Err(Refusal::Grant));
    let again = datagram(1, 1, 0, "port=80 name=b");
    assert_eq!(hear(&mut second, &again, 2, 100), Err(Refusal::Replay));
}

#[test]
fn a_flood_of_junk_is_one_warning() {
    let mut receiver = receiver();
    hear(&mut receiver, &datagram(1, 1, 0, "port=80"), 1, 0).unwrap();
    let forged = datagram(1, 1, 0, "port=80").seal(&key(2)).unwrap();
    for _ in 0..10_000 {
        let _ = receiver.hear(&Sealed::parse(&forged).unwrap(), ip(66), at(1));
    }
    let report = report(&mut receiver, 1);
    assert_eq!(report.set.len(), 1);
    let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "10.0.0.66: sends more than is looked at",
            "10.0.0.66: announces itself with a key that is not known here"
        ]
    );
    let refusals = receiver.refusals();
    assert_eq!(refusals.of(Refusal::Key) + refusals.of(Refusal::Rate), 10_000);
}

/// One step of a sender, whose datagrams may be lost, late, or come twice.
#[derive(Clone, Debug)]
struct Step {
    pause: u64,
    node: u8,
    does: u8,
    delay: u64,
}

fn some_step() -> impl Strategy<Value = Step> {
    (0..400_u64, 1..5_u8, 0..20_u8, 0..300_u64).prop_map(|(pause, node, does, delay)| Step {
        pause,
        node,
        does,
        delay,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b),
        cases: 200,
        ..ProptestConfig::default()
    })]

    /// However datagrams are lost, turned round and repeated: a node that said goodbye
    /// is not there until it says something newer, and one that is there has said so
    /// within its time.
    #[test]
    fn nobody_is_there_who_has_not_said_so_lately(
        steps in proptest::collection::vec(some_step(), 1..200)
    ) {
        let mut receiver = receiver();
        let (mut now, mut pending) = (1_000, Vec::new());
        // The newest that was heard of each: its number, when, and whether it is up.
        let mut newest: BTreeMap<u8, (u64, u64, bool)> = BTreeMap::new();
        for (number, step) in (1_u64..).zip(&steps) {
            now += step.pause;
            let text = if step.does == 0 { "port=80 state=down" } else { "port=80" };
            if step.does != 1 {
                let said = datagram(u64::from(step.node), number, now, text);
                pending.push((now + step.delay, step.node, said.clone()));
                if step.does == 2 {
                    pending.push((now + step.delay + 100, step.node, said));
                }
            }
            pending.sort_by_key(|(at, ..)| *at);
            let later = pending.iter().position(|(at, ..)| *at > now).unwrap_or(pending.len());
            for (_, node, said) in pending.drain(..later) {
                let heard = hear(&mut receiver, &said, node, now);
                let is_up = said.record.state == State::Up;
                let known = newest.get(&node).map_or(0, |(number, ..)| *number);
                if said.number > known {
                    prop_assert_eq!(heard, Ok(()));
                    newest.insert(node, (said.number, now, is_up));
                }
            }
            if let Some(Answer::Report(report)) = receiver.answer(at(now)) {
                for backend in report.set.iter() {
                    let node = (1..5).find(|node| backend.address() == format!("10.0.0.{node}:80"));
                    let (_, heard, is_up) = newest[&node.unwrap()];
                    prop_assert!(is_up, "{backend:?} has said goodbye");
                    prop_assert!(now - heard <= 3_000 || newest.len() > 1, "{backend:?}");
                }
            }
        }
    }
}
