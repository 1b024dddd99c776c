//! Where nginx and HAProxy send keys, row by row.

use std::net::IpAddr;

use lb_core::{
    Backend, Cluster, ClusterHandle, Membership, PickCx, Tick, Tried, Weight,
    sample::mix,
    strategy::{HashFunction, HashType, KeyForm, Reason, StrategyKind, StrategyOptions},
};
use serde_json::Value;

use crate::support::{boxed, cluster, position, weighted};

fn file(name: &str) -> Value {
    let text = match name {
        "nginx" => include_str!("../vectors/nginx.json"),
        _ => include_str!("../vectors/haproxy.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn rows<'a>(file: &'a Value, section: &str) -> &'a Vec<Value> {
    file["data"][section].as_array().unwrap()
}

fn weights(row: &Value) -> Vec<u32> {
    let weights = row["weights"].as_array().unwrap().iter();
    weights.map(|weight| u32::try_from(weight.as_u64().unwrap()).unwrap()).collect()
}

/// Keys and what was seen.
fn seen<'a>(row: &'a Value, of: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    row[of].as_object().into_iter().flatten().map(|(key, seen)| (key.as_str(), seen))
}

/// Backends of these weights at these addresses.
fn at(servers: &Value, weights: &[u32]) -> Membership {
    let servers = servers.as_array().unwrap().iter().zip(weights).enumerate();
    let backend = |(number, (server, weight)): (usize, (&Value, &u32))| {
        Backend::new(server.as_str().unwrap())
            .named(format!("b{number}"))
            .weighted(Weight::new(*weight).unwrap())
    };
    Membership::new(servers.map(backend)).unwrap()
}

/// Where a key is sent that has tried these, if it decides.
fn of_key(handle: &mut ClusterHandle, key: &[u8], tried: &mut Tried) -> Option<usize> {
    let cx = PickCx::new(Tick::ZERO, mix(1)).keyed(key);
    let lease = handle.acquire(&cx.avoiding(tried)).unwrap();
    tried.add(lease.incarnation());
    let decided = matches!(lease.reason(), Reason::Key | Reason::Rehash);
    decided.then(|| position(lease.backend().name()))
}

/// The number of keys of this row, all of which are sent where they were seen.
fn assert_sends(cluster: &Cluster, row: &Value, of: &str, key: impl Fn(&str) -> Vec<u8>) -> usize {
    let mut handle = cluster.handle();
    let keys = seen(row, of).map(|(text, seen)| {
        let got = of_key(&mut handle, &key(text), &mut Tried::default());
        assert_eq!(got.map(|got| got as u64), seen.as_u64(), "{text} {}", row["weights"]);
    });
    keys.count()
}

/// The number of keys of this row, and of tries that the hash decided; all in the order
/// that was seen.
fn assert_retries(cluster: &Cluster, row: &Value) -> (usize, usize) {
    let mut handle = cluster.handle();
    let (mut keys, mut decided) = (0, 0);
    for (key, seen) in seen(row, "all_refused_retry_order") {
        let mut tried = Tried::default();
        for seen in seen.as_array().unwrap() {
            // What comes after is round robin, whose state nginx shares.
            let Some(got) = of_key(&mut handle, key.as_bytes(), &mut tried) else { break };
            assert_eq!(Some(got as u64), seen.as_u64(), "{key} {}", row["weights"]);
            decided += 1;
        }
        keys += 1;
    }
    (keys, decided)
}

fn text(key: &str) -> Vec<u8> {
    key.as_bytes().to_vec()
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[test]
fn hash_sends_every_key_where_nginx_does() {
    let file = file("nginx");
    let (mut keys, mut retried, mut tries) = (0, 0, 0);
    for row in rows(&file, "hash_key_crc32") {
        let cluster = cluster(StrategyKind::Hash, weighted(&weights(row)));
        keys += assert_sends(&cluster, row, "picks", text);
        let (count, decided) = assert_retries(&cluster, row);
        retried += count;
        tries += decided;
    }
    println!("nginx hash_key_crc32: {keys} keys exact, {retried} retried, {tries} tries exact");
    // Of 450 tries, 17 came after twenty misses.
    assert_eq!((keys, retried, tries), (5 * 123, 5 * 30, 450 - 17));
}

#[test]
fn hash_consistent_sends_every_key_where_nginx_does() {
    let file = file("nginx");
    let (mut keys, mut retried, mut tries) = (0, 0, 0);
    for row in rows(&file, "hash_key_consistent_ketama160") {
        let kind = StrategyKind::HashConsistent;
        let running = cluster(kind, at(&row["servers"], &weights(row)));
        keys += assert_sends(&running, row, "picks", text);
        let refusing = cluster(kind, at(&row["refused_servers"], &weights(row)));
        let (count, decided) = assert_retries(&refusing, row);
        retried += count;
        tries += decided;
    }
    println!("nginx ketama160: {keys} keys exact, {retried} retried, {tries} tries exact");
    // Of 450 tries, 5 came after twenty points.
    assert_eq!((keys, retried, tries), (5 * 123, 5 * 30, 450 - 5));
}

/// `hash-type` as in HAProxy's configuration: a type, a function, a modifier.
fn hash_type(words: &str, key_form: KeyForm) -> StrategyOptions {
    let mut words = words.split(' ');
    let hash_type = match words.next() {
        Some("map-based") => HashType::MapBased,
        Some("consistent") => HashType::Consistent,
        other => panic!("what type is {other:?}?"),
    };
    let function = words.next().map(|function| match function {
        "sdbm" => HashFunction::Sdbm,
        "djb2" => HashFunction::Djb2,
        "wt6" => HashFunction::Wt6,
        "crc32" => HashFunction::Crc32,
        other => panic!("what function is {other}?"),
    });
    let avalanche = words.next().map(|modifier| modifier == "avalanche");
    StrategyOptions { hash_type, function, avalanche, key_form, ..StrategyOptions::default() }
}

fn haproxy(row: &Value, key_form: KeyForm) -> Cluster {
    let options = hash_type(row["hash_type"].as_str().unwrap(), key_form);
    boxed(StrategyKind::HaproxyHash.build_with(&options), weighted(&weights(row)))
}

#[test]
fn haproxy_hash_sends_every_key_where_haproxy_does() {
    let file = file("haproxy");
    let mut keys = [0; 4];
    for row in rows(&file, "source") {
        let cluster = haproxy(row, KeyForm::Address);
        keys[0] += assert_sends(&cluster, row, "v4", octets);
        keys[1] += assert_sends(&cluster, row, "v6", octets);
    }
    for row in rows(&file, "header_key") {
        keys[2] += assert_sends(&haproxy(row, KeyForm::Text), row, "picks", text);
    }
    for row in rows(&file, "uri_whole") {
        keys[3] += assert_sends(&haproxy(row, KeyForm::Text), row, "picks", text);
    }
    println!("haproxy source v4, v6, header_key, uri_whole: {keys:?} keys exact");
    // Two sets of weights, six types of hash each.
    assert_eq!(keys, [12 * 104, 12 * 27, 12 * 102, 12 * 25]);
}
