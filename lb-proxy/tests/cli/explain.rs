//! `lb explain`

use std::process::Output;

use crate::process::{File, file, finish, lb, text};

fn two_clusters() -> File {
    file(
        r#"
        [[route]]
        host = "www.example.org"
        path = "/api/"
        strip = true
        to = "dynamic"
        [[route]]
        host = "www.example.org"
        to = "static"
        [cluster.static]
        sticky = { cookie = "ROUTEID", value = "name" }
        backends = [
          { address = "127.0.0.1:9001", name = "s1" },
          { address = "127.0.0.1:9002", name = "s2" },
        ]
        [cluster.dynamic]
        strategy = "ip-hash"
        backends = ["127.0.0.1:9003", "127.0.0.1:9004"]
        "#,
    )
}

fn explain(file: &str, args: &[&str]) -> Output {
    finish(&mut lb(&[&["explain", "--config", file], args].concat()))
}

#[test]
fn the_route_that_wins_and_why_the_others_lose_are_told() {
    let file = two_clusters();
    let output = explain(&file, &["GET", "/api/x", "-H", "Host: www.example.org"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[1].starts_with("> route    www.example.org /api/  to dynamic"), "{stdout}");
    assert!(lines[2].contains("would match, but a route before it does"), "{stdout}");
    assert!(stdout.contains("cluster  dynamic: ip-hash"), "{stdout}");
    assert!(stdout.contains("the client's address belongs there"), "{stdout}");
    assert!(stdout.ends_with("  target   /x\n"), "{stdout}");
}

#[test]
fn a_host_without_a_route_is_told_and_fails() {
    let file = two_clusters();
    let output = explain(&file, &["GET", "/", "-H", "Host: other.example.org"]);
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("the host is not www.example.org"), "{stdout}");
    assert!(stdout.contains("answer   421"), "{stdout}");
}

#[test]
fn a_cookie_names_its_backend() {
    let file = two_clusters();
    let host = ["-H", "Host: www.example.org"];
    let with = |cookie: &str| {
        let header = format!("Cookie: {cookie}");
        let args = [&["GET", "/", "--json", "-H", &header][..], &host].concat();
        let output = explain(&file, &args);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let bound = with("a=b; ROUTEID=.s2");
    assert_eq!((&bound["cluster"], &bound["backend"]["name"]), (&"static".into(), &"s2".into()));
    let gone = with("ROUTEID=.s9");
    assert_eq!(gone["backend"], serde_json::Value::Null);
    assert_eq!(gone["sticky"], "`ROUTEID` says s9");
}

#[test]
fn the_backend_of_an_address_is_the_same_every_time() {
    let file = two_clusters();
    let pick = |client: &str| {
        let args = ["GET", "/api/", "--json", "-H", "Host: www.example.org", "--client", client];
        let output = explain(&file, &args);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["backend"]["name"].as_str().expect("a backend").to_owned()
    };
    assert_eq!(pick("192.0.2.1"), pick("192.0.2.77"), "ip-hash goes by the first three bytes");
    let picked: std::collections::BTreeSet<String> =
        (0..16).map(|net| pick(&format!("192.0.{net}.1"))).collect();
    assert_eq!(picked.len(), 2);
}

#[test]
fn a_path_with_two_meanings_is_refused_as_it_would_be() {
    let output = explain(&two_clusters(), &["GET", "/a/..;/b", "-H", "Host: www.example.org"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("answer   400"), "{}", text(&output.stdout));
}
