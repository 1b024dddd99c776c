//! Sequences that other programs play, row by row.

use lb_core::{AdminState, Cause, Change, Cluster, cluster::CauseKind, strategy::StrategyKind};
use serde_json::Value;

use crate::support::{cluster, pick, settle, weighted};

fn section<'a>(file: &'a Value, name: &str) -> &'a Vec<Value> {
    file["data"][name].as_array().unwrap()
}

fn numbers(row: &Value, key: &str) -> Vec<usize> {
    let list = row[key].as_array().unwrap().iter();
    list.map(|number| usize::try_from(number.as_u64().unwrap()).unwrap()).collect()
}

fn nginx() -> Value {
    serde_json::from_str(include_str!("../vectors/nginx.json")).unwrap()
}

fn apache() -> Value {
    serde_json::from_str(include_str!("../vectors/apache.json")).unwrap()
}

/// A cluster with the weights of a row, its cursor at 0.
fn of_row(kind: StrategyKind, row: &Value, weights: &str) -> Cluster {
    let weights: Vec<u32> =
        numbers(row, weights).into_iter().map(|weight| u32::try_from(weight).unwrap()).collect();
    cluster(kind, weighted(&weights))
}

fn assert_plays(cluster: &Cluster, row: &Value, expected: &[usize]) {
    let mut handle = cluster.handle();
    let played: Vec<usize> = expected.iter().map(|_| pick(&mut handle, 0)).collect();
    assert_eq!(played, expected, "{row}");
}

#[test]
fn round_robin_plays_nginx_smooth_order() {
    let file = nginx();
    let rows = section(&file, "smooth_wrr");
    for row in rows {
        let cluster = of_row(StrategyKind::RoundRobin, row, "weights");
        assert_plays(&cluster, row, &numbers(row, "first_picks"));
    }
    println!("nginx smooth_wrr: {} rows exact", rows.len());
    assert_eq!(rows.len(), 5);
}

#[test]
fn least_conn_with_nothing_in_flight_plays_nginx_order() {
    let file = nginx();
    let rows = section(&file, "least_conn_idle_ties");
    for row in rows {
        let cluster = of_row(StrategyKind::LeastConn, row, "weights");
        assert_plays(&cluster, row, &numbers(row, "picks"));
    }
    println!("nginx least_conn_idle_ties: {} rows exact", rows.len());
    assert_eq!(rows.len(), 5);
}

#[test]
fn round_robin_plays_apache_byrequests() {
    let file = apache();
    let rows = section(&file, "byrequests");
    for row in rows {
        let cluster = of_row(StrategyKind::RoundRobin, row, "lbfactors");
        assert_plays(&cluster, row, &numbers(row, "picks"));
    }
    println!("apache byrequests: {} rows exact", rows.len());
    assert_eq!(rows.len(), 5);
}

#[test]
fn round_robin_plays_apache_byrequests_with_a_member_disabled() {
    let file = apache();
    let rows = section(&file, "byrequests_worker1_disabled");
    for row in rows {
        let cluster = of_row(StrategyKind::RoundRobin, row, "lbfactors");
        let change = Change::Admin { backend: "b1".into(), state: AdminState::Disabled };
        cluster.apply(change, Cause::new(CauseKind::Person, "disabled")).unwrap();
        settle(&cluster);
        assert_plays(&cluster, row, &numbers(row, "picks"));
    }
    println!("apache byrequests_worker1_disabled: {} rows exact", rows.len());
    assert_eq!(rows.len(), 5);
}
