//! `lb demo`

use std::{fs, net::TcpListener};

use crate::{
    client::{expect, get, shares},
    process::{Lb, finish, folder, lb, text},
};

#[test]
fn the_demo_proves_what_it_claims_and_writes_it_down() {
    let folder = folder();
    let report = folder.join("report.md");
    let path = report.to_str().expect("a printable path");
    // What was set for `lb run` is not meant for the demo.
    let output = finish(lb(&["demo", "--check", "--report", path]).env("LB_LISTEN", "127.0.0.1:1"));
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let table = text(&output.stdout);
    assert_eq!(table.matches("ok   ").count(), table.lines().count(), "{table}");
    assert!(table.contains("d1 50, d2 50") && table.contains(" 0 lost"), "{table}");
    let report = fs::read_to_string(report).expect("a report");
    assert!(report.contains("| round-robin is exact | d1 50, d2 50 | ok |"), "{report}");
    assert!(report.contains("[cluster.static]"), "{report}");
}

#[test]
fn the_demo_serves_two_clusters_until_it_is_stopped() {
    let mut demo = Lb::start(&["demo", "--listen", "127.0.0.1:0"]);
    expect(&shares(demo.address(), "/api/x", 10), &[("d1", 5), ("d2", 5)]);
    assert!(get(demo.address(), "/").body.contains("\"name\":\"s"));
    demo.signal(rustix::process::Signal::INT);
    assert_eq!(demo.wait().code(), Some(0));
}

#[test]
fn a_demo_whose_port_is_taken_says_how_to_choose_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    let output = finish(&mut lb(&["demo", "--listen", &address]));
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains(&address) && stderr.contains("lb demo --listen 127.0.0.1:0"),
        "{stderr}"
    );
}
