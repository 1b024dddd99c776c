//! `lb run`: where its backends come from, and how requests are shared among them.

use std::{
    fs,
    io::{Read as _, Write as _},
};

use lb_proxy::demo::{DemoBackend, DemoOptions};

use crate::{
    client::{expect, get, shares, shares_of_many},
    process::{Lb, file, finish, folder, lb, text},
};

fn backend(name: &str) -> (DemoBackend, String) {
    let backend = DemoOptions::named(name).start().expect("a free port");
    let address = backend.address().to_string();
    (backend, address)
}

#[test]
fn round_robin_is_exact_with_one_worker_and_with_two() {
    for workers in ["1", "2"] {
        let ((_a, a), (_b, b)) = (backend("a"), backend("b"));
        let lb = Lb::start(&[
            "run",
            "--to",
            &a,
            "--to",
            &b,
            "--strategy",
            "round-robin",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            workers,
        ]);
        assert!(lb.start_line.contains(&format!("; {workers} worker")), "{}", lb.start_line);
        expect(&shares(lb.address(), "/", 100), &[("a", 50), ("b", 50)]);
    }
}

#[test]
fn weights_are_exact_under_concurrent_clients() {
    for workers in ["1", "2"] {
        let ((_a, a), (_b, b)) = (backend("a"), backend("b"));
        let heavy = format!("{a};weight=3");
        let lb = Lb::start(&[
            "run",
            "--to",
            &heavy,
            "--to",
            &b,
            "--strategy",
            "round-robin",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            workers,
        ]);
        expect(&shares_of_many(lb.address(), "/", 8, 50), &[("a", 300), ("b", 100)]);
    }
}

#[test]
fn a_file_has_routes_and_clusters() {
    let ((_s, s), (_d1, d1), (_d2, d2)) = (backend("s"), backend("d1"), backend("d2"));
    let file = file(&format!(
        r#"
        listen = "127.0.0.1:0"
        workers = 1
        [[route]]
        to = "static"
        [[route]]
        path = "/api"
        to = "dynamic"
        [cluster.static]
        backends = ["{s}"]
        [cluster.dynamic]
        strategy = "round-robin"
        backends = [{{ address = "{d1}", weight = 3 }}, "{d2}"]
        "#
    ));
    let lb = Lb::start(&["run", "--config", &file]);
    for part in
        [&file as &str, "static (least-conn, 1 backend)", "dynamic (round-robin, 2 backends)"]
    {
        assert!(lb.start_line.contains(part), "{}", lb.start_line);
    }
    expect(&shares(lb.address(), "/api/x", 40), &[("d1", 30), ("d2", 10)]);
    expect(&shares(lb.address(), "/api", 4), &[("d1", 3), ("d2", 1)]);
    expect(&shares(lb.address(), "/apiary", 3), &[("s", 3)]);
}

#[test]
fn flags_win_over_the_file_and_may_come_from_the_environment() {
    let ((_a, a), (_b, b)) = (backend("a"), backend("b"));
    let file = file(&format!("listen = \"127.0.0.1:1\"\nworkers = 7\nto = [\"{a}\", \"{b}\"]"));
    let lb = Lb::spawn(
        lb(&["run", "--strategy", "rr"])
            .env("LB_CONFIG", &*file)
            .env("LB_LISTEN", "127.0.0.1:0")
            .env("LB_WORKERS", "2"),
    );
    assert!(
        lb.start_line.contains("default (round-robin, 2 backends); 2 workers"),
        "{}",
        lb.start_line
    );
    expect(&shares(lb.address(), "/", 10), &[("a", 5), ("b", 5)]);
}

#[test]
fn backends_may_come_from_one_variable() {
    let ((_a, a), (_b, b)) = (backend("a"), backend("b"));
    let lb = Lb::spawn(
        lb(&["run", "--listen", "127.0.0.1:0", "--strategy", "round-robin"])
            .env("LB_TO", format!("{a} {b}")),
    );
    expect(&shares(lb.address(), "/", 10), &[("a", 5), ("b", 5)]);
}

#[test]
fn a_cluster_without_backends_answers_503() {
    let file = file("listen = \"127.0.0.1:0\"\nto = []");
    let lb = Lb::start(&["run", "--config", &file]);
    assert_eq!(get(lb.address(), "/").status, 503);
}

#[test]
fn nothing_to_go_by_is_answered_with_two_lines_to_write() {
    let output = finish(&mut lb(&["run"]));
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    for part in ["lb run --to", "listen = \"127.0.0.1:8080\"\n  to = [", "/etc/lb/lb.toml"] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn a_broken_file_starts_nothing() {
    let file = file("listen = \"127.0.0.1:0\"\nto = [\"web\"]");
    let output = finish(&mut lb(&["run", "--config", &file]));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    assert!(text(&output.stderr).contains("the port is missing"));
}

#[test]
fn backends_come_from_one_place() {
    let typed = finish(&mut lb(&["run", "--to", "127.0.0.1:1", "--config", "x.toml"]));
    assert_eq!(typed.status.code(), Some(2));
    assert!(text(&typed.stderr).contains("cannot be used with"), "{}", text(&typed.stderr));
    let set = finish(lb(&["run"]).env("LB_CONFIG", "x.toml").env("LB_TO", "127.0.0.1:1"));
    assert_eq!(set.status.code(), Some(2));
    assert!(text(&set.stderr).contains("not from both"), "{}", text(&set.stderr));
}

#[test]
fn what_was_typed_wins_over_every_variable() {
    let (_a, a) = backend("a");
    let by_flag = Lb::spawn(
        lb(&["run", "--to", &a, "--listen", "127.0.0.1:0"]).env("LB_CONFIG", "/nowhere/lb.toml"),
    );
    expect(&shares(by_flag.address(), "/", 2), &[("a", 2)]);
    let file = file(&format!("listen = \"127.0.0.1:0\"\nto = [\"{a}\"]"));
    let by_file = Lb::spawn(lb(&["run", "--config", &file]).env("LB_TO", "127.0.0.1:1"));
    expect(&shares(by_file.address(), "/", 2), &[("a", 2)]);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let (_a, a) = backend("a");
    let mut command = lb(&["run", "--to", &a, "--listen", "127.0.0.1:0"]);
    for name in
        ["LB_TO", "LB_CONFIG", "LB_LISTEN", "LB_STRATEGY", "LB_STICKY", "LB_WORKERS", "LB_LOG"]
    {
        command.env(name, "");
    }
    let lb = Lb::spawn(&mut command);
    expect(&shares(lb.address(), "/", 2), &[("a", 2)]);
    let nothing = finish(crate::process::lb(&["run"]).env("LB_TO", ""));
    assert!(text(&nothing.stderr).contains("no backends"), "{}", text(&nothing.stderr));
}

#[test]
fn a_mistake_in_a_variable_is_blamed_on_the_variable() {
    for (name, value) in [
        ("LB_WORKERS", "many"),
        ("LB_LISTEN", "8080"),
        ("LB_STRATEGY", "fastest"),
        ("LB_TO", "web"),
    ] {
        let mut command = lb(&["run"]);
        if name != "LB_TO" {
            command.env("LB_TO", "127.0.0.1:1");
        }
        let output = finish(command.env(name, value));
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with(&format!("error: `{name}")) && stderr.contains(value),
            "{stderr}"
        );
    }
}

#[test]
fn nobody_to_balance_over_is_refused() {
    for nobody in ["", " ,"] {
        let output = finish(&mut lb(&["run", "--to", nobody, "--listen", "127.0.0.1:0"]));
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("names no backend"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_backend_that_is_the_balancer_itself_is_refused_wherever_it_comes_from() {
    let listening = file("listen = \"127.0.0.1:1\"\nto = [\"127.0.0.1:9\"]");
    for mut command in [
        lb(&["run", "--to", "127.0.0.1:8080"]),
        lb(&["run", "--to", "[::ffff:127.0.0.1]:9", "--listen", ":9"]),
        lb(&["run", "--config", &listening, "--listen", "localhost:9"]),
    ] {
        let output = finish(&mut command);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("this balancer itself"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_flag_for_where_to_listen_replaces_all_listeners_and_says_so() {
    let (_a, a) = backend("a");
    let file = file(&format!(
        "to = [\"{a}\"]\n[[listener]]\nbind = \"127.0.0.1:1\"\n[[listener]]\nbind = \":2\""
    ));
    let mut lb = Lb::start(&["run", "--config", &file, "--listen", "127.0.0.1:0"]);
    assert_eq!(lb.start_line.matches("http://").count(), 1, "{}", lb.start_line);
    let stderr = lb.stderr();
    assert!(stderr.contains("left out: `127.0.0.1:1`, `0.0.0.0:2`"), "{stderr}");
}

#[test]
fn a_key_may_be_typed_or_come_from_the_environment() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let to: Vec<&str> = backends.iter().flat_map(|(_, address)| ["--to", address]).collect();
    let args = [&["run", "--listen", "127.0.0.1:0", "--strategy", "ring"], &to[..]].concat();
    let by_path = Lb::start(&[&args[..], &["--key", "path"]].concat());
    let by_query = Lb::spawn(lb(&args).env("LB_KEY", "query:id"));
    // Of 32 keys all go to one of three backends once in 3^31 times.
    let of = |lb: &Lb, path: &dyn Fn(u32) -> String| {
        let shares = (0..32).map(|number| shares(lb.address(), &path(number), 2));
        shares.collect::<Vec<_>>()
    };
    for (lb, path) in [
        (&by_path, &(|number| format!("/{number}?id=1")) as &dyn Fn(u32) -> String),
        (&by_query, &|number| format!("/?id={number}")),
    ] {
        let shares = of(lb, path);
        assert!(shares.iter().all(|share| share.len() == 1), "{shares:?}");
        assert!(shares.iter().any(|share| *share != shares[0]), "{shares:?}");
    }
    let shares = of(&by_query, &|number| format!("/{number}?id=1"));
    assert!(shares.iter().all(|share| *share == shares[0]), "{shares:?}");
}

#[test]
fn a_key_that_nobody_picks_by_is_refused() {
    let to = ["run", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0"];
    for (args, expected) in [
        (
            &["--key", "uri"][..],
            "`least-conn` does not pick by a key; strategies by key: `ip-hash`",
        ),
        (&["--key", "uri", "--strategy", "ip-hash"], "picks by the client's address"),
        (&["--key", "user", "--strategy", "maglev"], "`user` is not a key"),
    ] {
        let output = finish(&mut lb(&[&to[..], args].concat()));
        let stderr = text(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn a_flag_for_the_strategy_wins_in_every_cluster() {
    let file = file(
        r#"
        listen = "127.0.0.1:0"
        to = ["127.0.0.1:1"]
        [[route]]
        path = "/x"
        to = "x"
        [cluster.x]
        strategy = "first"
        backends = []
        "#,
    );
    let lb = Lb::start(&["run", "--config", &file, "--strategy", "p2c"]);
    for part in ["default (p2c,", "x (p2c,"] {
        assert!(lb.start_line.contains(part), "{}", lb.start_line);
    }
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_an_error() {
    let here = folder();
    fs::create_dir(here.join("lb.toml")).expect("a folder in place of a file");
    let output = finish(lb(&["run"]).current_dir(&*here));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot read `lb.toml`"), "{}", text(&output.stderr));
}

#[test]
fn a_second_instance_on_the_same_port_is_refused() {
    let (_a, a) = backend("a");
    let first = Lb::start(&["run", "--to", &a, "--listen", "127.0.0.1:0", "--workers", "2"]);
    let address = first.address().to_string();
    let output = finish(&mut lb(&["run", "--to", &a, "--listen", &address]));
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
    assert_eq!(stderr.matches("in use").count(), 1, "{stderr}");
    if cfg!(target_os = "linux") {
        assert!(stderr.contains(&format!("process {} (lb)", first.pid())), "{stderr}");
    }
}

#[test]
fn a_filter_that_is_none_is_refused() {
    for filter in ["info,=,", "inof", "info,debgu"] {
        let output = finish(lb(&["run", "--to", "127.0.0.1:1"]).env("LB_LOG", filter));
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("LB_LOG"), "{}", text(&output.stderr));
    }
}

#[test]
fn variables_that_are_nearly_ours_are_warned_of() {
    let run = |name: &str| {
        // It ends, as there is nobody to balance over.
        text(&finish(lb(&["run"]).env(name, ":1")).stderr)
    };
    assert!(run("LB_LISTN").contains("did you mean `LB_LISTEN`?"), "{}", run("LB_LISTN"));
    assert!(!run("LB_STATIC_1").contains("LB_STATIC_1"), "{}", run("LB_STATIC_1"));
}

#[test]
fn every_mistake_in_a_variable_is_told_at_once() {
    let mut command = lb(&["run", "--to", "127.0.0.1:1"]);
    command.env("LB_WORKERS", "many").env("LB_STRATEGY", "fastest").env("LB_STICKY", "a b");
    let stderr = text(&finish(&mut command).stderr);
    for name in ["LB_WORKERS", "LB_STRATEGY", "LB_STICKY"] {
        assert!(stderr.contains(&format!("error: `{name}")), "{stderr}");
    }
}

#[test]
fn a_flag_binds_clients_by_a_cookie_in_every_cluster() {
    let (_a, a) = backend("a");
    let lb = Lb::start(&["run", "--to", &a, "--listen", "127.0.0.1:0", "--sticky", "ROUTEID"]);
    let mut stream = std::net::TcpStream::connect(lb.address()).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.to_lowercase().contains("set-cookie: routeid="), "{answer}");
}

#[test]
fn what_is_changed_while_running_is_kept_in_a_file_of_one_process() {
    let here = folder();
    let state = here.join("state.db");
    let state = state.to_str().expect("a path of text");
    let args = ["run", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--state", state];
    let _running = Lb::start(&args);
    let second = finish(&mut lb(&args));
    let complaint = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("another process uses it"), "{complaint}");
}
