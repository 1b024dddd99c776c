//! A balancer that stood still itself, as a suspended process does.

use std::{
    thread,
    time::{Duration, Instant},
};

use lb_proxy::demo::DemoOptions;
use rustix::process::Signal;

use crate::{
    client::get,
    process::{Lb, eventually, file},
};

/// More clients than failures that eject a backend.
const CLIENTS: u64 = 20;

#[test]
fn a_balancer_that_stood_still_blames_nobody_for_it() {
    let backend = DemoOptions::named("a").start().expect("a free port");
    let file = file(&format!(
        "listen = \"127.0.0.1:0\"\nto = [\"{}\"]\n\
         [defaults]\n\
         timeout = {{ first_byte = \"1s\", connect = \"1s\", idle = \"1s\" }}\n",
        backend.address()
    ));
    let mut lb = Lb::start(&["run", "--config", &file, "--workers", "1"]);
    let address = lb.address();
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| thread::spawn(move || get(address, "/delay/400ms"))).collect();
    eventually("all requests are with the backend", || backend.requests() == CLIENTS);
    lb.signal(Signal::STOP);
    // The standstill: longer than the limits, which the answers of the backend are not.
    let stopped = Instant::now();
    eventually("limits have passed", || stopped.elapsed() > Duration::from_secs(2));
    lb.signal(Signal::CONT);
    for client in clients {
        assert_eq!(client.join().expect("an answer").status, 200);
    }
    assert_eq!(get(address, "/").status, 200, "nobody was ejected");
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
    let log = lb.stderr();
    assert!(!log.contains("ejected"), "{log}");
}
