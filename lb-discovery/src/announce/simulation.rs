//! A network that loses, repeats and turns round, in virtual time.

use std::{collections::BinaryHeap, net::IpAddr, time::Duration};

use lb_core::{Tick, sample::mix};

use super::*;

const WALL: u64 = 1_790_000_000_000;
const NODES: u64 = 20;

/// Draws that a seed decides.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % below
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: std::cmp::Reverse<u64>,
    node: u64,
    bytes: Vec<u8>,
}

/// Ten minutes of twenty nodes, of whose datagrams one in twenty is lost, one comes twice,
/// and all are late by up to a tenth of a second: nobody is lost. The first node dies
/// after five minutes, and is gone in its time.
#[test]
fn a_network_that_loses_one_of_twenty_loses_no_node() {
    for seed in 0..3 {
        println!("seed {seed}");
        let mut draws = Draws(seed);
        let policy = Policy {
            cluster: "c".into(),
            keys: vec![(Key::new([7; 32]), Grant::default())],
            max_skew: Duration::from_secs(30),
        };
        let mut receiver = Receiver::new(policy, Tick::ZERO);
        let mut network = BinaryHeap::new();
        for node in 1..=NODES {
            send_all(node, &mut draws, &mut network);
        }
        let (mut now, mut members) = (0, Vec::new());
        while let Some(Arrival { at, node, bytes }) = network.pop() {
            let last_octet = u8::try_from(node).unwrap();
            while now < at.0 {
                now += 1;
                let moment = Moment { tick: Tick::from_millis(now), unix_ms: WALL + now };
                match receiver.answer(moment) {
                    Some(Answer::Report(report)) => members.push((now, report.set.len())),
                    Some(Answer::Deaf(count)) => panic!("deaf of {count} at {now}"),
                    None => {}
                }
            }
            let moment = Moment { tick: Tick::from_millis(now), unix_ms: WALL + now };
            let sealed = Sealed::parse(&bytes).unwrap();
            let from = IpAddr::from([10, 0, 0, last_octet]);
            if let Err(refusal) = receiver.hear(&sealed, from, moment) {
                assert_eq!(refusal, Refusal::Replay, "one that came twice");
            }
        }
        let all = usize::try_from(NODES).unwrap();
        let complete = members.iter().position(|(_, count)| *count == all).unwrap();
        assert!(members[complete].0 < 5_000, "{members:?}");
        let fewer: Vec<_> = members[complete..].iter().filter(|(_, count)| *count < all).collect();
        let (gone, count) = *fewer[0];
        assert!((301_000..=303_300).contains(&gone) && count == all - 1, "{fewer:?}");
        assert!(fewer.iter().all(|(_, count)| *count == all - 1), "{fewer:?}");
    }
}

/// All that a node says in its life, as it arrives.
fn send_all(node: u64, draws: &mut Draws, network: &mut BinaryHeap<Arrival>) {
    let end = if node == 1 { 300_000 } else { 600_000 };
    let (mut now, mut number) = (draws.next(1_000), 0);
    while now < end {
        for copy in 0..2 {
            number += 1;
            let sent = now + copy * 20;
            let datagram = Datagram {
                boot_id: node,
                number,
                sent_ms: WALL + sent,
                ttl: Duration::from_secs(3),
                record: Record::new("c", Place::Port(80)),
            };
            let copies = match draws.next(20) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let at = std::cmp::Reverse(sent + draws.next(100));
                let bytes = datagram.seal(&Key::new([7; 32])).unwrap();
                network.push(Arrival { at, node, bytes });
            }
        }
        now += 800 + draws.next(401);
    }
}
