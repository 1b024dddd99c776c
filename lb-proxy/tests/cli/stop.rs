//! Signals: a request that is in flight is finished, or cut off if somebody insists.

use std::{
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
};

use lb_proxy::demo::{DemoBackend, DemoOptions};
use rustix::process::Signal;

use crate::{
    client::{Answer, get},
    process::{Lb, eventually, file},
};

/// A balancer with a request in flight that takes a second.
struct Busy {
    lb: Lb,
    address: SocketAddr,
    request: JoinHandle<Answer>,
    _backend: DemoBackend,
}

fn busy(settings: &str) -> Busy {
    let backend = DemoOptions::named("slow").start().expect("a free port");
    let file =
        file(&format!("listen = \"127.0.0.1:0\"\nto = [\"{}\"]\n{settings}", backend.address()));
    let lb = Lb::start(&["run", "--config", &file]);
    let address = lb.address();
    let request = thread::spawn(move || get(address, "/delay/1s"));
    eventually("the request has reached the backend", || backend.requests() == 1);
    Busy { lb, address, request, _backend: backend }
}

#[test]
fn term_takes_no_new_connections_and_finishes_what_is_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut busy = busy("");
        busy.lb.signal(signal);
        eventually("no new connections", || TcpStream::connect(busy.address).is_err());
        let answer = busy.request.join().expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(busy.lb.wait().code(), Some(0));
    }
}

#[test]
fn a_drain_ends_with_timeout_shutdown() {
    let mut busy = busy("timeout = { shutdown = \"0s\" }");
    busy.lb.signal(Signal::TERM);
    assert_eq!(busy.lb.wait().code(), Some(0));
    assert!(busy.request.join().is_err(), "the request was cut off");
}

#[test]
fn quit_drains_without_that_limit() {
    let mut busy = busy("timeout = { shutdown = \"0s\" }");
    busy.lb.signal(Signal::QUIT);
    assert_eq!(busy.request.join().expect("an answer").status, 200);
    assert_eq!(busy.lb.wait().code(), Some(0));
}

#[test]
fn a_second_signal_cuts_off() {
    let mut busy = busy("");
    busy.lb.signal(Signal::TERM);
    eventually("the drain has begun", || TcpStream::connect(busy.address).is_err());
    busy.lb.signal(Signal::TERM);
    assert_eq!(busy.lb.wait().code(), Some(130));
    assert!(busy.request.join().is_err(), "the request was cut off");
}
