//! Starting `lb`, and ending it again whatever happens to the test.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take. Far more than it does, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A command that sees nothing of this machine's own configuration.
pub(crate) fn lb(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lb"));
    // An empty folder for all: only tests that look for files have one of their own.
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-empty");
    fs::create_dir_all(&nowhere).expect("a folder for the test");
    command.args(args).env_clear().env("HOME", &nowhere).current_dir(&nowhere);
    command
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the binary runs")
}

/// Runs a command to its end, with this as its standard input.
pub(crate) fn finish_with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads its input");
    child.wait_with_output().expect("the binary ends")
}

/// A new empty folder.
pub(crate) fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("cli-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// A configuration file with this text.
pub(crate) fn file(text: &str) -> String {
    let path = folder().join("lb.toml");
    fs::write(&path, text).expect("a file for the test");
    path.to_str().expect("a printable path").to_owned()
}

/// Polls until `what` is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running `lb`. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Lb {
    child: Child,
    pub(crate) start_line: String,
}

impl Lb {
    /// Starts `lb` and waits for its start line.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(&mut lb(args))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("a pipe");
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = send.send(line);
            // Somebody has to read on, or the process would stop at a full pipe.
            let _ = reader.read_to_end(&mut Vec::new());
        });
        let start_line = receive.recv_timeout(PATIENCE).expect("a start line in time");
        let mut lb = Self { child, start_line };
        if lb.start_line.is_empty() {
            let error = lb.stderr();
            panic!("lb did not start: {error}");
        }
        lb
    }

    /// The address it listens on, from the start line.
    pub(crate) fn address(&self) -> SocketAddr {
        let (_, url) = self.start_line.split_once("http://").expect("a URL in the start line");
        let end = url.find([';', ',', ' ']).expect("something after the URL");
        url[..end].parse().expect("an address in the start line")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it still runs");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("lb ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// What it wrote to stderr. Ends it first.
    pub(crate) fn stderr(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
