use super::*;

fn key(backend: Option<&str>) -> Counted {
    ("web".into(), backend.map(Into::into))
}

fn reading(requests: u64) -> Reading {
    let mut reading = Reading::default();
    reading.requests = requests;
    reading
}

fn loads(of: &[(Option<&str>, u32)]) -> Loads {
    of.iter().map(|(backend, count)| (key(*backend), *count)).collect()
}

fn pass(traffic: &Traffic, readings: &[(Option<&str>, u64)], loads: &Loads) {
    let readings =
        readings.iter().map(|(backend, count)| (key(*backend), reading(*count))).collect();
    traffic.rows().pass(readings, loads, Instant::now());
}

fn requests(series: &Series, backend: Option<&str>) -> Vec<Option<u32>> {
    let row = series.rows.iter().find(|row| row.backend.as_deref() == backend);
    row.expect("a row").points.iter().map(|point| point.map(|point| point.requests)).collect()
}

#[test]
fn a_cluster_and_its_backends_have_a_point_for_each_second() {
    let traffic = Traffic::default();
    let there = loads(&[(None, 3), (Some("a"), 3)]);
    pass(&traffic, &[(None, 4), (Some("a"), 5)], &there);
    pass(&traffic, &[], &there);
    pass(&traffic, &[(None, 1), (Some("a"), 1)], &there);
    let series = traffic.series("web", Step::Second, 5);
    assert_eq!(requests(&series, None), [None, None, Some(4), Some(0), Some(1)]);
    assert_eq!(requests(&series, Some("a")), [None, None, Some(5), Some(0), Some(1)]);
    assert_eq!(series.rows[1].points[4].expect("a point").in_flight, 3);
    let last = traffic.series("web", Step::Second, 1);
    assert_eq!(requests(&last, None), [Some(1)]);
    assert!(traffic.series("other", Step::Second, 5).rows.is_empty());
}

#[test]
fn coarse_points_end_at_the_same_time_for_all() {
    let traffic = Traffic::default();
    let (few, more) = (loads(&[(Some("a"), 0)]), loads(&[(Some("a"), 0), (Some("b"), 0)]));
    for _ in 0..5 {
        pass(&traffic, &[(Some("a"), 1)], &few);
    }
    for _ in 0..16 {
        pass(&traffic, &[(Some("a"), 1), (Some("b"), 1)], &more);
    }
    let series = traffic.series("web", Step::Ten, 2);
    assert_eq!(requests(&series, Some("a")), [Some(10), Some(10)]);
    assert_eq!(requests(&series, Some("b")), [Some(5), Some(10)]);
}

#[test]
fn a_backend_that_is_gone_is_forgotten_when_nothing_is_left_of_it() {
    let traffic = Traffic::default();
    pass(&traffic, &[(Some("a"), 1)], &loads(&[(Some("a"), 0)]));
    let gone = loads(&[]);
    for _ in 0..SECONDS - 1 {
        pass(&traffic, &[], &gone);
    }
    assert_eq!(traffic.series("web", Step::Second, 1).rows.len(), 1);
    pass(&traffic, &[], &gone);
    assert!(traffic.series("web", Step::Second, 1).rows.is_empty());
}

#[test]
fn there_are_never_more_rows_than_that_and_those_that_are_gone_make_room() {
    let traffic = Traffic::default();
    let names: Vec<String> = (0..MOST + 5).map(|number| format!("b{number:05}")).collect();
    let all: Vec<_> = names.iter().map(|name| (Some(&**name), 1)).collect();
    pass(&traffic, &[], &loads(&all));
    let has = |name: &str| traffic.rows().rows.contains_key(&key(Some(name)));
    assert_eq!(traffic.rows().rows.len(), MOST);
    assert!(has(&names[0]) && !has(&names[MOST]));
    pass(&traffic, &[(Some(&names[0]), 1)], &loads(&all[1..]));
    assert_eq!(traffic.rows().rows.len(), MOST);
    assert!(has(&names[MOST]) && !has(&names[0]), "one that is there is worth more");
}

#[test]
fn a_cluster_has_a_row_however_many_backends_another_one_has() {
    let traffic = Traffic::default();
    let names: Vec<String> = (0..2 * MOST).map(|number| format!("b{number}")).collect();
    let mut all: Loads = names.iter().map(|name| (key(Some(name)), 0)).collect();
    let last: Counted = ("zzz".into(), None);
    all.insert(last.clone(), 0);
    pass(&traffic, &[], &all);
    assert!(traffic.rows().rows.contains_key(&last));
    assert_eq!(traffic.rows().rows.len(), MOST);
}

#[test]
fn whoever_is_not_known_has_no_rate() {
    assert_eq!(Traffic::default().rate("web", Some("a")), Rate::default());
}
