//! Who is let in, what is written down, and the small commands, with the real `lb`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    thread,
};

use serde_json::Value;

use crate::{
    live::{Live, Said, said},
    process::{Lb, PATIENCE, eventually, finish, folder, lb, text},
};

const TWO: &str = r#"
    listen = "127.0.0.1:0"
    [[route]]
    to = "web"
    [admin]
    listen = "off"
    [cluster.web]
    strategy = "round-robin"
    backends = [
      { address = "127.0.0.1:1", name = "s1", weight = 3 },
      { address = "127.0.0.1:2", name = "s2" },
    ]
"#;

/// The head and the body.
fn get(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (head.to_owned(), body.to_owned())
}

/// What it has logged until its end, which it comes to by itself: what waits is written.
fn whole_log(lb: &mut Lb) -> String {
    lb.signal(rustix::process::Signal::TERM);
    lb.wait();
    lb.stderr()
}

/// The address of the API, by the line below the start line.
fn api_of(lb: &Lb) -> SocketAddr {
    let line = lb.next_line();
    let place = line.strip_prefix("the API is on http://").expect(&line);
    place[..place.find([' ', ';', '\n']).expect("an end")].parse().expect(place)
}

#[test]
fn the_link_of_the_start_signs_a_browser_in_once() {
    let args = ["run", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let lb = Lb::start(&args);
    let address = api_of(&lb);
    let line = lb.next_line();
    let link = line.trim_end().rsplit_once(": ").expect(&line).1;
    let path = link.strip_prefix(&format!("http://{address}")).expect(link);
    let (head, _) = get(address, path, "");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect(&head);
    let cookie = cookie.split(';').next().expect("a pair");
    let (head, status) = get(address, "/api/v1/status", &format!("Cookie: {cookie}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}{status}");
    let (again, _) = get(address, path, "");
    assert!(again.starts_with("HTTP/1.1 401"), "{again}");
}

#[test]
fn it_is_ready_from_its_start_until_it_is_told_to_stop() {
    // A request that is not answered keeps it from ending.
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = held.local_addr().expect("an address").to_string();
    let lb = Lb::start(&["run", "--to", &to, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let address = api_of(&lb);
    for path in ["/healthz", "/readyz"] {
        assert!(get(address, path, "").0.starts_with("HTTP/1.1 204"), "{path}");
    }
    let mut waiting = TcpStream::connect(lb.address()).expect("it listens");
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
    let _taken = held.accept().expect("it is passed on");
    lb.signal(rustix::process::Signal::TERM);
    eventually("it is not ready any more", || {
        let (head, body) = get(address, "/readyz", "");
        head.starts_with("HTTP/1.1 503") && body.contains("it is stopping")
    });
    assert!(get(address, "/healthz", "").0.starts_with("HTTP/1.1 204"), "it still runs");
}

#[test]
fn what_was_done_and_refused_is_listed_and_logged() {
    let folder = folder();
    let socket = folder.join("lb.sock");
    let config = folder.join("lb.toml");
    let api = format!("listen = \"127.0.0.1:0\"\nsocket = \"{}\"", socket.display());
    std::fs::write(&config, TWO.replace("listen = \"off\"", &api)).expect("a file");
    let mut running = Lb::spawn(
        lb(&["run", "--config", config.to_str().expect("a path")]).env_remove("LB_ADMIN"),
    );
    let address = api_of(&running);
    let place = format!("unix:{}", socket.display());
    let ask = |args: &[&str]| said(lb(args).env("LB_ADMIN", &place));
    assert_eq!(ask(&["audit"]).stdout, "Nobody has changed anything or was refused.\n");
    assert_eq!(ask(&["set-weight", "web/s1", "5"]).code, Some(0));
    for _ in 0..3 {
        get(address, "/api/v1/status?secret", "Authorization: Bearer wrong-wrong-wrong\r\n");
    }
    let mut told = String::new();
    eventually("what was refused is listed", || {
        told = ask(&["audit"]).stdout;
        told.contains("refused")
    });
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("POST /api/v1/changes  200  undo: lb undo 1"), "{told}");
    let refused = "127.0.0.1  GET /api/v1/status  401 unauthorized: the token is not known here";
    assert!(lines[1].contains(refused), "{told}");
    let json: Value =
        serde_json::from_str(&ask(&["audit", "--json", "-n", "9"]).stdout).expect("JSON");
    let count: u64 = json.as_array().expect("a list")[1..]
        .iter()
        .map(|one| one["count"].as_u64().expect("a number"))
        .sum();
    assert_eq!(count, 3, "{json}");
    running.signal(rustix::process::Signal::HUP);
    eventually("what a signal has reloaded is listed", || {
        ask(&["audit"]).stdout.contains("reload   HUP (signal)  HUP  200 ")
    });
    // The end does not wait until it has counted them, and loses none.
    get(address, "/api/v1/status", "Authorization: Bearer wrong-wrong-wrong\r\n");
    let log = whole_log(&mut running);
    let entries: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with("{\"audit\":"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let refused = entries.iter().map(|entry| &entry["audit"]);
    let refused = refused.filter(|entry| entry["kind"] == "refused");
    let count: u64 = refused.filter_map(|entry| entry["count"].as_u64()).sum();
    assert_eq!(count, 4, "{log}");
    assert_eq!(entries[0]["audit"]["changes"], serde_json::json!([1]));
    assert!(!log.contains("secret") && !log.contains("wrong-wrong"), "{log}");
}

#[test]
fn audit_follows_what_comes() {
    let live = Live::start(TWO);
    let mut following = live
        .command(&["audit", "-f", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe"));
    assert_eq!(live.say(&["set-weight", "web/s1", "5"]).code, Some(0));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let entry: Value = serde_json::from_str(&line).expect(&line);
    assert_eq!((&entry["kind"], &entry["status"]), (&Value::from("change"), &Value::from(200)));
    following.kill().expect("it runs");
    following.wait().expect("it ends");
}

#[test]
fn it_logs_more_for_a_while() {
    let mut live = Live::start(TWO);
    assert_eq!(live.say(&["log-level"]).stdout, "info\n");
    let told = live.say(&["log-level", "warn", "--for", "1h"]).stdout;
    assert!(told.starts_with("warn: set by ") && told.contains("; usual is info"), "{told}");
    assert!(
        live.say(&["status"])
            .stdout
            .lines()
            .next()
            .is_some_and(|line| { line.contains("; logs warn until ") })
    );
    // What is reloaded is told at `info`.
    assert_eq!(live.say(&["reload"]).code, Some(0));
    assert_eq!(live.say(&["log-level", "default"]).stdout, "info\n");
    assert_eq!(live.say(&["reload"]).code, Some(0));
    let Said { code, stderr, .. } = live.say(&["log-level", "loud"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("`loud` is not a level"), "{stderr}");
    let log = whole_log(&mut live.lb);
    assert_eq!(log.matches("reloaded: ").count(), 1, "{log}");
}

#[test]
fn what_only_has_to_be_done_says_nothing() {
    let live = Live::start(TWO);
    let silent = |args: &[&str]| {
        let Said { code, stdout, stderr } = live.say(args);
        (code, stdout + &stderr)
    };
    assert_eq!(silent(&["set-weight", "web/s1", "5", "-q"]), (Some(0), String::new()));
    assert_eq!(silent(&["drain", "web/s1", "--wait", "--quiet"]), (Some(0), String::new()));
    assert_eq!(silent(&["status", "--check", "-q"]), (Some(0), String::new()));
    let Said { code, stderr, .. } = live.say(&["drain", "web/s2", "-q"]);
    assert_eq!((code, stderr.starts_with("error: ")), (Some(5), true), "{stderr}");
}

#[test]
fn colours_are_there_where_somebody_wants_them() {
    let live = Live::start(TWO);
    live.say(&["drain", "web/s2", "--no-wait"]);
    let plain = live.say(&["status"]).stdout;
    assert!(!plain.contains('\x1b') && plain.contains("draining"), "{plain}");
    let forced = said(live.command(&["status"]).env("CLICOLOR_FORCE", "1")).stdout;
    assert!(forced.contains("\x1b[33mdraining\x1b[0m"), "{forced:?}");
    let said_no =
        live.command(&["status"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output();
    assert!(!text(&said_no.expect("it runs").stdout).contains('\x1b'));
}

#[test]
fn status_is_told_again_until_somebody_ends_it() {
    let live = Live::start(TWO);
    let mut watching = live
        .command(&["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe"));
    let mut read = || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        serde_json::from_str::<Value>(&line).expect(&line)["clusters"][0]["backends"][0]["weight"]
            .clone()
    };
    assert_eq!(read(), 3);
    assert_eq!(live.say(&["set-weight", "web/s1", "7"]).code, Some(0));
    assert!((0..20).any(|_| read() == 7));
    let pid = i32::try_from(watching.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::INT)
        .expect("it runs");
    assert_eq!(watching.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_last_changes_are_listed_with_what_took_them_back() {
    let live = Live::start(TWO);
    for weight in 4..=6 {
        assert_eq!(live.say(&["set-weight", "web/s1", &weight.to_string()]).code, Some(0));
    }
    // Twice without a number goes back two changes.
    for _ in 0..2 {
        assert_eq!(live.say(&["undo"]).code, Some(0));
    }
    let told: Value =
        serde_json::from_str(&live.say(&["changes", "-n", "4", "--json"]).stdout).expect("JSON");
    let told: Vec<(u64, Option<u64>)> = told
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["id"].as_u64().expect("a number"), one["undoes"].as_u64()))
        .collect();
    assert_eq!(told, [(2, None), (3, None), (4, Some(3)), (5, Some(2))]);
    let status: Value =
        serde_json::from_str(&live.say(&["status", "web", "--json"]).stdout).expect("JSON");
    assert_eq!(status["backends"][0]["weight"], 4);
    let table = live.say(&["changes", "-n", "3"]).stdout;
    let third = table.lines().nth(1).expect("a row");
    assert!(third.starts_with("     3  ") && third.ends_with("  4"), "{table}");
}

#[test]
fn a_reload_that_takes_the_token_away_says_who_is_locked_out() {
    let folder = folder();
    let (socket, config) = (folder.join("lb.sock"), folder.join("lb.toml"));
    let without = format!("listen = \"127.0.0.1:0\"\nsocket = \"{}\"", socket.display());
    let with = format!("{without}\ntoken = {{ env = \"TOKEN\" }}");
    let write = |api: &str| {
        std::fs::write(&config, TWO.replace("listen = \"off\"", api)).expect("a file");
    };
    write(&with);
    let args = ["run", "--config", config.to_str().expect("a path")];
    let _running = Lb::spawn(lb(&args).env_remove("LB_ADMIN").env("TOKEN", "0123456789abcdef"));
    write(&without);
    let place = format!("unix:{}", socket.display());
    let reloaded = finish(lb(&["reload"]).env("LB_ADMIN", &place));
    let told = text(&reloaded.stdout);
    assert!(told.contains("warning: `token` of `[admin]` is gone"), "{told}");
}

#[test]
fn who_follows_events_is_sent_away_with_his_token() {
    let folder = folder();
    let config = folder.join("lb.toml");
    let without = "listen = \"127.0.0.1:0\"\nsocket = \"off\"\ntoken = { env = \"TOKEN\" }";
    let with = format!("{without}\nread_token = {{ env = \"READ\" }}");
    let write = |api: &str| {
        std::fs::write(&config, TWO.replace("listen = \"off\"", api)).expect("a file");
    };
    write(&with);
    let (token, read) = ("0123456789abcdef", "fedcba9876543210");
    let mut command = lb(&["run", "--config", config.to_str().expect("a path")]);
    let running = Lb::spawn(command.env_remove("LB_ADMIN").env("TOKEN", token).env("READ", read));
    let place = format!("http://{}", api_of(&running));
    let mut following = lb(&["events", "-f"])
        .env("LB_ADMIN", &place)
        .env("LB_TOKEN", read)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe"));
    let ask = |args: &[&str]| said(lb(args).env("LB_ADMIN", &place).env("LB_TOKEN", token));
    let denied = said(lb(&["audit"]).env("LB_ADMIN", &place).env("LB_TOKEN", read));
    assert_eq!(denied.code, Some(6), "{denied:?}");
    let mut line = String::new();
    // It may not have begun to follow by the first of them.
    eventually("it follows", || {
        assert_eq!(ask(&["set-weight", "web/s1", "5"]).code, Some(0));
        assert_eq!(ask(&["undo"]).code, Some(0));
        lines.read_line(&mut line).expect("a line");
        line.contains("web/s1")
    });
    write(without);
    assert_eq!(ask(&["reload"]).code, Some(0));
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("its end");
    assert!(!rest.contains("reload"), "{rest}");
    let ended = following.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(6), "{}", text(&ended.stderr));
}

/// Somebody who says these things, one to each request, and tells what he was asked.
fn pretender(answers: Vec<String>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let answering = thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            // Whether somebody is there is tried before, without a request.
            let (mut stream, line) = loop {
                let (stream, _) = listener.accept().expect("a connection");
                let mut line = String::new();
                let mut reader = BufReader::new(&stream);
                if reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                    break (stream, line);
                }
            };
            asked.push(line.split(' ').nth(1).unwrap_or_default().to_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
        asked
    });
    (address, answering)
}

#[test]
fn a_stream_that_ends_is_asked_for_again_and_nothing_in_it_reaches_the_terminal() {
    let head = |status: &str, kind: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n")
    };
    let event = |seq: u64, why: &str| {
        let event = serde_json::json!({ "seq": seq, "at": 0, "kind": "note", "why": why });
        head("200 OK", "text/event-stream") + &format!("id: {seq}\ndata: {event}\n\n")
    };
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J";
    let refusal = serde_json::json!({
        "type": "urn:lb:problem:unauthorized", "title": "Who are you?", "status": 401,
        "detail": format!("not you{hostile}"),
    });
    let (address, answering) = pretender(vec![
        head("200 OK", "application/json") + "[]",
        event(7, hostile),
        event(9, "again"),
        head("401 Unauthorized", "application/problem+json") + &refusal.to_string(),
    ]);
    let told = said(lb(&["events", "-f"]).env("LB_ADMIN", format!("http://{address}")));
    assert_eq!(told.code, Some(6), "{told:?}");
    assert!(told.stdout.contains("why: \\u{1b}]0;owned\\u{7}\\u{9b}2J"), "{told:?}");
    assert!(told.stdout.contains("why: again"), "{told:?}");
    let is_odd = |char: char| char.is_control() && char != '\n';
    assert!(!(told.stdout.clone() + &told.stderr).contains(is_odd), "{told:?}");
    let asked = answering.join().expect("no panic");
    let stream = |since: u64| format!("/api/v1/events?since={since}");
    assert_eq!(asked, ["/api/v1/events".to_owned(), stream(0), stream(7), stream(9)]);
}

#[test]
fn the_last_changes_are_asked_for_and_no_more() {
    let change = |id: u64| {
        serde_json::json!({
            "id": id, "at": 0, "author": "ann", "door": "token admin", "subject": "web/s1",
            "cluster": "web", "backend": "s1", "field": "weight", "before": 1, "after": 2,
            "override": true,
        })
    };
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let page = serde_json::json!([change(900), change(899)]).to_string();
    let (address, answering) = pretender(vec![format!("{head}{page}")]);
    let place = format!("http://{address}");
    let told = said(lb(&["changes", "-n", "2", "--json"]).env("LB_ADMIN", place));
    let told: Value = serde_json::from_str(&told.stdout).expect(&told.stderr);
    assert_eq!((&told[0]["id"], &told[1]["id"]), (&Value::from(899), &Value::from(900)));
    let asked = answering.join().expect("no panic");
    assert_eq!(asked, ["/api/v1/changes?order=newest&limit=2"]);
}
