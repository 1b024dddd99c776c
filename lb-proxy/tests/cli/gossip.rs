//! Nodes that tell each other who is there, with real processes, one for each.

use std::{
    collections::BTreeMap,
    env,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lb_discovery::{
    announce::{Key, Place, Record, State},
    gossip::{Gossiper, Profile, Ring, Settings},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{
    announce::free_address,
    live::{Live, said},
    process::{Lb, PATIENCE, eventually, file, lb},
};

/// 32 bytes, each a seven, in base64.
const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// What a process of a node has to know: whom to join, its key, the port of its backend.
const NODE: &str = "LB_TEST_NODE";

/// No test, but what runs in the process of a node: a member until TERM, then a goodbye.
#[test]
fn the_process_of_a_node() {
    let Ok(node) = env::var(NODE) else { return };
    let [join, key, port] = node.split(' ').collect::<Vec<_>>()[..] else { panic!("{node}") };
    let settings = Settings {
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        join: vec![join.into()],
        ring: Ring::new([Key::new([key.parse().expect("a byte"); Key::LENGTH])]),
        insecure: false,
        profile: Profile::Fast,
        max_skew: Duration::from_secs(30),
    };
    let record = Record::new("dynamic", Place::Port(port.parse().expect("a port")));
    let mut gossiper = Gossiper::new(settings, record).expect("a short record");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut end = signal(SignalKind::terminate()).expect("a signal");
        loop {
            gossiper.beat(State::Up).await.expect("a member");
            select! {
                () = sleep(gossiper.pause()) => {}
                _ = end.recv() => break,
            }
        }
        gossiper.leave().await.expect("a goodbye");
    });
}

/// The process of a node; killed when dropped.
struct Node(Child);

impl Node {
    fn start(join: SocketAddr, key: u8, port: u16) -> Self {
        let program = env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command
            .args(["--exact", "gossip::the_process_of_a_node"])
            .env(NODE, format!("{join} {key} {port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("a process"))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it is there");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A balancer that is a member.
struct Balancer {
    live: Live,
    at: SocketAddr,
}

impl Balancer {
    fn start(at: SocketAddr, join: &[SocketAddr], cluster: &str) -> Self {
        let live = Live::start(&format!(
            r#"
            listen = "127.0.0.1:0"
            [[route]]
            to = "dynamic"
            [admin]
            listen = "off"
            [cluster.dynamic]
            discover = {{ gossip = "{at}", join = {join:?}, key = "{KEY}", allow = {{ networks = "127.0.0.0/8" }} }}
            {cluster}
            "#,
            join = join.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ));
        Self { live, at }
    }

    fn alone() -> Self {
        Self::start(free_address(), &[], "")
    }

    /// The addresses of those who are there.
    fn backends(&self) -> Vec<String> {
        let status = self.json(&["status"]);
        let backends = status["clusters"][0]["backends"].as_array().expect("backends");
        let name = |backend: &Value| backend["name"].as_str().expect("a name").to_owned();
        backends.iter().map(name).collect()
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.live.say(&[args, &["--json"]].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    fn get(&self, path: &str, cookie: Option<&str>) -> (u16, BTreeMap<String, String>) {
        let mut stream =
            TcpStream::connect_timeout(&self.live.lb.address(), PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{cookie}\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a whole answer");
        let (head, _) = answer.split_once("\r\n\r\n").expect("a whole head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        (status.expect("a status"), headers.collect())
    }

    /// Who answers.
    fn pick(&self, path: &str, cookie: Option<&str>) -> String {
        let (status, headers) = self.get(path, cookie);
        assert_eq!(status, 200);
        headers["x-backend"].clone()
    }
}

/// A backend that answers; ends with the test.
fn backend() -> (Lb, u16) {
    let demo = Lb::start(&["demo", "--listen", "127.0.0.1:0"]);
    let port = demo.address().port();
    (demo, port)
}

/// A backend that says who it is, as long as the test runs.
fn named_backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let (mut head, mut part) = (Vec::new(), [0; 1_024]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut part) {
                        Ok(0) | Err(_) => return,
                        Ok(length) => head.extend_from_slice(&part[..length]),
                    }
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Backend: {port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

#[test]
fn a_node_that_joins_gets_requests_and_one_that_is_killed_none_within_two_seconds() {
    let balancer = Balancer::alone();
    assert_eq!(balancer.get("/", None).0, 503);
    for _ in 0..3 {
        let (backend, port) = backend();
        let start = Instant::now();
        let node = Node::start(balancer.at, 7, port);
        eventually("it gets requests", || balancer.get("/", None).0 == 200);
        println!("from its start to its first request: {:?}", start.elapsed());
        backend.signal(Signal::KILL);
        node.signal(Signal::KILL);
        let killed = Instant::now();
        eventually("it is gone", || balancer.backends().is_empty());
        println!("from its death to its end: {:?}", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    }
}

#[test]
fn where_only_the_agent_is_killed_the_backend_stays() {
    let balancer = Balancer::alone();
    let (backend, port) = backend();
    let node = Node::start(balancer.at, 7, port);
    eventually("it is there", || balancer.backends().len() == 1);
    node.signal(Signal::KILL);
    let killed = Instant::now();
    while killed.elapsed() < Duration::from_secs(4) {
        assert_eq!(balancer.get("/", None).0, 200);
        assert_eq!(balancer.backends().len(), 1);
    }
    backend.signal(Signal::KILL);
    eventually("it is gone", || balancer.backends().is_empty());
}

#[test]
fn a_node_that_leaves_is_gone_at_once_and_wrong_keys_are_ignored_and_counted() {
    let balancer = Balancer::alone();
    let mut node = Node::start(balancer.at, 7, 1);
    eventually("it is there", || balancer.backends() == ["127.0.0.1:1"]);
    let start = Instant::now();
    node.signal(Signal::TERM);
    eventually("it is gone", || balancer.backends().is_empty());
    println!("from the signal to its end: {:?}", start.elapsed());
    assert!(node.0.wait().expect("a child").success());
    let _stranger = Node::start(balancer.at, 8, 2);
    eventually("a wrong key is counted", || {
        balancer.json(&["sources"])[0]["refused"]["key"].as_u64().unwrap_or(0) > 2
    });
    assert_eq!(balancer.backends(), [""; 0]);
    let text = balancer.live.say(&["sources"]).stdout;
    assert!(text.contains("ignored datagrams: ") && text.contains("key "), "{text}");
}

/// Three balancers with nothing in common but their configuration.
#[test]
fn three_balancers_send_each_client_and_each_key_to_the_same_backend() {
    let at = [free_address(), free_address(), free_address()];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let sticky = "sticky = { cookie = \"ROUTE\" }";
        let cluster = "strategy = { name = \"rendezvous\", key = \"uri\" }";
        for (what, cluster) in [("sticky", sticky), ("hash", cluster)] {
            let balancers: Vec<_> = order
                .iter()
                .map(|number: &usize| {
                    let others: Vec<_> =
                        at.iter().filter(|other| **other != at[*number]).copied().collect();
                    Balancer::start(at[*number], &others, cluster)
                })
                .collect();
            let nodes: Vec<_> = (0..4).map(|_| Node::start(at[1], 7, named_backend())).collect();
            for balancer in &balancers {
                eventually("it knows all", || balancer.backends().len() == 4);
            }
            let mut seen = BTreeMap::new();
            for number in 0..20 {
                let path = format!("/{number}");
                let cookie = (what == "sticky").then(|| {
                    let (_, headers) = balancers[0].get(&path, None);
                    let cookie = headers["set-cookie"].split(';').next().unwrap_or_default();
                    cookie.to_owned()
                });
                let picks: Vec<_> = balancers
                    .iter()
                    .map(|balancer| balancer.pick(&path, cookie.as_deref()))
                    .collect();
                assert!(picks.iter().all(|pick| *pick == picks[0]), "{what} {path}: {picks:?}");
                *seen.entry(picks[0].clone()).or_insert(0) += 1;
            }
            assert!(seen.len() > 1, "{seen:?}");
            drop(nodes);
        }
    }
}

#[test]
fn a_file_that_would_believe_anybody_is_refused() {
    let text =
        |gossip: &str| format!("[cluster.c]\ndiscover = {{ {gossip} }}\n[[route]]\nto = 'c'\n");
    let open = said(&mut lb(&["check", &file(&text("gossip = '0.0.0.0:7946'"))]));
    assert_eq!(open.code, Some(2), "{open:?}");
    assert!(open.stderr.contains("gossip needs a key"), "{open:?}");
    let wished =
        said(&mut lb(&["check", &file(&text("gossip = '0.0.0.0:7946', insecure = true"))]));
    assert_eq!(wished.code, Some(0), "{wished:?}");
}
