//! Requests that two readers could read differently: what was sent, what a backend
//! saw of it, what the client got. `requests.txt` is the record; what it says is
//! checked to the byte, and each backend's side besides by a reader that takes
//! nothing but the plainest HTTP/1.1.
//!
//! Each case is sent with a canary behind it in the same write. Where the canary
//! is answered, all before it was read as the sender meant it; where it is not, the
//! connection was closed, and nobody has read it as part of something else.
//!
//! `UPDATE_EXPECTED=1` writes the record anew.

mod answers;
mod case;
mod strict;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use self::case::{Case, escape, read_cases, write_cases};
use crate::support::{Client, PATIENCE, proxy_with};

const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

#[test]
fn no_request_is_read_in_two_ways() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/raw_bytes/requests.txt");
    let text = fs::read_to_string(&record).unwrap();
    let cases = read_cases(&text);
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let seen: Vec<Case> = thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| run(case))).collect();
        running.into_iter().map(|case| case.join().unwrap()).collect()
    });
    let now = write_cases(&seen);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&record, now).unwrap();
        return;
    }
    for (expected, seen) in cases.iter().zip(&seen) {
        assert_eq!(expected, seen, "{}", seen.title);
    }
}

/// Sends a case through a proxy of its own.
fn run(case: &Case) -> Case {
    let backend = Recorder::start();
    let proxied = proxy_with(&[backend.address], |service| {
        // What never comes is not waited for.
        let timeouts = &mut service.listeners[0].timeouts;
        timeouts.header = Duration::from_millis(300);
        timeouts.body_idle = Duration::from_millis(300);
        service.clusters[0].timeouts.first_byte = Duration::from_millis(1_500);
    });
    let mut client = Client::connect(proxied.address);
    // It may close before it has read all.
    let _ = client.stream.write_all(&[&case.sent, CANARY.as_bytes()].concat());
    let mut got = Vec::new();
    let _ = client.stream.read_to_end(&mut got);
    drop(proxied);
    let seen = backend.seen();
    let whole: Result<Vec<&[u8]>, String> = seen.iter().map(|bytes| strict::whole(bytes)).collect();
    let whole = whole.unwrap_or_else(|problem| panic!("{}: {problem}", case.title));
    Case {
        title: case.title.clone(),
        sent: case.sent.clone(),
        backend: without_noise(&whole.concat()),
        client: strict::answers(&got),
    }
}

/// A backend that writes down all it receives, and answers what it understands.
struct Recorder {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let recorded = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let number = {
                    let mut all = recorded.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let recorded = Arc::clone(&recorded);
                thread::spawn(move || {
                    let (mut buffer, mut answered) = ([0; 4096], 0);
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        let all = {
                            let mut recorded = recorded.lock().unwrap();
                            recorded[number].extend_from_slice(&buffer[..length]);
                            recorded[number].clone()
                        };
                        while let Ok(Some((length, what))) = strict::request(&all[answered..]) {
                            answered += length;
                            let head = "HTTP/1.1 200 OK\r\nContent-Length:";
                            let answer = format!("{head} {}\r\n\r\n{what}", what.len());
                            let _ = stream.write_all(answer.as_bytes());
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }
}

/// What the backends saw, without the canary and the headers that every request
/// gets, a line for a line.
fn without_noise(seen: &[u8]) -> Vec<String> {
    let text = escape(seen);
    let mut lines = Vec::new();
    let mut in_canary = false;
    for mut line in text {
        if let Some(at) = line.find("GET /canary HTTP") {
            line.truncate(at);
            lines.extend(Some(line).filter(|line| !line.is_empty()));
            in_canary = true;
            continue;
        }
        let is_end = line == "\\r\\n";
        if !in_canary && !is_noise(&line) {
            lines.push(line);
        }
        in_canary &= !is_end;
    }
    lines
}

/// Whether a line is one that every message gets on its way.
fn is_noise(line: &str) -> bool {
    const NOISE: [&str; 7] = [
        "x-forwarded-",
        "x-request-id:",
        "x-real-ip:",
        "forwarded:",
        "via:",
        "date:",
        "host: test\\r",
    ];
    let line = line.to_ascii_lowercase();
    NOISE.iter().any(|noise| line.starts_with(noise))
}
