//! Starting `lb`, and ending it again whatever happens to the test.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long anything may take. Far more than it does, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A command that sees nothing of this machine's own configuration.
pub(crate) fn lb(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lb"));
    // An empty folder for all: only tests that look for files have one of their own.
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-empty");
    fs::create_dir_all(&nowhere).expect("a folder for the test");
    command.args(args).env_clear().env("HOME", &nowhere).current_dir(&nowhere);
    // Tests run side by side: whoever wants the API says where.
    command.env("LB_ADMIN", "off");
    // What one test changes is nothing to another.
    command.env("LB_STATE", "off");
    command
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Output {
    finish_with_input(command, "")
}

/// Runs a command to its end, with this as its standard input. Ends it and fails
/// when that takes too long.
pub(crate) fn finish_with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // It may end without having read anything.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let stdout = read_all(child.stdout.take().expect("a pipe"));
    let stderr = read_all(child.stderr.take().expect("a pipe"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    let read = |reader: JoinHandle<Vec<u8>>| reader.join().expect("a reader");
    let (stdout, stderr) = (read(stdout), read(stderr));
    let Some(status) = status else {
        panic!("it did not end: {command:?}\n{}{}", text(&stdout), text(&stderr));
    };
    Output { status, stdout, stderr }
}

/// Reads a pipe to its end, so that the process never waits at a full one.
fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        all
    })
}

/// A folder that is gone with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A new empty folder.
pub(crate) fn folder() -> Folder {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("cli-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("a folder for the test");
    Folder(folder)
}

/// A configuration file in a folder of its own; dereferences to its name.
#[derive(Debug)]
pub(crate) struct File {
    name: String,
    _folder: Folder,
}

impl Deref for File {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

/// A configuration file with this text.
pub(crate) fn file(text: &str) -> File {
    let folder = folder();
    let path = folder.join("lb.toml");
    fs::write(&path, text).expect("a file for the test");
    File { name: path.to_str().expect("a printable path").to_owned(), _folder: folder }
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
    /// What it prints below.
    lines: mpsc::Receiver<String>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Lb {
    /// Starts `lb` and waits for its start line.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(&mut lb(args))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_telling(command, Stdio::piped())
    }

    /// The same, with a standard error of the test's own.
    pub(crate) fn spawn_telling(command: &mut Command, stderr: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().map(read_all);
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            // Somebody has to read on, or the process would stop at a full pipe.
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let _ = send.send(text(&line));
                line.clear();
            }
        });
        let mut lb = Self { child, start_line: String::new(), lines: receive, stderr };
        lb.start_line = lb.next_line();
        if lb.start_line.is_empty() {
            let error = lb.stderr.is_some().then(|| lb.stderr());
            panic!("lb did not start: {error:?}");
        }
        lb
    }

    /// The next line of what it prints; empty if there is none.
    pub(crate) fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_default()
    }

    /// The address it listens on, from the start line.
    pub(crate) fn address(&self) -> SocketAddr {
        let (_, url) = self.start_line.split_once("http://").expect("a URL in the start line");
        let end = url.find([';', ',', ' ']).expect("something after the URL");
        url[..end].parse().expect("an address in the start line")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
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
        let reader = self.stderr.take().expect("asked for once");
        text(&reader.join().expect("a reader"))
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
