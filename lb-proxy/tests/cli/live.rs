//! Commands that ask a running `lb`, with the real one.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;

use crate::process::{Folder, Lb, PATIENCE, eventually, finish, folder, lb, text};

/// A running `lb` whose socket is in a folder of its own.
pub(crate) struct Live {
    pub(crate) folder: Folder,
    pub(crate) lb: Lb,
}

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

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

impl Live {
    pub(crate) fn start(config: &str) -> Self {
        let folder = folder();
        std::fs::write(folder.join("lb.toml"), config).expect("a file for the test");
        let lb = Lb::spawn(at_home(&folder, &["run", "--config", "lb.toml"]).current_dir(&*folder));
        Self { folder, lb }
    }

    /// Has another text in its file; it is read when that is asked for.
    pub(crate) fn write(&self, config: &str) {
        std::fs::write(self.folder.join("lb.toml"), config).expect("a file for the test");
    }

    /// Ends it at once, and starts it again as it was.
    pub(crate) fn restart(&mut self) {
        self.lb.signal(rustix::process::Signal::KILL);
        self.lb.wait();
        let mut command = at_home(&self.folder, &["run", "--config", "lb.toml"]);
        self.lb = Lb::spawn(command.current_dir(&*self.folder));
    }

    /// The folder with its file.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        at_home(&self.folder, args)
    }

    pub(crate) fn say(&self, args: &[&str]) -> Said {
        said(&mut self.command(args))
    }

    /// Where its API is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("lb.sock")
    }

    /// What it says when all is well.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let Said { code, stdout, stderr } = self.say(args);
        assert_eq!((code, &*stderr), (Some(0), ""), "{args:?}: {stdout}");
        stdout
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).expect("JSON")
    }
}

pub(crate) fn at_home(folder: &Folder, args: &[&str]) -> Command {
    let mut command = lb(args);
    command.env_remove("LB_ADMIN").env("XDG_RUNTIME_DIR", &**folder);
    command.env("LB_STATE", folder.join("state.db"));
    command
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = finish(command);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Said { code: output.status.code(), stdout, stderr }
}

/// From the second line on: the first has the port and the process in it.
fn below(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, below)| below)
}

#[test]
fn the_state_of_every_backend_is_told_with_its_weight_share_and_reason() {
    let live = Live::start(TWO);
    live.done(&["disable", "web/s2"]);
    let status = live.done(&["status"]);
    let (head, below) = status.split_once('\n').expect("more than a line");
    assert!(head.starts_with("lb 0.1.0 serving on 127.0.0.1:"), "{head}");
    let port = live.lb.address().port();
    assert!(head.contains(&format!(":{port}; lb.toml, configuration 1; up ")), "{head}");
    assert!(head.ends_with(&format!("pid {}", live.lb.pid())), "{head}");
    let table = "\
web: round-robin, 1 of 2 take requests
backend  state     weight  share  in flight  req/s  errors  p99  tier  address
web/s1   unknown        3   100%          0      0       -    -     0  127.0.0.1:1
web/s2   disabled       1     0%          0      0       -    -     0  127.0.0.1:2
  why: takes no requests; nothing is in flight
  set: state is disabled, the file says enabled (lb undo 1)
";
    assert_eq!(below, format!("\n{table}"));
    assert_eq!(live.done(&["status", "web"]), table);
    assert_eq!(live.done(&["ls", "web"]), table);
    let narrow = said(live.command(&["status", "web"]).env("COLUMNS", "33")).stdout;
    assert!(narrow.contains("\nweb/s1   unknown        3   100%\n"), "{narrow}");
    let json = live.json(&["status"]);
    assert_eq!(json["status"]["clusters"][0]["usable"], 1);
    assert_eq!(json["clusters"][0]["backends"][1]["admin"], "disabled");
}

#[test]
fn a_check_fails_when_a_cluster_is_degraded() {
    let live = Live::start(TWO);
    assert_eq!(live.say(&["status", "--check"]).code, Some(0));
    live.done(&["disable", "web/*", "--force"]);
    let failed = live.say(&["status", "web", "--check"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stdout.starts_with("web: round-robin, 0 of 2 take requests, degraded\n"));
    assert_eq!(live.say(&["status"]).code, Some(0), "it is a check only if it is said to be");
}

#[test]
fn every_change_says_what_is_true_now_and_how_to_undo_it() {
    let live = Live::start(TWO);
    let mut next = 0;
    let mut change = |args: &[&str], truth: &str| {
        next += 1;
        let lines = live.done(args);
        let lines: Vec<&str> = lines.lines().collect();
        let undo = format!("Undo: lb undo {next}");
        assert_eq!((lines[0], lines[lines.len() - 1]), (truth, &*undo), "{args:?}");
    };
    change(&["drain", "web/s1"], "web/s1 draining: no new clients; nothing is in flight; weight 3");
    change(&["enable", "web/s1"], "web/s1 unknown: weight 3, share 75%");
    change(&["set-weight", "web/s1", "4"], "web/s1 unknown: weight 4, share 80%");
    change(&["set-weight", "web/s1", "default"], "web/s1 unknown: weight 3, share 75%");
    change(&["set-strategy", "web", "maglev", "key=uri"], "web: strategy maglev");
    change(&["add", "web", "127.0.0.1:3", "--name", "s3"], "web/s3 unknown: weight 1, share 20%");
    change(&["remove", "web/s2"], "web/s2 is gone");
    change(&["undo", "7", "--why", "too early"], "web/s2 unknown: weight 1, share 20%");
    let again = live.done(&["enable", "web/s1"]);
    assert!(again.ends_with("Nothing was changed: it was so already.\n"), "{again}");
    let dry = live.done(&["rm", "web/s1", "--dry-run"]);
    assert!(dry.starts_with("would be: web: 0 requests in flight, share "), "{dry}");
    assert!(dry.ends_with("Nothing was changed: this was a dry run.\n"), "{dry}");
}

#[test]
fn undo_takes_back_the_last_change_that_stands_then_the_one_before() {
    let live = Live::start(TWO);
    live.done(&["set-weight", "web/s1", "4"]);
    live.done(&["drain", "web/s2", "--why", "disk"]);
    assert!(live.done(&["undo"]).starts_with("web/s2 unknown: weight 1, share 20%\n"));
    assert!(live.done(&["undo"]).starts_with("web/s1 unknown: weight 3, share 75%\n"));
    let over = live.say(&["undo"]);
    assert_eq!(over.code, Some(4));
    assert!(over.stderr.starts_with("error: no change of yours is left to undo\n"));
    let lines = live.done(&["changes"]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 8, "{lines:?}");
    assert!(lines[1].contains("weight: 3 → 4") && lines[1].ends_with("  4"), "{lines:?}");
    assert!(lines[2].contains("state: enabled → draining"), "{lines:?}");
    assert_eq!(lines[3], "  why: disk");
    assert_eq!(lines[5], "  undoes: 2");
    assert_eq!(live.json(&["changes", "-n", "1"])[0]["undoes"], 1);
    assert_eq!(live.say(&["undo", "99"]).code, Some(4));
    live.done(&["set-weight", "web/s1", "5"]);
    let stale = live.say(&["undo", "1"]);
    assert_eq!(stale.code, Some(5), "{stale:?}");
}

#[test]
fn who_is_not_there_is_told_with_who_was_meant() {
    let live = Live::start(TWO);
    for (args, error) in [
        (
            &["drain", "web/s9"][..],
            "error: `web` has no backend `s9`\n  help: did you mean `web/s1`?\n",
        ),
        (
            &["enable", "wbe/s1"],
            "error: there is no cluster `wbe`\n  help: did you mean `web/s1`?\n",
        ),
        (
            &["disable", "s2"],
            "error: `s2` says no cluster: a backend is `CLUSTER/BACKEND`\n  help: did you mean `web/s2`?\n",
        ),
        (&["status", "wbe"], "error: there is no cluster `wbe`\n  help: did you mean `web`?\n"),
        (
            &["add", "wbe", "127.0.0.1:3"],
            "error: there is no cluster `wbe`\n  help: did you mean `web`?\n",
        ),
    ] {
        let said = live.say(args);
        assert_eq!((said.code, &*said.stdout, &*said.stderr), (Some(4), "", error), "{args:?}");
    }
    let nobody = live.say(&["drain"]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.stderr.contains("help: there are web/s1 (unknown), web/s2 (unknown)\n"));
    assert_eq!(live.say(&["set-strategy", "web", "maglve"]).code, Some(2));
    assert_eq!(live.say(&["set-weight", "web/s1", "banana"]).code, Some(2));
    assert_eq!(live.json(&["changes"]), Value::Array(Vec::new()), "and nothing was changed");
}

#[test]
fn what_would_do_harm_has_to_be_forced() {
    let live = Live::start(TWO);
    let all = live.say(&["drain", "web/*"]);
    assert_eq!(all.code, Some(5));
    assert_eq!(
        all.stderr,
        "error: web/* means all 2 backends of `web`\n  help: repeat with `--force` if they are meant\n"
    );
    live.done(&["disable", "web/s1"]);
    let last = live.say(&["disable", "web/s2"]);
    assert_eq!(last.code, Some(5));
    assert_eq!(
        last.stderr,
        "error: web/s2 is the last usable backend of `web` (s1 disabled)\n  \
         help: enable another one first, or repeat with `--force`\n"
    );
    live.done(&["disable", "web/s2", "--force"]);
    let both = live.done(&["enable", "web/s?", "--force"]);
    assert!(both.ends_with("Undo: lb undo 4 3\n"), "{both}");
    live.done(&["undo", "4", "3", "--force"]);
    assert_eq!(live.say(&["status", "--check"]).code, Some(1));
}

/// A backend that answers when it is told to.
struct Patient {
    address: SocketAddr,
    asked: mpsc::Receiver<TcpStream>,
}

impl Patient {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (send, asked) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut byte = [0];
                let mut stream = stream;
                if stream.read_exact(&mut byte).is_ok() {
                    let _ = send.send(stream);
                }
            }
        });
        Self { address, asked }
    }
}

#[test]
fn a_drain_waits_for_the_last_request_and_says_how_many_are_left() {
    let patient = Patient::start();
    let live = Live::start(&format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"web\"\n[admin]\nlisten = \"off\"\n\
         [cluster.web]\nstrategy = \"first\"\nbackends = [\
         {{ address = \"{}\", name = \"s1\" }}, {{ address = \"127.0.0.1:1\", name = \"s2\" }}]\n",
        patient.address
    ));
    let mut client = TcpStream::connect(live.lb.address()).expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut asked = patient.asked.recv_timeout(PATIENCE).expect("a request");

    let late = live.say(&["drain", "web/s1", "--timeout", "50ms"]);
    assert_eq!(late.code, Some(7));
    assert!(late.stderr.starts_with("web/s1: 1 request left (0 s)\n"), "{}", late.stderr);
    assert!(late.stderr.ends_with(
        "error: not drained after 0 s: web/s1: 1 request left\n  help: the drain goes on\n"
    ));

    let mut waiting = live
        .command(&["drain", "web/s1", "--wait"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut progress = BufReader::new(waiting.stderr.take().expect("a pipe")).lines();
    let line = progress.next().expect("a line").expect("text");
    assert_eq!(line, "web/s1: 1 request left (0 s)");
    assert!(waiting.try_wait().expect("a child").is_none(), "the request is in flight");
    asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it reads");
    eventually("the wait is over", || waiting.try_wait().expect("a child").is_some());
    let output = waiting.wait_with_output().expect("it has ended");
    assert_eq!(output.status.code(), Some(0));
    let stdout = text(&output.stdout);
    assert!(stdout.ends_with("\nweb/s1 is drained: it can be stopped\n"), "{stdout}");
}

#[test]
fn what_happened_is_told_and_followed() {
    let live = Live::start(TWO);
    live.done(&["set-weight", "web/s1", "4", "--why", "bigger"]);
    let line = live.done(&["events", "--since", "1h"]);
    let line = line.lines().last().expect("an event");
    assert!(line.contains("Z  change    web/s1  weight 3 → 4  why: bigger  by "), "{line}");
    assert!(line.ends_with("  undo: lb undo 1"), "{line}");

    let mut following = live
        .command(&["events", "-f", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    while next()["change"] != 1 {}
    live.done(&["drain", "web/s2"]);
    while next()["change"] != 2 {}
    let pid = i32::try_from(following.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it still runs");
    assert_eq!(following.wait().expect("a child").code(), Some(130));
}

#[test]
fn sources_and_generations_are_told_with_their_causes() {
    let live = Live::start(TWO);
    let sources = live.done(&["sources"]);
    let line = sources.lines().nth(1).expect("a source");
    assert!(line.starts_with("web      connected         2  "), "{sources}");
    assert!(line.ends_with("  lb.toml"), "{sources}");
    live.done(&["add", "web", "127.0.0.1:3"]);
    let generations = live.done(&["generations", "web"]);
    assert!(generations.contains("  joined: s1 s2\n"), "{generations}");
    assert!(generations.contains("  joined: 127.0.0.1:3\n  why: person: "), "{generations}");
    assert_eq!(live.say(&["generations", "wbe"]).code, Some(4));
}

#[test]
fn a_reload_says_what_is_different_or_what_is_wrong() {
    let live = Live::start(TWO);
    let path = live.folder.join("lb.toml");
    std::fs::write(&path, TWO.replace("127.0.0.1:2", "127.0.0.1:4")).expect("a file");
    let told = live.done(&["reload"]);
    assert!(told.starts_with("configuration 2: "), "{told}");
    assert!(told.contains("web"), "{told}");
    std::fs::write(&path, "listen = 1\n").expect("a file");
    let refused = live.say(&["reload"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{refused:?}");
    assert!(refused.stderr.contains("what ran before still runs"), "{refused:?}");
}

#[test]
fn explain_asks_what_runs_unless_a_file_is_named() {
    let live = Live::start(TWO);
    live.done(&["disable", "web/s2"]);
    let ask = ["explain", "GET", "/", "-H", "Host: a"];
    let running = live.done(&ask);
    let socket = live.folder.join("lb.sock").display().to_string();
    assert!(running.contains(&format!("\n  asked    unix:{socket}\n\nbackend")), "{running}");
    let table = below(running.split_once("\n\n").expect("a table").1);
    assert_eq!(
        table,
        "s1       yes          unknown\n\
         s2       no           disabled: takes no requests; nothing is in flight\n"
    );
    let json = live.json(&ask);
    assert_eq!(json["backends"][1]["eligible"], false);
    assert_eq!(json["cluster"], "web");
    let file = live.folder.join("lb.toml").display().to_string();
    let offline = live.done(&[&ask[..], &["--config", &file]].concat());
    assert!(!offline.contains("asked"), "{offline}");
}
