//! How clusters are checked and clients bound, changed while the real `lb` runs.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::{
    live::{Live, Said},
    process::eventually,
};

/// A backend that can fall, and rise again at the same address.
struct Healthy {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Healthy {
    fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address"))
    }

    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte) {
                        Ok(1) => request.extend(byte),
                        _ => break,
                    }
                }
                let is_bad = request.starts_with(b"GET /bad");
                let status = if is_bad { "500 Internal Server Error" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 7\r\n\r\nall\x07fine");
                let _ = stream.write_all(&answer.as_bytes()[..answer.len() - 1]);
            }
        });
        Self { address, ends, thread: Some(thread) }
    }
}

impl Drop for Healthy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn config(backends: &[&Healthy], settings: &str) -> String {
    let backends: Vec<String> = backends
        .iter()
        .enumerate()
        .map(|(number, one)| {
            format!("{{ address = \"{}\", name = \"s{}\" }}", one.address, number + 1)
        })
        .collect();
    format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"web\"\n[admin]\nlisten = \"off\"\n\
         [cluster.web]\nbackends = [{}]\n{settings}\n",
        backends.join(", ")
    )
}

fn cluster(live: &Live) -> Value {
    live.json(&["status"])["clusters"][0].clone()
}

fn state(live: &Live, position: usize) -> String {
    cluster(live)["backends"][position]["state"].as_str().expect("a state").to_owned()
}

/// Slow enough that no test sees an effect of it.
const SLOW: &str = "health = { path = \"/healthz\", interval = \"10m\", fall = 3 }";

#[test]
fn checks_go_by_other_settings_at_once_and_after_a_restart_until_they_are_taken_back() {
    let (first, second) = (Healthy::start(), Healthy::start());
    let mut live = Live::start(&config(&[&first, &second], SLOW));
    let said = live.done(&["set-health", "web", "interval=100ms", "fall=2", "rise=1"]);
    let health = "web: health expect=200-399 fall=2 interval=100ms method=GET path=/healthz rise=1 \
                  timeout=100ms\n";
    assert!(said.starts_with(health), "{said}");
    assert!(said.ends_with("Undo: lb undo 3 2 1\n"), "{said}");
    eventually("both are up", || (state(&live, 0), state(&live, 1)) == ("up".into(), "up".into()));

    drop(second);
    eventually("the fallen one is down", || state(&live, 1) == "down");
    let down = |event: &Value| {
        (event["backend"].as_str(), event["to"].as_str()) == (Some("s2"), Some("down"))
    };
    let events = live.done(&["events", "--json"]);
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let events = events.iter().flat_map(|one| match one {
        Value::Array(many) => many.clone(),
        one => vec![one.clone()],
    });
    let why = events.filter(down).map(|one| one["why"].to_string()).next().expect("it is told");
    assert!(why.contains('2'), "after two checks: {why}");

    live.restart();
    let again = cluster(&live);
    assert_eq!(
        (&again["health"]["interval"], &again["health"]["fall"]),
        (&"100ms".into(), &2.into())
    );
    eventually("it is still checked so", || state(&live, 1) == "down");
    let status = live.done(&["status", "web"]);
    let drift = "set: health.interval is 100ms, the file says 10m (lb undo 2)";
    assert!(status.contains(drift), "{status}");

    live.done(&["undo", "3", "2", "1"]);
    let back = cluster(&live);
    assert_eq!((&back["health"]["interval"], &back["health"]["fall"]), (&"10m".into(), &3.into()));
    assert_eq!(back["overrides"], Value::Array(Vec::new()));
    assert_eq!(state(&live, 1), "down", "what was found out stays");
}

#[test]
fn a_setting_that_no_file_may_have_is_refused_with_a_hint_and_nothing_changes() {
    let one = Healthy::start();
    let live = Live::start(&config(&[&one], SLOW));
    let before = cluster(&live);
    for (args, why) in [
        (&["set-health", "web", "interval=5sec"][..], "write `s`"),
        (&["set-health", "web", "intervall=5s"], "did you mean `interval`?"),
        (&["set-health", "web", "fall=0"], "health.fall"),
        (&["set-health", "web", "path=healthz"], "write it like `/healthz`"),
        (&["set-health", "web", "tcp=true", "path=/x"], "leave out one of the two"),
        (&["set-sticky", "web", "ttl=1h"], "add `cookie = \"LBSESSION\"`"),
        (&["set-sticky", "web", "cookie=A", "same_site=none"], "add `secure = true`"),
        (&["set-sticky", "web", "key=AAAA"], "a secret belongs into the file"),
        (&["set-health", "web", "interval"], "write it like `interval=500ms`"),
    ] {
        let Said { code, stdout, stderr } = live.say(args);
        assert_eq!((code, &*stdout), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(why), "{args:?}: {stderr}");
        assert_eq!(stderr.matches(why).count(), 1, "said twice: {stderr}");
    }
    let Said { code, stderr, .. } = live.say(&["set-health", "wep", "fall=2"]);
    assert_eq!(code, Some(4));
    assert!(stderr.contains("did you mean `web`?"), "{stderr}");
    let after = cluster(&live);
    assert_eq!((&after["health"], &after["etag"]), (&before["health"], &before["etag"]));
    assert_eq!(live.done(&["changes"]), "Nobody has changed anything.\n");
}

#[test]
fn checks_and_cookies_are_switched_on_and_off_and_back() {
    let one = Healthy::start();
    let live = Live::start(&config(&[&one], ""));
    let said = live.done(&["set-health", "web", "path=/healthz", "interval=100ms"]);
    assert!(said.starts_with("web: health expect="), "{said}");
    eventually("it is checked", || state(&live, 0) == "up");
    assert!(live.done(&["set-health", "web", "off"]).starts_with("web: health off\n"));
    eventually("nothing is known of it", || state(&live, 0) == "unknown");
    live.done(&["set-health", "web", "on"]);
    eventually("it is checked again", || state(&live, 0) == "up");
    let said = live.done(&["set-health", "web", "default"]);
    assert!(said.starts_with("web: health off\n"), "{said}");
    assert_eq!(cluster(&live)["overrides"], Value::Array(Vec::new()));

    let cookie = |live: &Live| {
        let mut stream = TcpStream::connect(live.lb.address()).expect("a connection");
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).expect("a request");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let lines = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        lines.map(str::to_owned)
    };
    assert_eq!(cookie(&live), None);
    live.done(&["set-sticky", "web", "cookie=WEB", "ttl=1h", "same_site=strict"]);
    let set = cookie(&live).expect("a cookie");
    assert!(set.starts_with("WEB=") && set.contains("Max-Age=3600"), "{set}");
    assert!(set.contains("SameSite=Strict"), "{set}");
    let note = live.done(&["set-strategy", "web", "maglev"]);
    assert!(note.contains("Note: clients are bound by a cookie and by `maglev`"), "{note}");
    live.done(&["set-sticky", "web", "off"]);
    assert_eq!(cookie(&live), None);
}

#[test]
fn the_file_is_right_about_a_key_that_it_has_changed_and_about_no_other() {
    let one = Healthy::start();
    let settings = |interval: &str| {
        format!(
            "strategy = {{ name = \"maglev\", key = \"header:x-user\" }}\n\
             health = {{ path = \"/healthz\", interval = \"{interval}\" }}"
        )
    };
    let live = Live::start(&config(&[&one], &settings("10m")));
    live.done(&["set-strategy", "web", "maglev", "bounded_load=1.5"]);
    live.done(&["set-health", "web", "interval=9m", "fall=7"]);
    let set = |live: &Live| -> Vec<String> {
        let overrides = cluster(live)["overrides"].clone();
        let all = overrides.as_array().expect("a list").iter();
        all.map(|one| one["field"].as_str().expect("a field").to_owned()).collect()
    };
    // The same, spelt in another way, is no other word.
    live.write(&config(&[&one], &settings("600s")));
    live.done(&["reload"]);
    assert_eq!(set(&live), ["strategy", "health.fall", "health.interval"]);
    live.write(&config(&[&one], &settings("8m")));
    live.done(&["reload"]);
    assert_eq!(set(&live), ["strategy", "health.fall"]);
    let health = &cluster(&live)["health"];
    assert_eq!((&health["interval"], &health["fall"]), (&"8m".into(), &7.into()));
    let why = live.done(&["changes"]);
    assert!(why.contains("the file says \"8m\" now, and said \"10m\" then"), "{why}");
}

#[test]
fn a_check_is_made_now_and_the_last_ones_are_told() {
    let (first, second) = (Healthy::start(), Healthy::start());
    let live = Live::start(&config(&[&first], SLOW));
    let said = live.done(&["check-now", "web/s1"]);
    let request = format!("GET http://{}/healthz", first.address);
    assert!(said.starts_with("web/s1 passed in "), "{said}");
    assert!(said.contains(&request) && said.contains("status 200"), "{said}");
    assert!(said.contains("all\u{fffd}fin"), "{said}");

    // Whoever was added need not wait for the next round.
    let address = second.address.to_string();
    live.done(&["set-health", "web", "rise=1"]);
    live.done(&["add", "web", &address, "--name", "s2"]);
    live.done(&["check-now", "web/s2"]);
    eventually("it takes requests", || state(&live, 1) == "up");

    // Who comes back by an undo waits like one who is added.
    let said = live.done(&["remove", "web/s2"]);
    let undo = said.rsplit("lb undo ").next().expect("how to undo it").trim();
    live.done(&[&["undo"], &*undo.split(' ').collect::<Vec<_>>()].concat());
    assert_eq!(state(&live, 1), "joining");
    live.done(&["check-now", "web/s2"]);
    eventually("it takes requests again", || state(&live, 1) == "up");

    live.done(&["set-health", "web", "path=/bad"]);
    let Said { code, stdout, .. } = live.say(&["check-now", "web/s1"]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.starts_with("web/s1 failed in "), "{stdout}");
    assert!(stdout.contains("status 500"), "{stdout}");
    let all = live.json(&["checks", "web/s1"]);
    let all = all.as_array().expect("a list");
    let (last, before) = (&all[all.len() - 1], &all[all.len() - 2]);
    assert_eq!((&last["passed"], &last["asked_for"]), (&false.into(), &true.into()));
    assert_eq!((&last["status"], &before["status"]), (&500.into(), &200.into()));
    let table = live.done(&["checks", "web/s1"]);
    assert!(table.contains("failed"), "{table}");

    live.done(&["set-health", "web", "off"]);
    let Said { code, stderr, .. } = live.say(&["check-now", "web/s1"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("lb set-health web path=/healthz"), "{stderr}");
}
