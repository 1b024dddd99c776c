//! What strategies make of backends that are not alike, through the whole of `lb`.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use http::StatusCode;
use lb_proxy::demo::{DemoBackend, DemoOptions};

use crate::{
    client::get,
    process::{Lb, PATIENCE, file},
};

fn start(options: DemoOptions) -> (DemoBackend, String) {
    let backend = options.start().expect("a free port");
    let address = format!("\"{}\"", backend.address());
    (backend, address)
}

/// Who answers requests that are all sent before one is answered, each over its own
/// connection.
fn together(address: SocketAddr, requests: &[String]) -> BTreeMap<String, usize> {
    let send = |request: &String| {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    };
    let streams: Vec<_> = requests.iter().map(send).collect();
    let mut shares = BTreeMap::new();
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a whole answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let name = told["name"].as_str().expect("a name").to_owned();
        *shares.entry(name).or_default() += 1;
    }
    shares
}

#[test]
fn who_fails_fast_gets_no_more_than_a_fair_share() {
    for strategy in ["peak-ewma", "least-time", "p2c"] {
        let work = Duration::from_millis(3);
        let good = ["a", "b", "c"].map(|name| start(DemoOptions::named(name).delay(work)));
        // It answers a hundred times as fast as those that work.
        let failing = DemoOptions::named("x").status(StatusCode::SERVICE_UNAVAILABLE);
        let (_failing, at) = start(failing);
        let [a, b, c] = good.each_ref().map(|(_, at)| at);
        let file = file(&format!(
            r#"
            listen = "127.0.0.1:0"
            to = [{at}, {a}, {b}, {c}]
            [defaults]
            strategy = "{strategy}"
            "#,
        ));
        let lb = Lb::start(&["run", "--config", &file, "--workers", "2"]);
        let address = lb.address();
        let failed: usize = std::thread::scope(|scope| {
            let client = || (0..50).filter(|_| get(address, "/").status == 503).count();
            let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        println!("{strategy}: {failed} of 400 requests failed, a fair share is 100");
        assert!((1..=100).contains(&failed), "{strategy}: {failed} of 400");
    }
}

#[test]
fn a_bounded_hash_keeps_a_client_who_sends_most_from_filling_a_backend() {
    let backends = ["a", "b", "c", "d"].map(|name| start(DemoOptions::named(name)));
    let [a, b, c, d] = backends.each_ref().map(|(_, at)| at);
    let run = |bound: &str, delay: &str| {
        let file = file(&format!(
            r#"
            to = [{a}, {b}, {c}, {d}]
            [[listener]]
            bind = "127.0.0.1:0"
            trusted_proxies = ["127.0.0.1"]
            [defaults]
            strategy = {{ name = "maglev", key = "client-ip", bounded_load = {bound} }}
            "#,
        ));
        let lb = Lb::start(&["run", "--config", &file, "--workers", "2"]);
        let request = |n: usize| {
            // 48 of 80 come from one address.
            let from = if n % 5 < 3 { 0 } else { n };
            format!(
                "GET /delay/{delay} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                 X-Forwarded-For: 192.0.2.{from}\r\n\r\n"
            )
        };
        together(lb.address(), &(0..80).map(request).collect::<Vec<_>>())
    };
    let (bounded, free) = (run("1.25", "2s"), run("\"off\"", "0s"));
    println!("bounded by 1.25: {bounded:?}; not bounded: {free:?}");
    let most = |shares: &BTreeMap<String, usize>| shares.values().copied().max();
    // The mean is 20, and the bound is one of what is in flight: all are at once.
    assert!(most(&bounded) <= Some(25), "{bounded:?}");
    assert!(most(&free) >= Some(48), "{free:?}");
}
