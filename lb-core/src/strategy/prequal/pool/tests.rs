use super::*;

/// What a backend says that has so many requests in flight.
fn reported(requests: u32) -> LoadReport {
    let load = u64::from(requests) * LoadReport::ONE;
    LoadReport { in_flight: Some(requests), ..LoadReport::new(load) }
}

fn probed(number: u64, requests: u32, millis: u64, at: u64) -> Probed {
    Probed {
        incarnation: IncarnationId::from_number(number),
        slot: Slot::new(usize::try_from(number).unwrap()),
        weight: 1,
        load: reported(requests),
        latency: Duration::from_millis(millis),
        at: Tick::from_millis(at),
    }
}

fn pool(rate: f64, probes: impl IntoIterator<Item = Probed>) -> ProbePool {
    let mut pool = ProbePool::new(rate);
    probes.into_iter().for_each(|probed| pool.add(probed, 1000, 0));
    pool
}

fn known(pool: &ProbePool, at: u64) -> Vec<u64> {
    let number = |entry: &Entry| entry.slot.index() as u64;
    pool.usable(Tick::from_millis(at)).map(number).collect()
}

#[test]
fn sixteen_results_are_kept_the_last_ones() {
    let pool = pool(3.0, (0..20).map(|n| probed(n, 1, 1, 0)));
    assert_eq!(known(&pool, 0), (4..20).collect::<Vec<_>>());
}

#[test]
fn a_backend_has_one_result_the_newest() {
    let pool = pool(3.0, [probed(1, 9, 1, 0), probed(2, 1, 1, 0), probed(1, 3, 1, 5)]);
    assert_eq!(known(&pool, 10), [2, 1]);
    let load = pool.usable(Tick::from_millis(10)).last().unwrap().load;
    assert_eq!(load, load_of(reported(3).load, 1));
}

#[test]
fn results_of_a_second_ago_mean_nothing_and_one_alone_does_not_either() {
    let pool = pool(3.0, [probed(1, 1, 1, 0), probed(2, 1, 1, 0), probed(3, 1, 1, 500)]);
    assert_eq!(known(&pool, 999), [1, 2, 3]);
    assert_eq!(known(&pool, 1000), [0; 0], "one is left");
    assert!(!pool.is_empty() && pool.len() == 3);
}

#[test]
fn a_failed_probe_takes_its_backend_out() {
    let mut pool = pool(3.0, (1..4).map(|n| probed(n, 1, 1, 0)));
    pool.failed(IncarnationId::from_number(2));
    assert_eq!(known(&pool, 0), [1, 3]);
}

#[test]
fn a_use_counts_as_one_request_more_for_the_weight() {
    let heavy = Probed { weight: 4, ..probed(1, 8, 1, 0) };
    let mut pool = pool(1.0, [heavy, probed(2, 8, 1, 0)]);
    pool.used(heavy.incarnation, Tick::ZERO);
    pool.used(IncarnationId::from_number(2), Tick::ZERO);
    let loads: Vec<_> = pool.usable(Tick::ZERO).map(|entry| entry.load).collect();
    let per_weight = |requests, weight| load_of(reported(requests).load, weight);
    assert_eq!(loads, [per_weight(9, 4), per_weight(9, 1)]);
}

#[test]
fn the_oldest_and_the_worst_are_taken_out_by_turns_down_to_two() {
    // A loaded one (5), and a slow one (6) that is not.
    let results = [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1), (5, 90, 1), (6, 1, 80), (7, 1, 1)];
    let mut pool =
        pool(3.0, results.map(|(number, load, latency)| probed(number, load, latency, 0)));
    // So that one in seven is not most of what is above the quantile.
    (0..30).for_each(|_| pool.recent.add(load_of(LoadReport::ONE, 1)));
    let nobody = IncarnationId::from_number(0);
    let mut left = Vec::new();
    for _ in 0..7 {
        pool.used(nobody, Tick::ZERO);
        left.push(known(&pool, 0));
    }
    assert_eq!(left[0], [2, 3, 4, 5, 6, 7], "the oldest");
    assert_eq!(left[1], [2, 3, 4, 6, 7], "the hottest");
    assert_eq!(left[2], [3, 4, 6, 7], "the oldest");
    assert_eq!(left[3], [3, 4, 7], "the slowest, as none is hot");
    assert_eq!(left[4], [4, 7], "the oldest");
    assert_eq!(left[6], [4, 7], "two stay");
}

#[test]
fn what_is_too_old_is_taken_out_first() {
    let mut pool = pool(3.0, (1..6).map(|n| probed(n, 1, 1, n * 300)));
    pool.used(IncarnationId::from_number(0), Tick::from_millis(1900));
    assert_eq!(pool.len(), 2, "three are, and no more goes");
}

#[test]
fn a_result_is_used_as_often_as_the_paper_says() {
    let uses = |rate: f64, backends, entropy| ProbePool::new(rate).uses(backends, entropy);
    // (1 + 1) / ((1 - 16/100) · 3 - 1) = 1.3158: 336/256, which is 1 and 80 chances of 256.
    let often = (0..256_u64).filter(|n| uses(3.0, 100, n << 56) == 2).count();
    assert_eq!(often, 80);
    assert_eq!(uses(3.0, 100, u64::MAX), 1);
    // (1 + 1) / ((1 - 16/32) · 4 - 1) = 2.
    assert_eq!(uses(4.0, 32, u64::MAX), 2);
    // Less than once is once.
    assert_eq!(uses(8.0, 1000, u64::MAX), 1);
    // More go than come.
    assert_eq!(uses(1.0, 1000, 0), u32::MAX);
    assert_eq!(uses(3.0, 3, 0), u32::MAX);
    assert_eq!(uses(0.5, 0, 0), u32::MAX);
}

#[test]
fn a_result_that_is_used_up_is_gone() {
    let mut pool = ProbePool::new(8.0);
    for n in 1..5 {
        pool.add(probed(n, 1, 1, 0), 1000, 0);
    }
    pool.used(IncarnationId::from_number(3), Tick::ZERO);
    assert_eq!(known(&pool, 0), [2, 4], "3 is used up, and 1 the oldest");
}

#[test]
fn no_load_is_too_large() {
    let most = Probed { load: LoadReport::new(u64::MAX), ..probed(1, 0, 1, 0) };
    let mut pool = pool(3.0, [most, probed(2, 1, 1, 0)]);
    pool.used(most.incarnation, Tick::ZERO);
    assert!(pool.usable(Tick::ZERO).next().unwrap().load > load_of(LoadReport::ONE, 1));
}

#[test]
fn a_load_of_another_unit_grows_by_a_part_of_what_is_hot() {
    let one = Probed { load: LoadReport::new(5_000), ..probed(1, 0, 1, 0) };
    let two = Probed { load: LoadReport::new(8_000), ..probed(2, 0, 1, 0) };
    let mut pool = pool(3.0, [one, two]);
    let load = |pool: &ProbePool| pool.usable(Tick::ZERO).next().unwrap().load;
    let before = load(&pool);
    pool.used(one.incarnation, Tick::ZERO);
    assert_eq!(load(&pool), before + before / 16 + 1);
}
