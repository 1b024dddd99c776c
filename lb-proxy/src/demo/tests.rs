//! Over plain sockets, so that what is on the wire is what is tested.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::*;

fn ask(stream: &mut TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).expect("a backend that listens");
}

/// One request on a connection of its own; the head, and the body that came.
fn fetch(backend: &DemoBackend, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(backend.address()).expect("a backend that listens");
    ask(&mut stream, request);
    let mut answer = Vec::new();
    // A reset at the end of a truncated body is fine: what came before is kept.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).expect("a head in ASCII").to_lowercase(), body)
}

fn get(backend: &DemoBackend, path: &str) -> (String, Vec<u8>) {
    fetch(backend, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

fn is_pattern(body: &[u8]) -> bool {
    body.iter().zip(0..).all(|(byte, at)| *byte == pattern_byte(at))
}

#[test]
fn an_answer_says_who_gave_it() {
    let backend = DemoOptions::named("s\"1").start().expect("a free port");
    get(&backend, "/first");
    let (head, body) = get(&backend, "/a/b?c=d");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let port = backend.address().port();
    let expected = format!(
        "{{\"name\":\"s\\\"1\",\"port\":{port},\"count\":2,\"method\":\"GET\",\"path\":\"/a/b?c=d\"}}\n"
    );
    assert_eq!(String::from_utf8_lossy(&body), expected);
    assert_eq!((backend.requests(), backend.connections()), (2, 2));
}

#[test]
fn bodies_are_the_pattern_in_either_framing() {
    let backend = DemoOptions::named("b").start().expect("a free port");
    let (head, body) = get(&backend, "/bytes/200000");
    assert!(head.contains("content-length: 200000"), "{head}");
    assert!(body.len() == 200_000 && is_pattern(&body));
    let (head, body) = get(&backend, "/chunked/10");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(body.starts_with(b"A\r\n") || body.starts_with(b"a\r\n"), "{body:?}");
    assert!(is_pattern(&body[3..13]));
    assert!(get(&backend, "/bytes/x").0.starts_with("http/1.1 400"));
}

#[test]
fn a_truncated_body_is_half_of_what_was_promised() {
    let backend = DemoOptions::named("t").start().expect("a free port");
    for length in [1_000_usize, 1_000_000] {
        let (head, body) = get(&backend, &format!("/truncate/{length}"));
        assert!(head.contains(&format!("content-length: {length}")), "{head}");
        assert!(body.len() == length / 2 && is_pattern(&body), "{} bytes came", body.len());
    }
}

#[test]
fn echo_returns_what_was_sent() {
    let backend = DemoOptions::named("e").start().expect("a free port");
    let (_, body) = fetch(
        &backend,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    );
    assert_eq!(body, b"hello");
    assert!(get(&backend, "/echo").0.starts_with("http/1.1 405"));
}

#[test]
fn headers_are_told_back_each_with_all_its_values() {
    let backend = DemoOptions::named("h").start().expect("a free port");
    let (_, body) = fetch(
        &backend,
        "GET /headers HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\nConnection: close\r\n\r\n",
    );
    let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(told["headers"]["a"], serde_json::json!(["1", "2"]));
    assert_eq!(told["target"], "/headers");
}

#[test]
fn statuses_and_delays_are_as_asked_for() {
    let backend = DemoOptions::named("x")
        .status(http::StatusCode::SERVICE_UNAVAILABLE)
        .start()
        .expect("a free port");
    assert!(get(&backend, "/").0.starts_with("http/1.1 503"));
    assert!(get(&backend, "/status/418").0.starts_with("http/1.1 418"));
    assert!(get(&backend, "/status/204").0.starts_with("http/1.1 204"));
    assert!(get(&backend, "/status/100").0.starts_with("http/1.1 400"));
    assert!(get(&backend, "/delay/soon").0.starts_with("http/1.1 400"));
    let before = std::time::Instant::now();
    get(&backend, "/delay/30ms");
    assert!(before.elapsed() >= std::time::Duration::from_millis(30));
}

#[test]
fn keep_alive_connections_are_closed_after_they_served_something() {
    let backend = DemoOptions::named("i").close_idle(7).start().expect("a free port");
    for _ in 0..10 {
        let mut stream = TcpStream::connect(backend.address()).expect("a backend that listens");
        let mut answer = [0; 1024];
        let mut answered = 0;
        loop {
            if stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").is_err() {
                break;
            }
            match stream.read(&mut answer) {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
                    assert!(answer.starts_with("http/1.1 200"), "{answer}");
                    answered += 1;
                }
            }
        }
        // A request that comes while the connection waits for its idle moment is answered too,
        // so there is no upper bound in requests; there is one in time, which ended the loop.
        assert!(answered >= 1, "closed before it had served anything");
    }
}

#[test]
fn a_stopped_backend_refuses() {
    let backend = DemoOptions::named("gone").start().expect("a free port");
    let address = backend.address();
    backend.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_backend_says_how_loaded_it_is_if_it_is_told_to() {
    let silent = DemoOptions::named("b").start().expect("a free port");
    assert!(!get(&silent, "/").0.contains("endpoint-load-metrics"));
    let backend = DemoOptions::named("b").report_load().start().expect("a free port");
    let (head, _) = get(&backend, "/delay/30ms");
    assert!(head.contains("named_metrics.rif=1,"), "itself: {head}");
    let mut waiting = TcpStream::connect(backend.address()).expect("a backend that listens");
    ask(&mut waiting, "GET /delay/1m HTTP/1.1\r\nHost: x\r\n\r\n");
    while backend.requests() < 2 {
        std::thread::yield_now();
    }
    let (head, body) = get(&backend, "/load");
    assert!(head.contains("endpoint-load-metrics: text application_utilization=0."), "{head}");
    let said: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(said["in_flight"], 1);
    let latency = said["latency"].as_f64().expect("a number");
    assert!((0.03..10.0).contains(&latency), "{latency}");
    assert!(said["utilization"].as_f64().is_some_and(|share| share > 0.0 && share < 1.0));
    assert_eq!(backend.requests(), 2, "what asks for the load is no request");
}
