//! Answers that two readers could read differently: what a backend sent, what the
//! client got. The same kind of record, in `answers.txt`; the client must be able
//! to tell where each answer ends, or see that it broke off.

use std::{fs, io::Read, path::Path, thread};

use super::{
    case::{Case, escape, read_cases, write_cases},
    is_noise, strict,
};
use crate::support::{Client, Origin, proxy};

#[test]
fn no_answer_is_read_in_two_ways() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/raw_bytes/answers.txt");
    let cases = read_cases(&fs::read_to_string(&record).unwrap());
    assert!(cases.len() >= 20, "{} cases", cases.len());
    let seen: Vec<Case> = thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| run(case))).collect();
        running.into_iter().map(|case| case.join().unwrap()).collect()
    });
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&record, write_cases(&seen)).unwrap();
        return;
    }
    for (expected, seen) in cases.iter().zip(&seen) {
        assert_eq!(expected, seen, "{}", seen.title);
    }
}

/// Has a backend send the case to one request, and close.
fn run(case: &Case) -> Case {
    let answer = case.sent.clone();
    let origin = Origin::new(move |peer| {
        if peer.request().is_some() {
            peer.send(&answer);
        }
    });
    let proxied = proxy(&[origin.address]);
    let mut client = Client::connect(proxied.address);
    client.send("GET /a HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let mut got = Vec::new();
    let end = match client.stream.read_to_end(&mut got) {
        Ok(_) => "closed",
        Err(_) => "reset",
    };
    let length = strict::answer(&got).unwrap_or_else(|why| panic!("{}: {why}", case.title));
    let whole = length.is_some_and(|length| length == got.len());
    let mut client: Vec<String> = escape(&got).into_iter().filter(|line| !is_noise(line)).collect();
    if client.first().is_some_and(|line| line.contains(" 502 ")) {
        client.truncate(1);
    }
    client.push(format!("[{}, {end}]", if whole { "whole" } else { "broken off" }));
    Case { title: case.title.clone(), sent: case.sent.clone(), backend: Vec::new(), client }
}
