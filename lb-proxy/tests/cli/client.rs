//! An HTTP client that can be read at a glance: one request, one connection.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
};

use crate::process::PATIENCE;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// One request over a new connection.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), body: body.to_owned() }
}

/// Who answered `count` requests, each over a new connection, one after the other.
pub(crate) fn shares(address: SocketAddr, path: &str, count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        let answer = get(address, path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        let name = told["name"].as_str().expect("a name").to_owned();
        *shares.entry(name).or_default() += 1;
    }
    shares
}

/// The same by several clients at a time.
pub(crate) fn shares_of_many(
    address: SocketAddr,
    path: &str,
    clients: usize,
    each: usize,
) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| shares(address, path, each))).collect();
        for client in clients {
            for (name, count) in client.join().expect("a client without panic") {
                *all.entry(name).or_default() += count;
            }
        }
    });
    all
}

/// Shares as they are compared in tests.
pub(crate) fn expect(shares: &BTreeMap<String, usize>, expected: &[(&str, usize)]) {
    let shares: Vec<(&str, usize)> =
        shares.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(shares, expected);
}
