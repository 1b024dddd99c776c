//! Sequences that other programs play, row by row.

use std::net::IpAddr;

use lb_core::{
    AdminState, Cause, Change, Cluster, ClusterHandle, Outcome, PickCx, Tick, Tried, UnixTime,
    cluster::CauseKind,
    sticky::{Format, Ring, Sticky, apache},
    strategy::{Reason, StrategyKind},
};
use serde_json::Value;

use crate::support::{cluster, pick, position, settle, weighted};

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

fn disable(cluster: &Cluster, backend: &str) {
    let change = Change::Admin { backend: backend.into(), state: AdminState::Disabled };
    cluster.apply(change, Cause::new(CauseKind::Person, "disabled")).unwrap();
    settle(cluster);
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
        disable(&cluster, "b1");
        assert_plays(&cluster, row, &numbers(row, "picks"));
    }
    println!("apache byrequests_worker1_disabled: {} rows exact", rows.len());
    assert_eq!(rows.len(), 5);
}

#[test]
fn bybusyness_with_nothing_in_flight_plays_apache_order() {
    let file = apache();
    let rows = section(&file, "bybusyness_idle");
    let mut picks = 0;
    for row in rows {
        let cluster = of_row(StrategyKind::ByBusyness, row, "lbfactors");
        let expected = numbers(row, "picks");
        assert_plays(&cluster, row, &expected);
        picks += expected.len();
    }
    println!("apache bybusyness_idle: {} rows exact, {picks} picks", rows.len());
    assert_eq!(rows.len(), 5);
}

/// Apache counts the bytes of heads as well, so only the shares can be the same: after
/// each request, no two members are further apart, by bytes for their weight, than
/// the largest answer moves one. So it is in Apache's picks, too, but for the heads.
#[test]
fn bytraffic_shares_bytes_by_weight_as_apache_does() {
    let file = apache();
    let rows = section(&file, "bytraffic");
    let (mut requests, mut worst) = (0, 0.0_f64);
    for row in rows {
        let cluster = of_row(StrategyKind::ByTraffic, row, "lbfactors");
        let weights = numbers(row, "lbfactors");
        let sizes = numbers(row, "response_body_bytes");
        let theirs = numbers(row, "picks");
        let largest = *sizes.iter().max().unwrap() as f64;
        let step = largest / *weights.iter().min().unwrap() as f64;
        let mut handle = cluster.handle();
        let mut ours = vec![0.0; weights.len()];
        let mut seen = vec![0.0; weights.len()];
        let spread = |moved: &[f64]| {
            let shares = moved.iter().zip(&weights).map(|(bytes, weight)| bytes / *weight as f64);
            let (low, high) = shares
                .fold((f64::MAX, 0.0_f64), |(low, high), share| (low.min(share), high.max(share)));
            high - low
        };
        for (request, (size, their)) in sizes.iter().zip(&theirs).enumerate() {
            let mut lease = handle.acquire(&PickCx::new(Tick::ZERO, request as u64)).unwrap();
            ours[position(lease.backend().name())] += *size as f64;
            seen[*their] += *size as f64;
            lease.transferred(*size as u64);
            lease.complete(Outcome::Status(200), Tick::ZERO);
            worst = worst.max(spread(&ours) / step);
            assert!(spread(&ours) <= step * 1.001, "{request} of {row}");
            // A head is 300 octets at most.
            let heads = 300.0 * (request + 1) as f64;
            assert!(spread(&seen) <= step + heads, "Apache: {request} of {row}");
            requests += 1;
        }
    }
    println!("apache bytraffic: {} rows, {requests} requests, {worst:.3} steps apart", rows.len());
    assert_eq!(rows.len(), 5);
}

/// The rows of one table of `ip_hash`: a client's address and what was seen.
fn clients<'a>(row: &'a Value, key: &str) -> impl Iterator<Item = (Vec<u8>, &'a Value)> {
    let octets = |address: &str| match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    row[key].as_object().unwrap().iter().map(move |(address, seen)| (octets(address), seen))
}

/// Where a client is sent that has tried these, if its address decides it.
fn of_address(handle: &mut ClusterHandle, octets: &[u8], tried: &mut Tried) -> Option<usize> {
    let cx = PickCx::new(Tick::ZERO, 0).keyed(octets);
    let lease = handle.acquire(&cx.avoiding(tried)).unwrap();
    tried.add(lease.incarnation());
    let decided = matches!(lease.reason(), Reason::Key | Reason::Rehash);
    decided.then(|| position(lease.backend().name()))
}

#[test]
fn ip_hash_sends_every_address_where_nginx_does() {
    let file = nginx();
    let mut rows = 0;
    for row in section(&file, "ip_hash") {
        let cluster = of_row(StrategyKind::IpHash, row, "weights");
        let mut handle = cluster.handle();
        for (octets, seen) in clients(row, "v4").chain(clients(row, "v6")) {
            let got = of_address(&mut handle, &octets, &mut Tried::default());
            assert_eq!(got.map(|got| got as u64), seen.as_u64(), "{octets:?} {}", row["weights"]);
            rows += 1;
        }
    }
    println!("nginx ip_hash v4, v6: {rows} addresses exact");
    assert_eq!(rows, 5 * (125 + 44));
}

#[test]
fn ip_hash_sends_past_a_server_that_is_down_as_nginx_does() {
    let file = nginx();
    let mut rows = 0;
    for row in section(&file, "ip_hash") {
        let cluster = of_row(StrategyKind::IpHash, row, "weights");
        disable(&cluster, "b0");
        let mut handle = cluster.handle();
        for (octets, seen) in clients(row, "server0_down_v4") {
            let got = of_address(&mut handle, &octets, &mut Tried::default());
            assert_eq!(got.map(|got| got as u64), seen.as_u64(), "{octets:?} {}", row["weights"]);
            rows += 1;
        }
    }
    println!("nginx ip_hash server0_down_v4: {rows} addresses exact");
    assert_eq!(rows, 5 * 60);
}

#[test]
fn ip_hash_retries_in_the_order_of_nginx_until_twenty_rehashes_missed() {
    let file = nginx();
    let (mut rows, mut decided) = (0, 0);
    for row in section(&file, "ip_hash") {
        let cluster = of_row(StrategyKind::IpHash, row, "weights");
        let mut handle = cluster.handle();
        for (octets, seen) in clients(row, "all_refused_retry_order_v4") {
            let mut tried = Tried::default();
            for seen in seen.as_array().unwrap() {
                // What comes after is round robin, whose state nginx shares.
                let Some(got) = of_address(&mut handle, &octets, &mut tried) else { break };
                assert_eq!(Some(got as u64), seen.as_u64(), "{octets:?} {}", row["weights"]);
                decided += 1;
            }
            rows += 1;
        }
    }
    // Of five, one has servers so unequal that 6 of 30 requests end by turns.
    println!("nginx ip_hash all_refused_retry_order_v4: {rows} rows, {decided} tries exact");
    assert_eq!((rows, decided), (5 * 30, 60 + 90 + 120 + 84 + 90));
}

#[test]
fn ip_hash_sends_clients_without_an_address_where_zeros_go() {
    let cluster = cluster(StrategyKind::IpHash, weighted(&[3, 1, 5, 2]));
    let mut handle = cluster.handle();
    let zeros = of_address(&mut handle, &[0; 4], &mut Tried::default());
    for entropy in 0..10 {
        let lease = handle.acquire(&PickCx::new(Tick::ZERO, entropy)).unwrap();
        assert_eq!(Some(position(lease.backend().name())), zeros);
    }
}

#[test]
fn sticky_routes_are_found_where_apache_finds_them() {
    let file = apache();
    let section = &file["data"]["sticky_route"];
    let name = section["stickysession"].as_str().unwrap();
    let routes = section["routes"].as_array().unwrap();
    let sticky = Sticky::new(Format::Name, Ring::derived_from("test"));
    let rows = section["rows"].as_array().unwrap();
    for row in rows {
        let headers = row["headers"].as_array().unwrap().iter();
        let cookies: Vec<&[u8]> =
            headers.map(|header| header[1].as_str().unwrap().as_bytes()).collect();
        let route = apache::route(row["url"].as_str().unwrap(), cookies.iter().copied(), name);
        let route = route.map(|route| std::str::from_utf8(route).unwrap());
        assert_eq!(route, row["parsed_route"].as_str(), "{row}");
        let stuck = routes.iter().filter_map(Value::as_str).find(|known| Some(*known) == route);
        assert_eq!(stuck, row["stuck_to"].as_str(), "{row}");
        if let Some(known) = stuck {
            assert_eq!(sticky.value(known, UnixTime::default()), format!(".{known}"));
        }
    }
    println!("apache sticky_route: {} rows exact", rows.len());
    assert_eq!(rows.len(), 13);
}
