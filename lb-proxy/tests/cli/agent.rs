//! `lb agent` with real processes: apps that get ready, die, hang, leave orphans and
//! ignore signals.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{net::UnixDatagram, process::parent_id},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lb_proxy::demo::DemoOptions;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    announce::{Balancer, KEY},
    client::get,
    process::{Lb, eventually, file, finish, folder, lb, text},
};

/// A port that was free a moment ago. No other test gets the same one.
fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        if TAKEN.lock().expect("no panic").insert(port) {
            return port;
        }
    }
}

/// An agent that tells a balancer nobody hears: for tests of what it does to its app.
fn agent(args: &[&str], app: &[&str]) -> Command {
    let fixed = ["agent", "--join", "127.0.0.1:9", "--cluster", "static"];
    let name = ["--name", "n1", "--check", "off"];
    let mut command = lb(&[&fixed[..], &name, args, &["--"], app].concat());
    command.env("LB_ANNOUNCE_KEY", KEY);
    command
}

/// The same around a script.
fn agent_of(args: &[&str], script: &str) -> Command {
    agent(args, &["/bin/sh", "-c", script])
}

/// A demo backend under an agent. It does nothing about signals, and is not left over.
struct Node {
    agent: Lb,
    name: &'static str,
    port: u16,
}

impl Node {
    fn command(balancer: &Balancer, name: &'static str, port: u16, args: &[&str]) -> Command {
        let (to, port) = (balancer.to.to_string(), port.to_string());
        let this = env::current_exe().expect("this program");
        let this = this.to_str().expect("a printable path");
        let fixed = ["agent", "--join", &to, "--cluster", "static", "--name", name];
        let app = ["--", this, "--ignored", "--exact", "agent::an_app", "--nocapture"];
        let mut command = lb(&[&fixed[..], &["--port", &port], args, &app].concat());
        command.env("LB_ANNOUNCE_KEY", KEY).env("APP_PORT", port).env("APP_NAME", name);
        command
    }

    fn start(balancer: &Balancer, name: &'static str, args: &[&str]) -> Self {
        let port = free_port();
        let agent = Lb::spawn(&mut Self::command(balancer, name, port, args));
        Self { agent, name, port }
    }

    /// The process of the app, once it listens.
    fn app(&self) -> Pid {
        let prefix = format!("[{}] process ", self.name);
        loop {
            let line = self.agent.next_line();
            assert!(!line.is_empty(), "the app does not start");
            if let Some(pid) = line.strip_prefix(&prefix) {
                return Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
            }
        }
    }

    fn answers(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }
}

/// Not a test but the app of these tests.
#[test]
#[ignore = "an app for others"]
fn an_app() {
    let variable = |name| env::var(name).unwrap_or_default();
    let Ok(port) = variable("APP_PORT").parse::<u16>() else { return };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let _backend = DemoOptions::named(variable("APP_NAME")).bind(address).start().expect("a port");
    println!("\nprocess {}", std::process::id());
    let parent = parent_id();
    // Tests that fail kill the agent, and must leave nothing.
    while parent_id() == parent {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Clients that ask and ask again, until they are told to end. Says how often each backend
/// has answered, and what went wrong.
fn under_load<T>(
    address: SocketAddr,
    meanwhile: impl FnOnce() -> T,
) -> (T, BTreeMap<String, usize>, Vec<String>) {
    let (ends, all) = (AtomicBool::new(false), Mutex::new((BTreeMap::new(), Vec::new())));
    let done = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    let answer = get(address, "/");
                    let mut all = all.lock().expect("no panic");
                    if answer.status == 200 {
                        let told: Value = serde_json::from_str(&answer.body).expect("JSON");
                        let name = told["name"].as_str().expect("a name").to_owned();
                        *all.0.entry(name).or_default() += 1;
                    } else {
                        all.1.push(format!("{} {}", answer.status, answer.body));
                    }
                }
            });
        }
        let _ends = Ends(&ends);
        meanwhile()
    });
    let (shares, failed) = all.into_inner().expect("no panic");
    (done, shares, failed)
}

/// Ends the clients, also when a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the end")
}

/// When the balancer heard last that this one left.
fn left_at(balancer: &Balancer, name: &str) -> Option<u64> {
    let events = balancer.json(&["events"]);
    let left = format!("left {name}");
    let is_it = |event: &&Value| event["kind"] == "members" && event["to"] == *left;
    let mut events = events.as_array().expect("events").iter().rev();
    events.find(is_it)?["at"].as_u64()
}

#[test]
fn an_app_gets_requests_once_it_is_ready_none_when_it_is_killed_and_again_when_it_is_back() {
    let balancer = Balancer::start("");
    let stays = Node::start(&balancer, "stays", &[]);
    stays.app();
    eventually("the first is there", || balancer.backends() == ["stays"]);
    let start = Instant::now();
    let dies = Node::start(&balancer, "dies", &[]);
    let app = dies.app();
    eventually("it gets requests", || get(balancer.live.lb.address(), "/").body.contains("dies"));
    println!("from the agent's start to its first request: {:?}", start.elapsed());
    let killed = unix_ms();
    let ((), shares, failed) = under_load(balancer.live.lb.address(), || {
        kill_process(app, Signal::KILL).expect("it runs");
        eventually("it has left", || left_at(&balancer, "dies").is_some());
        assert_ne!(dies.app(), app);
        eventually("it is back", || balancer.backends() == ["dies", "stays"]);
        eventually("and gets requests", || {
            get(balancer.live.lb.address(), "/").body.contains("dies")
        });
    });
    let left = left_at(&balancer, "dies").expect("it has left");
    println!("from its death to the balancer's knowing: {} ms", left - killed);
    println!("answers: {shares:?}");
    assert_eq!(failed, [""; 0]);
}

#[test]
fn an_agent_that_is_told_to_end_leaves_first_and_no_request_fails() {
    let balancer = Balancer::start("");
    let (stays, mut leaves) =
        (Node::start(&balancer, "stays", &[]), Node::start(&balancer, "leaves", &[]));
    stays.app();
    leaves.app();
    eventually("both are there", || balancer.backends().len() == 2);
    let (told, shares, failed) = under_load(balancer.live.lb.address(), || {
        eventually("it gets requests", || {
            get(balancer.live.lb.address(), "/").body.contains("leaves")
        });
        let told = unix_ms();
        leaves.agent.signal(Signal::TERM);
        assert_eq!(leaves.agent.wait().code(), Some(0));
        told
    });
    assert!(!leaves.answers(), "the app has ended");
    let left = left_at(&balancer, "leaves").expect("it has left");
    println!("from the signal to the balancer's knowing: {} ms; {shares:?}", left - told);
    assert_eq!(failed, [""; 0]);
    assert_eq!(balancer.backends(), ["stays"]);
}

#[test]
fn a_drain_is_announced_before_the_goodbye_and_a_second_signal_ends_it() {
    let balancer = Balancer::start("");
    let mut node = Node::start(&balancer, "drains", &["--drain", "1h"]);
    node.app();
    eventually("it is there", || balancer.backends() == ["drains"]);
    node.agent.signal(Signal::TERM);
    eventually("it drains", || {
        balancer.json(&["status"])["clusters"][0]["backends"][0]["admin"] == "draining"
    });
    assert!(node.answers());
    node.agent.signal(Signal::INT);
    assert_eq!(node.agent.wait().code(), Some(128 + 9));
    eventually("it is gone", || balancer.backends().is_empty());
}

#[test]
fn an_app_that_hangs_is_not_announced_until_it_answers_again() {
    let balancer = Balancer::start("");
    let node = Node::start(&balancer, "hangs", &["--check", "http:/", "--ready", "http:/"]);
    let app = node.app();
    eventually("it is there", || balancer.backends() == ["hangs"]);
    kill_process(app, Signal::STOP).expect("it runs");
    eventually("it is gone", || balancer.backends().is_empty());
    kill_process(app, Signal::CONT).expect("it runs");
    eventually("it is back", || balancer.backends() == ["hangs"]);
}

#[test]
fn a_balancer_that_starts_later_finds_the_app_by_its_next_announcement() {
    let balancer = Balancer::start("");
    let node = Node::start(&balancer, "early", &["--interval", "200ms"]);
    node.app();
    eventually("it is there", || balancer.backends() == ["early"]);
    let (to, config) = (balancer.to, fs::read_to_string(balancer.live.folder().join("lb.toml")));
    drop(balancer);
    let config = file(&config.expect("the file"));
    let again = Lb::start(&["run", "--config", &config]);
    assert!(to.port() != 0);
    eventually("it gets requests", || get(again.address(), "/").status == 200);
}

/// The first process of a process namespace gets all orphans, and has to wait for each.
#[test]
fn as_the_first_process_it_leaves_no_zombies_of_200_orphans() {
    let namespace = ["--fork", "--pid", "--mount-proc", "--kill-child"];
    let permitted = Command::new("unshare")
        .args(namespace)
        .arg("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !permitted.is_ok_and(|status| status.success()) {
        assert!(env::var_os("LB_REQUIRE_ALL").is_none(), "`unshare` is required");
        println!("skipped: no process namespace may be made here");
        return;
    }
    // Each orphan belongs to a shell that has ended before it.
    let script = r#"
        echo "parent $PPID"
        i=0; while [ $i -lt 200 ]; do (sleep 0.01 & exit 0); i=$((i + 1)); done
        state() { cat /proc/[0-9]*/status 2>/dev/null; }
        until [ "$(state | grep -c '^Name:.sleep')" = 0 ]; do :; done
        echo "zombies $(state | grep -c '^State:.Z')"
        exit 7
    "#;
    let inner = agent_of(&["--port", "1", "--ready", "notify", "--max-restarts", "0"], script);
    let mut command = Command::new("unshare");
    command.args(namespace).arg("--").arg(inner.get_program()).args(inner.get_args());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LB_ANNOUNCE_KEY", KEY);
    let output = finish(&mut command);
    let lines = text(&output.stdout);
    assert!(lines.contains("[n1] parent 1\n"), "{lines}{}", text(&output.stderr));
    assert!(lines.contains("[n1] zombies 0\n"), "{lines}");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn elsewhere_orphans_of_the_app_come_to_it_too_and_end_with_the_app() {
    let script = r#"
        (sleep 1000 & echo "orphan $!")
        exec sleep 1000
    "#;
    let mut agent =
        Lb::spawn(&mut agent_of(&["--port", "1", "--ready", "notify", "--finish", "0s"], script));
    let line = agent.next_line();
    let orphan = line.strip_prefix("[n1] orphan ").expect("its number").trim().to_owned();
    let parent = || {
        let status = fs::read_to_string(format!("/proc/{orphan}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse::<u32>().ok()
    };
    eventually("it is adopted", || parent() == Some(agent.pid()));
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), Some(0));
    eventually("the orphan has ended", || parent().is_none());
}

#[test]
fn signals_are_passed_on_to_the_app() {
    let script = r#"
        trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'echo usr2' USR2
        trap 'echo winch' WINCH; trap 'echo quit; exit 5' QUIT
        echo trapped
        while :; do sleep 0.01; done
    "#;
    let mut agent = Lb::spawn(&mut agent_of(&["--port", "1", "--ready", "notify"], script));
    assert_eq!(agent.next_line(), "[n1] trapped\n");
    let signals = [
        (Signal::HUP, "hup"),
        (Signal::USR1, "usr1"),
        (Signal::USR2, "usr2"),
        (Signal::WINCH, "winch"),
        (Signal::QUIT, "quit"),
    ];
    for (signal, name) in signals {
        agent.signal(signal);
        assert_eq!(agent.next_line(), format!("[n1] {name}\n"));
    }
    assert_eq!(agent.wait().code(), Some(5));
}

#[test]
fn an_app_that_ignores_term_is_killed_after_its_grace() {
    let script = "trap '' TERM; echo ignoring; while :; do sleep 0.01; done";
    let args = ["--port", "1", "--ready", "notify", "--grace", "200ms"];
    let mut agent = Lb::spawn(&mut agent_of(&args, script));
    assert_eq!(agent.next_line(), "[n1] ignoring\n");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), Some(128 + 9));
}

#[test]
fn an_app_that_ends_too_often_ends_the_agent_with_its_code() {
    for (limit, script, code, lives) in
        [("0", "echo begun; exit 3", 3, 1), ("1/1h", "echo begun; kill -9 $$", 137, 2)]
    {
        let args = ["--port", "1", "--ready", "notify", "--max-restarts", limit];
        let output = finish(&mut agent_of(&args, script));
        assert_eq!(output.status.code(), Some(code));
        let lines = text(&output.stdout);
        assert_eq!(lines.matches("[n1] begun\n").count(), lives, "{lines}");
    }
}

#[test]
fn lines_go_where_they_came_from_and_can_be_objects() {
    let script = "echo out; echo err >&2; printf last";
    let args = ["--port", "1", "--ready", "notify", "--max-restarts", "0"];
    let output = finish(&mut agent_of(&args, script));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.ends_with("\n[n1] out\n[n1] last\n"), "{stdout}");
    assert!(stderr.contains("[n1] err\n") && !stdout.contains("err"), "{stderr}");
    let args = [&args[..], &["--log-format", "json"]].concat();
    let stdout = text(&finish(&mut agent_of(&args, script)).stdout);
    let first = stdout.lines().nth(1).expect("a line");
    let first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first, serde_json::json!({ "node": "n1", "stream": "stdout", "line": "out" }));
}

#[test]
fn the_app_sees_its_environment_but_not_the_key_nor_our_own_supervisor() {
    let supervisor = folder();
    let socket = supervisor.join("s");
    let _socket = UnixDatagram::bind(&socket).expect("a socket");
    let args = ["--port", "1", "--ready", "notify", "--max-restarts", "0", "--watchdog", "5s"];
    let mut command = agent_of(&args, "env; exit 0");
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_PID", "1").env("FRUIT", "pear");
    command.env("TMPDIR", &*supervisor);
    let stdout = text(&finish(&mut command).stdout);
    let value =
        |name: &str| stdout.lines().find_map(|line| line.strip_prefix(&format!("[n1] {name}=")));
    assert_eq!(value("FRUIT"), Some("pear"));
    assert_eq!((value("LB_ANNOUNCE_KEY"), value("WATCHDOG_PID")), (None, None));
    assert_eq!(value("WATCHDOG_USEC"), Some("5000000"));
    let own = value("NOTIFY_SOCKET").expect("a socket of its own");
    assert!(own.ends_with("/notify") && own.contains("lb-agent-"), "{own}");
    assert!(!fs::exists(own).expect("a folder"), "it is gone");
}

/// What an app would do with a library for it.
fn notify(agent: &Lb, told: &str) {
    let line = agent.next_line();
    let path = line.strip_prefix("[n1] socket ").expect("the socket").trim();
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.send_to(told.as_bytes(), path).expect("the agent hears");
}

#[test]
fn an_app_is_ready_when_it_says_so_and_leaves_when_it_says_so() {
    let balancer = Balancer::start("");
    let to = balancer.to.to_string();
    let fixed = ["agent", "--join", &to, "--cluster", "static", "--name", "n1", "--port", "1"];
    let script = "echo socket $NOTIFY_SOCKET; echo socket $NOTIFY_SOCKET; exec sleep 1000";
    let more = ["--ready", "notify", "--check", "off", "--", "/bin/sh", "-c", script];
    let mut command = lb(&[&fixed[..], &more].concat());
    let agent = Lb::spawn(command.env("LB_ANNOUNCE_KEY", KEY));
    assert_eq!(balancer.backends(), [""; 0]);
    notify(&agent, "READY=1\n");
    eventually("it is there", || balancer.backends() == ["n1"]);
    notify(&agent, "STOPPING=1");
    eventually("it is gone", || balancer.backends().is_empty());
}

#[test]
fn an_app_is_ready_when_it_writes_a_line_to_its_file_descriptor() {
    let balancer = Balancer::start("");
    let to = balancer.to.to_string();
    for number in ["3", "7"] {
        let fixed = ["agent", "--join", &to, "--cluster", "static", "--name", number];
        let fd = format!("fd:{number}");
        let script = format!("echo >&{number}; exec {number}>&-; exec sleep 1000");
        let more =
            ["--port", "1", "--check", "off", "--ready", &fd, "--", "/bin/sh", "-c", &script];
        let mut command = lb(&[&fixed[..], &more].concat());
        let mut agent = Lb::spawn(command.env("LB_ANNOUNCE_KEY", KEY));
        eventually("it is there", || balancer.backends() == [number]);
        agent.signal(Signal::INT);
        assert_eq!(agent.wait().code(), Some(0));
        eventually("it is gone", || balancer.backends().is_empty());
    }
}

#[test]
fn an_app_that_cannot_be_started_is_named() {
    let output = finish(&mut agent(&["--port", "1"], &["./no-such-app"]));
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("error: cannot start `./no-such-app`: No such file"), "{stderr}");
    let output = finish(&mut agent(&["--port", "1", "--ready", "soon"], &["true"]));
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("it is one of `tcp`, `http:/path`, `notify`, `fd:3`"), "{stderr}");
}

#[test]
fn something_that_answers_in_place_of_the_app_is_told_of() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = other.local_addr().expect("an address").port().to_string();
    let output = finish(&mut agent_of(&["--port", &port, "--max-restarts", "0"], "exit 0"));
    let told = format!("something answers at 127.0.0.1:{port} or [::1]:{port} before the app");
    assert!(text(&output.stderr).contains(&told), "{}", text(&output.stderr));
}
