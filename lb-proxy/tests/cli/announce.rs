//! Nodes that announce themselves, with real processes: `lb announce`, the shell sender
//! of the documentation, and datagrams that should not be believed.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lb_discovery::announce::{Datagram, Key, Place, Record, State};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    live::{Live, said},
    process::{Lb, eventually, file, lb},
};

/// 32 bytes, each a seven, in base64.
pub(crate) const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const OTHER_KEY: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

/// A balancer that listens for announcements.
pub(crate) struct Balancer {
    pub(crate) live: Live,
    pub(crate) to: SocketAddr,
}

impl Balancer {
    pub(crate) fn start(more: &str) -> Self {
        let to = free_address();
        let live = Live::start(&format!(
            r#"
            listen = "127.0.0.1:0"
            [[route]]
            to = "static"
            [admin]
            listen = "off"
            [cluster.static]
            discover = {{ announce = "{to}", key = "{KEY}", allow = {{ networks = "127.0.0.0/8" }}{more} }}
            "#
        ));
        Self { live, to }
    }

    fn announce(&self, args: &[&str], key: &str) -> Command {
        let to = self.to.to_string();
        let mut command = lb(&[&["announce", "--to", &to, "--cluster", "static"], args].concat());
        command.env("LB_ANNOUNCE_KEY", key);
        command
    }

    /// The names of those who are there.
    pub(crate) fn backends(&self) -> Vec<String> {
        let status = self.json(&["status"]);
        let backends = status["clusters"][0]["backends"].as_array().expect("backends");
        let name = |backend: &Value| backend["name"].as_str().expect("a name").to_owned();
        backends.iter().map(name).collect()
    }

    fn source(&self) -> Value {
        self.json(&["sources"])[0].clone()
    }

    fn refused(&self, reason: &str) -> u64 {
        self.source()["refused"][reason].as_u64().unwrap_or(0)
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.live.say(&[args, &["--json"]].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// The status of an answer to `GET /`.
    pub(crate) fn get(&self) -> u16 {
        crate::client::get(self.live.lb.address(), "/").status
    }

    fn send(&self, bytes: &[u8]) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.send_to(bytes, self.to).expect("loopback");
    }
}

/// An address that was free a moment ago: nobody can be told a port that the system
/// chooses for the balancer. No other test gets the same one.
pub(crate) fn free_address() -> SocketAddr {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let address = free.local_addr().expect("an address");
        if TAKEN.lock().expect("no panic").insert(address.port()) {
            return address;
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the end")
}

fn datagram(number: u64, port: u16, state: State) -> Datagram {
    let place = Place::Address((Ipv4Addr::LOCALHOST, port).into());
    let record = Record { state, ..Record::new("static", place) };
    let ttl = Duration::from_secs(60);
    Datagram { boot_id: 1, number, sent_ms: now_ms(), ttl, record }
}

/// A backend that answers; ends with the test.
fn backend() -> (Lb, u16) {
    let demo = Lb::start(&["demo", "--listen", "127.0.0.1:0"]);
    let port = demo.address().port();
    (demo, port)
}

#[test]
fn a_node_that_announces_itself_gets_requests_and_one_that_is_killed_none_after_its_time() {
    let balancer = Balancer::start("");
    let (_backend, port) = backend();
    assert_eq!(balancer.get(), 503);
    let start = Instant::now();
    let args = ["--port", &port.to_string(), "--interval", "300ms"];
    let announcer = Lb::spawn(&mut balancer.announce(&args, KEY));
    eventually("it gets requests", || balancer.get() == 200);
    println!("from its start to its first request: {:?}", start.elapsed());
    let begun = format!("announcing cluster=static port={port} to {} every 300ms; ", balancer.to);
    assert!(announcer.start_line.starts_with(&begun), "{}", announcer.start_line);
    announcer.signal(Signal::KILL);
    let killed = Instant::now();
    eventually("it is gone", || balancer.backends().is_empty());
    println!("from its death to its end: {:?}", killed.elapsed());
    // Its last word may have been nearly an interval ago.
    assert!(killed.elapsed() > Duration::from_millis(500), "{:?}", killed.elapsed());
    assert_eq!(balancer.get(), 503);
    assert_eq!(balancer.source()["refused"], serde_json::json!({}));
}

#[test]
fn a_goodbye_is_said_when_a_signal_comes_and_believed_at_once() {
    let balancer = Balancer::start("");
    for signal in [Signal::TERM, Signal::INT] {
        let args = ["--port", "1", "--name", "web1", "--weight", "3", "--interval", "20m"];
        let mut announcer = Lb::spawn(&mut balancer.announce(&args, KEY));
        eventually("it is there", || balancer.backends() == ["web1"]);
        let start = Instant::now();
        announcer.signal(signal);
        eventually("it is gone", || balancer.backends().is_empty());
        println!("from the signal to its end: {:?}", start.elapsed());
        assert_eq!(announcer.wait().code(), Some(0));
    }
}

#[test]
fn a_node_can_take_no_new_clients_before_it_leaves() {
    let balancer = Balancer::start("");
    let args = ["--address", "127.0.0.1:1", "--drain", "1h", "--interval", "20m"];
    let mut announcer = Lb::spawn(&mut balancer.announce(&args, KEY));
    eventually("it is there", || balancer.backends() == ["127.0.0.1:1"]);
    announcer.signal(Signal::TERM);
    eventually("it drains", || {
        balancer.json(&["status"])["clusters"][0]["backends"][0]["admin"] == "draining"
    });
    announcer.signal(Signal::TERM);
    assert_eq!(announcer.wait().code(), Some(0));
    eventually("it is gone", || balancer.backends().is_empty());
}

#[test]
fn what_is_forged_repeated_cut_off_or_has_another_key_is_ignored_and_counted() {
    let balancer = Balancer::start("");
    let key = Key::new([7; 32]);
    let first = datagram(1, 1, State::Up).seal(&key).expect("a datagram");
    eventually("it is there", || {
        // The socket may not be open yet.
        balancer.send(&first);
        balancer.backends() == ["127.0.0.1:1"]
    });
    balancer.send(&datagram(2, 1, State::Down).seal(&key).expect("a datagram"));
    eventually("it is gone", || balancer.backends().is_empty());
    let before = balancer.refused("replay");
    balancer.send(&first);
    eventually("a replay is counted", || balancer.refused("replay") == before + 1);
    let mut forged = datagram(3, 1, State::Up).seal(&key).expect("a datagram");
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    balancer.send(&forged);
    balancer.send(&first[..first.len() - 40]);
    balancer.send(b"hello");
    let other = Key::new([8; 32]);
    balancer.send(&datagram(4, 1, State::Up).seal(&other).expect("a datagram"));
    let old = Datagram { sent_ms: now_ms() - 31_000, ..datagram(5, 1, State::Up) };
    balancer.send(&old.seal(&key).expect("a datagram"));
    let outside = Record::new("static", Place::Address(([10, 0, 0, 1], 80).into()));
    let outside = Datagram { record: outside, ..datagram(6, 1, State::Up) };
    balancer.send(&outside.seal(&key).expect("a datagram"));
    let elsewhere = Record::new("dynamic", Place::Port(1));
    let elsewhere = Datagram { record: elsewhere, ..datagram(7, 1, State::Up) };
    balancer.send(&elsewhere.seal(&key).expect("a datagram"));
    let expected =
        [("mac", 1), ("malformed", 2), ("key", 1), ("skew", 1), ("foreign", 1), ("cluster", 1)];
    for (reason, count) in expected {
        eventually(reason, || balancer.refused(reason) == count);
    }
    assert_eq!(balancer.backends(), [""; 0]);
    let text = balancer.live.say(&["sources"]).stdout;
    let (_, line) = text.split_once("ignored datagrams: ").expect("the counters");
    let counts: BTreeSet<&str> = line.lines().next().unwrap_or_default().split(", ").collect();
    for part in ["malformed 2", "cluster 1", "key 1", "mac 1", "skew 1", "foreign 1"] {
        assert!(counts.contains(part), "{part}: {text}");
    }
    assert!(text.contains("127.0.0.1: names a key that it has not"), "{text}");
}

#[test]
fn a_node_with_another_key_is_told_of_once_however_often_it_sends() {
    let mut balancer = Balancer::start("");
    let args = ["--port", "1", "--interval", "100ms"];
    let _announcer = Lb::spawn(&mut balancer.announce(&args, OTHER_KEY));
    eventually("it is counted", || balancer.refused("key") >= 5);
    let stderr = balancer.live.lb.stderr();
    assert_eq!(stderr.matches("a key that is not known here").count(), 1, "{stderr}");
}

#[test]
fn those_who_are_there_stay_when_the_file_is_read_again() {
    let balancer = Balancer::start("");
    let args = ["--port", "1", "--interval", "20m"];
    let _announcer = Lb::spawn(&mut balancer.announce(&args, KEY));
    eventually("it is there", || balancer.backends() == ["127.0.0.1:1"]);
    let file = balancer.live.folder().join("lb.toml");
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, text.replace("key = ", "max_skew = \"20s\", key = ")).expect("the file");
    let reloaded = balancer.live.say(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!(balancer.backends(), ["127.0.0.1:1"]);
    let (_backend, port) = backend();
    let args = ["--port", &port.to_string()];
    let _other = Lb::spawn(&mut balancer.announce(&args, KEY));
    eventually("others are heard", || balancer.backends().len() == 2);
}

#[test]
fn a_key_is_32_other_bytes_each_time() {
    let keys = [said(&mut lb(&["key"])).stdout, said(&mut lb(&["key"])).stdout];
    assert_ne!(keys[0], keys[1]);
    assert!(keys.iter().all(|key| key.len() == 45 && key.ends_with("=\n")), "{keys:?}");
    let balancer = Balancer::start("");
    let file = balancer.live.folder().join("new.key");
    fs::write(&file, &keys[0]).expect("a file");
    let file = file.to_str().expect("a name");
    let announcer = Lb::spawn(&mut balancer.announce(&["--port", "1", "--key-file", file], ""));
    drop(announcer);
}

#[test]
fn what_cannot_be_announced_is_said_before_anything_is_sent() {
    let fails = |args: &[&str], key: &str, reason: &str| {
        let mut command = lb(&[&["announce"], args].concat());
        let said = said(command.env("LB_ANNOUNCE_KEY", key));
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.stderr.contains(reason), "{reason}: {}", said.stderr);
    };
    let whole = ["--to", "127.0.0.1:9", "--cluster", "c", "--port", "80"];
    fails(&whole, "", "no key: name a file with `--key-file`, or set LB_ANNOUNCE_KEY");
    fails(&whole, "AAAA", "LB_ANNOUNCE_KEY has no key: it has 3 bytes, and a key has 32");
    fails(&["--cluster", "c", "--port", "80"], KEY, "--to <HOST:PORT>");
    fails(&[&whole[..], &["--name", "a/b"]].concat(), KEY, "`/` cannot stand in a name");
    fails(&[&whole[..], &["--interval", "1ms"]].concat(), KEY, "it must be 100ms to 20 min");
    fails(&[&whole[..4], &["--port", "0"]].concat(), KEY, "0 is not in 1..=65535");
    fails(&["--to", "lb", "--cluster", "c", "--port", "1"], KEY, "the port is missing");
}

#[test]
fn a_key_that_is_written_in_the_file_is_never_printed() {
    let alone = format!("{{ announce = ':7950', key = '{KEY}' }}");
    let several = format!("{{ announce = ':7950', keys = [{{ key = '{KEY}' }}] }}");
    for discover in [alone.clone(), several.clone(), format!("[{alone}, {several}]")] {
        let text = format!("[cluster.c]\ndiscover = {discover}\n[[route]]\nto = 'c'\n");
        let said = said(&mut lb(&["check", "--print-effective", &file(&text)]));
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.stdout.contains("key = \"…\"") && said.stderr.contains("****"), "{said:?}");
        assert!(!said.stdout.contains(KEY) && !said.stderr.contains(KEY), "{said:?}");
    }
}

/// The sender of docs/configuration.md, as it stands there.
#[test]
fn the_shell_sender_of_the_documentation_works() {
    let tools = ["bash", "openssl", "xxd", "base64"];
    let is_there = |tool: &&str| {
        let mut command = Command::new(tool);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    if let Some(missing) = tools.iter().find(|tool| !is_there(tool)) {
        assert!(std::env::var_os("LB_REQUIRE_ALL").is_none(), "`{missing}` is required");
        println!("skipped: there is no `{missing}`");
        return;
    }
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let docs = fs::read_to_string(docs).expect("the reference");
    let (_, script) = docs.split_once("<!-- A test runs this. -->\n```bash\n").expect("a script");
    let (script, _) = script.split_once("```").expect("its end");
    let balancer = Balancer::start("");
    let to = format!("{} {}", balancer.to.ip(), balancer.to.port());
    let script = script.replace("lb.example 7950", &to).replace("port=80", "port=1 name=shell");
    let mut sender = Sender(
        Command::new("bash")
            .args(["-c", &script])
            .env("LB_ANNOUNCE_KEY", KEY)
            .stdin(Stdio::null())
            .spawn()
            .expect("bash"),
    );
    eventually("it is there", || balancer.backends() == ["shell"]);
    eventually("it goes on", || {
        assert!(sender.0.try_wait().expect("a child").is_none(), "it has ended");
        balancer.refused("replay") == 0 && balancer.source()["members"] == 1
    });
    let _ = sender.0.kill();
    let _ = sender.0.wait();
    eventually("it is gone", || balancer.backends().is_empty());
    assert_eq!(balancer.source()["refused"], serde_json::json!({}));
}

/// Killed when dropped.
struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
