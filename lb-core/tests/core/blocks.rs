//! Turns that workers take in blocks.

use std::{collections::BTreeMap, thread};

use lb_core::{
    Cause, Change, Cluster, ClusterHandle, PickCx, Tick,
    cluster::CauseKind,
    strategy::{RoundRobin, Tickets},
};

use crate::support::{boxed, equal, position, settle, weighted};

fn in_blocks(weights: &[u32]) -> Cluster {
    boxed(Box::new(RoundRobin::default().tickets(Tickets::Blocks)), weighted(weights))
}

fn pick(handle: &mut ClusterHandle, worker: usize) -> usize {
    let cx = PickCx::new(Tick::ZERO, 0).on_worker(worker);
    position(handle.acquire(&cx).unwrap().backend().name())
}

#[test]
fn whole_blocks_are_split_exactly_however_many_workers_took_them() {
    let cluster = in_blocks(&[5, 1, 2]);
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let mut handle = cluster.handle();
            thread::spawn(move || {
                let mut counts = [0_u64; 3];
                (0..64 * 100).for_each(|_| counts[pick(&mut handle, worker)] += 1);
                counts
            })
        })
        .collect();
    let mut totals = [0; 3];
    for worker in workers {
        let counts = worker.join().unwrap();
        (0..3).for_each(|backend| totals[backend] += counts[backend]);
    }
    // 25,600 turns are 3,200 cycles of eight.
    assert_eq!(totals, [16_000, 3_200, 6_400]);
}

#[test]
fn a_block_is_played_in_the_order_of_the_cycle_and_the_next_goes_on_behind_all_others() {
    let cluster = in_blocks(&[1; 7]);
    let mut handle = cluster.handle();
    let played = |handle: &mut ClusterHandle, worker| -> Vec<usize> {
        (0..64).map(|_| pick(handle, worker)).collect()
    };
    let cycle = |from: usize| -> Vec<usize> { (from..from + 64).map(|turn| turn % 7).collect() };
    assert_eq!(played(&mut handle, 0), cycle(0));
    assert_eq!(played(&mut handle, 1), cycle(64));
    assert_eq!(played(&mut handle, 0), cycle(128));
}

#[test]
fn between_blocks_nobody_is_more_than_three_turns_per_worker_off_his_share() {
    let weights = [9, 4, 1, 1, 6];
    let cluster = in_blocks(&weights);
    let mut handle = cluster.handle();
    let mut counts = [0_u32; 5];
    let total: u32 = weights.iter().sum();
    for request in 0..10_000_u32 {
        counts[pick(&mut handle, request as usize % 3)] += 1;
        for (count, weight) in counts.iter().zip(weights) {
            let off = (count * total).abs_diff((request + 1) * weight);
            assert!(off <= 3 * 3 * total, "{counts:?} after {request}");
        }
    }
}

#[test]
fn what_is_left_of_a_block_is_played_when_the_set_is_built_anew() {
    let cluster = in_blocks(&[1; 7]);
    let mut handle = cluster.handle();
    let before: Vec<usize> = (0..6).map(|_| pick(&mut handle, 0)).collect();
    let say = |size| {
        let change = Change::Membership(equal(size));
        cluster.apply(change, Cause::new(CauseKind::Source, "another number")).unwrap();
        settle(&cluster);
    };
    say(4);
    let after: Vec<usize> = (0..4).map(|_| pick(&mut handle, 0)).collect();
    assert_eq!((before, after), ((0..6).collect(), vec![2, 3, 0, 1]), "6 turns in 4 is 2");
    say(0);
    assert!(handle.acquire(&PickCx::new(Tick::ZERO, 0)).is_err());
}

#[test]
fn threads_of_one_number_lose_nothing_but_exactness() {
    let cluster = in_blocks(&[1; 5]);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let mut handle = cluster.handle();
            thread::spawn(move || {
                let mut counts = BTreeMap::new();
                (0..20_000).for_each(|_| *counts.entry(pick(&mut handle, 0)).or_insert(0) += 1);
                counts
            })
        })
        .collect();
    for worker in workers {
        let counts = worker.join().unwrap();
        // 4,000 each, but for turns that others played as well.
        assert!(counts.len() == 5 && counts.values().all(|count| *count > 1_000), "{counts:?}");
    }
}
