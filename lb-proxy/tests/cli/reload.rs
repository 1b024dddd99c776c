//! What a running balancer takes up: a changed file, other nodes, failing backends.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use lb_proxy::demo::{DemoBackend, DemoOptions};
use rustix::process::Signal;

use crate::{
    client::{expect, get, shares},
    process::{Lb, eventually, file, folder, lb},
};

fn backends() -> [DemoBackend; 2] {
    ["a", "b"].map(|name| DemoOptions::named(name).start().expect("a free port"))
}

/// A round-robin cluster of these, with these weights.
fn weighted(backends: &[DemoBackend], weights: &[u32], more: &str) -> String {
    let entries: Vec<String> = backends
        .iter()
        .zip(weights)
        .map(|(backend, weight)| {
            format!("{{ address = \"{}\", weight = {weight} }}", backend.address())
        })
        .collect();
    format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"c\"\n\
         [cluster.c]\nstrategy = \"round-robin\"\n{more}\nbackends = [{}]\n",
        entries.join(", ")
    )
}

fn name_of(lb: &Lb) -> String {
    let answer: serde_json::Value =
        serde_json::from_str(&get(lb.address(), "/").body).unwrap_or_default();
    answer["name"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_changed_file_is_served_after_a_hup_on_the_same_port() {
    let backends = backends();
    let file = file(&weighted(&backends, &[1, 1], ""));
    let lb = Lb::start(&["run", "--config", &file]);
    expect(&shares(lb.address(), "/", 20), &[("a", 10), ("b", 10)]);
    fs::write(&*file, weighted(&backends, &[3, 1], "")).expect("a file");
    lb.signal(Signal::HUP);
    eventually("the weights are in force", || {
        let shares = shares(lb.address(), "/", 8);
        shares.get("a") == Some(&6)
    });
}

#[test]
fn a_broken_file_is_explained_and_changes_nothing() {
    let backends = backends();
    let file = file(&weighted(&backends, &[1, 1], ""));
    let mut lb = Lb::start(&["run", "--config", &file]);
    for broken in ["listen = [", "to = []\nwieght = 1\n"] {
        fs::write(&*file, broken).expect("a file");
        lb.signal(Signal::HUP);
        expect(&shares(lb.address(), "/", 10), &[("a", 5), ("b", 5)]);
    }
    // Signals of one kind may be merged; what is told in the end is not.
    fs::write(&*file, weighted(&backends, &[9, 1], "")).expect("a file");
    lb.signal(Signal::HUP);
    eventually("the good one is in force", || shares(lb.address(), "/", 10).get("a") == Some(&9));
    let log = lb.stderr();
    assert!(log.contains("not reloaded; the configuration before is still served"), "{log}");
    assert!(log.contains("nothing was changed"), "{log}");
    assert!(log.contains("rejected_so_far=1"), "{log}");
    assert!(log.contains("reloaded: clusters: changed c; routes: as before"), "{log}");
}

#[test]
fn a_cluster_may_begin_with_nobody() {
    let backends = backends();
    let file = file(&weighted(&[], &[], ""));
    let lb = Lb::start(&["run", "--config", &file]);
    assert_eq!(get(lb.address(), "/").status, 503);
    fs::write(&*file, weighted(&backends, &[1, 1], "")).expect("a file");
    lb.signal(Signal::HUP);
    eventually("somebody is there", || get(lb.address(), "/").status == 200);
}

#[test]
fn the_access_log_is_opened_again_by_its_name() {
    let backends = backends();
    let folder = folder();
    let (log, old) = (folder.join("access.log"), folder.join("access.log.1"));
    let access = format!("\n[log]\naccess = {{ to = \"{}\" }}\n", log.display());
    let file = file(&(weighted(&backends, &[1, 1], "") + &access));
    let lb = Lb::start(&["run", "--config", &file]);
    get(lb.address(), "/first");
    let has = |path, what: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(what));
    eventually("the first is logged", || has(&log, "GET /first "));
    fs::rename(&log, &old).expect("a file");
    lb.signal(Signal::USR1);
    eventually("there is a new file", || log.exists());
    get(lb.address(), "/second");
    eventually("the second is logged", || has(&log, "GET /second "));
    assert!(!has(&old, "GET /second "));
}

#[test]
fn nodes_come_and_go_with_their_files() {
    let backends = backends();
    let nodes = folder();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"c\"\n\
         [cluster.c]\ndiscover = {{ file = \"{}\" }}\n",
        nodes.display()
    );
    let file = file(&text);
    let lb = Lb::start(&["run", "--config", &file]);
    assert_eq!(get(lb.address(), "/").status, 503);
    let node = |backend: &DemoBackend| {
        format!("{} {}\n", backend.address().ip(), backend.address().port())
    };
    for backend in &backends {
        fs::write(nodes.join(backend.name()), node(backend)).expect("a node file");
    }
    eventually("both are used", || {
        let names = [name_of(&lb), name_of(&lb)];
        names.contains(&"a".to_owned()) && names.contains(&"b".to_owned())
    });
    fs::remove_file(nodes.join("a")).expect("a node file");
    eventually("one is left", || {
        let mut names = (0..6).map(|_| name_of(&lb));
        names.all(|name| name == "b")
    });
    fs::write(nodes.join("b"), "junk").expect("a node file");
    assert_eq!(name_of(&lb), "b", "what was known of it holds");
}

#[test]
fn a_node_that_is_kept_is_kept_by_a_reload_too() {
    let backends = backends();
    let third = DemoOptions::named("c").start().expect("a free port");
    let nodes = folder();
    let text = |listed: &str| {
        format!(
            "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"c\"\n\
             [cluster.c]\nstrategy = \"round-robin\"\nbackends = [{listed}]\n\
             discover = {{ file = \"{}\" }}\n",
            nodes.display()
        )
    };
    for backend in &backends {
        let address = backend.address().to_string();
        fs::write(nodes.join(backend.name()), address).expect("a node file");
    }
    let file = file(&text(""));
    let lb = Lb::start(&["run", "--config", &file]);
    expect(&shares(lb.address(), "/", 10), &[("a", 5), ("b", 5)]);
    fs::write(nodes.join("b"), "junk").expect("a node file");
    fs::write(&*file, text(&format!("\"{}\"", third.address()))).expect("a file");
    lb.signal(Signal::HUP);
    eventually("the third is used", || name_of(&lb) == "c");
    expect(&shares(lb.address(), "/", 15), &[("a", 5), ("b", 5), ("c", 5)]);
}

#[test]
fn a_variable_lists_backends() {
    let backends = backends();
    let text = "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"c\"\n\
                [cluster.c]\nstrategy = \"round-robin\"\ndiscover = { env = \"NODES\" }\n";
    let file = file(text);
    let nodes = format!("{} {}", backends[0].address(), backends[1].address());
    let lb = Lb::spawn(lb(&["run", "--config", &file]).env("NODES", nodes));
    expect(&shares(lb.address(), "/", 10), &[("a", 5), ("b", 5)]);
}

#[test]
fn a_backend_that_dies_is_down_with_its_reason_and_costs_no_request() {
    let [a, b] = backends();
    let (address, both) = (a.address(), [a, b]);
    let health = "health = { path = \"/\", interval = \"50ms\", timeout = \"1s\", fall = 2 }";
    let file = file(&weighted(&both, &[1, 1], health));
    let mut lb = Lb::start(&["run", "--config", &file]);
    expect(&shares(lb.address(), "/", 10), &[("a", 5), ("b", 5)]);
    let [a, _b] = both;
    a.stop();
    eventually("the other has it all", || shares(lb.address(), "/", 10).get("b") == Some(&10));
    let _a = DemoOptions::named("a").bind(address).start().expect("its old port");
    eventually("it is back", || shares(lb.address(), "/", 10).get("a") == Some(&5));
    // It tells after it has acted; an orderly end has all of it written.
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
    let log = lb.stderr();
    let told = |level: &str, reason: &str| {
        let words = [level, "health changed", "reason=", reason];
        log.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(told(" WARN ", "in a row failed"), "{log}");
    assert!(told(" INFO ", "checks in a row passed"), "{log}");
}

#[test]
fn that_failing_backends_are_used_is_a_warning() {
    let backends = backends();
    let logs = folder();
    let access = logs.join("access.log");
    let log =
        format!("\n[log]\naccess = {{ to = \"{}\", format = \"$picked_by\" }}\n", access.display());
    let file = file(&(weighted(&backends, &[1, 1], "") + &log));
    let mut lb = Lb::start(&["run", "--config", &file]);
    backends.into_iter().for_each(DemoBackend::stop);
    eventually("they are used although they fail", || {
        get(lb.address(), "/");
        fs::read_to_string(&access).is_ok_and(|text| text.contains("panic"))
    });
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
    let log = lb.stderr();
    let words = [" WARN ", "failing backends are used", "0 of 2 usable, threshold 0 %"];
    let is_told = |line: &str| words.iter().all(|word| line.contains(word));
    assert_eq!(log.lines().filter(|line| is_told(line)).count(), 1, "{log}");
}

#[test]
fn usr2_is_no_reason_to_end() {
    let backends = backends();
    let file = file(&weighted(&backends, &[1, 1], ""));
    let mut lb = Lb::start(&["run", "--config", &file]);
    lb.signal(Signal::USR2);
    assert_eq!(get(lb.address(), "/").status, 200);
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
    assert!(lb.stderr().contains("cannot hand over to another"), "it says so");
}

#[test]
fn a_client_of_a_node_whose_name_no_cookie_can_carry_stays_there() {
    let backends = backends();
    let nodes = folder();
    for backend in &backends {
        let node = format!("{} {}\n", backend.address().ip(), backend.address().port());
        fs::write(nodes.join(format!("büro-{}", backend.name())), node).expect("a node file");
    }
    let file = file(&format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"c\"\n[cluster.c]\n\
         strategy = \"round-robin\"\ndiscover = {{ file = \"{}\" }}\n\
         sticky = {{ cookie = \"LB\", value = \"name\" }}\n",
        nodes.display()
    ));
    let lb = Lb::start(&["run", "--config", &file]);
    let ask = |cookie: &str| {
        let mut stream = TcpStream::connect(lb.address()).expect("it listens");
        let request =
            format!("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a whole answer");
        answer
    };
    let first = ask("");
    let (_, cookie) = first.split_once("LB=").expect("a cookie");
    let cookie = format!("LB={}", cookie.split(';').next().expect("a value"));
    for _ in 0..4 {
        assert!(!ask(&cookie).contains("LB="), "{cookie} is known");
    }
}

#[test]
fn another_level_holds_after_a_hup_unless_the_environment_says() {
    let backends = backends();
    let text =
        |level: &str| weighted(&backends, &[1, 1], "") + &format!("\n[log]\nlevel = \"{level}\"\n");
    for (said, is_told) in [("", true), ("error", false)] {
        let file = file(&text("error"));
        let mut lb = Lb::spawn(lb(&["run", "--config", &file]).env("LB_LOG", said));
        let changed = text("info").replace("weight = 1 },", "weight = 9 },");
        fs::write(&*file, changed).expect("a file");
        lb.signal(Signal::HUP);
        eventually("the file is in force", || shares(lb.address(), "/", 10).get("a") == Some(&9));
        lb.signal(Signal::TERM);
        lb.wait();
        let log = lb.stderr();
        assert_eq!(log.contains("reloaded: "), is_told, "{said}: {log}");
    }
}

#[test]
fn a_backend_that_answers_500_is_ejected_and_the_log_says_why() {
    let bad = DemoOptions::named("a").status(http::StatusCode::INTERNAL_SERVER_ERROR);
    let bad = bad.start().expect("a free port");
    let both = [bad, DemoOptions::named("b").start().expect("a free port")];
    let file = file(&weighted(&both, &[1, 1], "outlier = { eject = \"10m\" }"));
    let mut lb = Lb::start(&["run", "--config", &file]);
    eventually("the other has it all", || (0..10).all(|_| get(lb.address(), "/").status == 200));
    lb.signal(Signal::TERM);
    assert_eq!(lb.wait().code(), Some(0));
    let log = lb.stderr();
    let words =
        [" WARN ", "health changed", "reason=5 requests in a row failed, the last: status 500"];
    assert!(log.lines().any(|line| words.iter().all(|word| line.contains(word))), "{log}");
}
