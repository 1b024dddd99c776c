//! The app as a process: started in a group of its own, signalled, and waited for.
//!
//! As the first process of a container, and as a subreaper elsewhere, the agent is also
//! given the orphans of whatever the app starts. So it waits for all children itself, and
//! nothing else in this process may. It looks before it waits for the app: until then the
//! number of the group is still the app's, and what is left of the group can be ended
//! without meeting a stranger.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal as _, PipeReader, pipe, stdin},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, kill_process,
    kill_process_group, set_child_subreaper, wait, waitid,
};
use tokio::net::unix::pipe::Receiver;

use super::{
    lines::{Forward, Stream},
    question::Question,
    supervisor::End,
};

/// How it is learned that an app takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// It answers.
    Answers(Question),
    /// It says so on the socket of `NOTIFY_SOCKET`.
    Notifies,
    /// It writes a line to this file descriptor, and is then closed.
    Writes(i32),
}

/// A running app.
#[derive(Debug)]
pub(super) struct App {
    pid: Pid,
    /// Where it says that it is ready.
    pub(super) says_ready: Option<Receiver>,
}

/// What is to be started.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) command: &'a [OsString],
    pub(super) ready: &'a Ready,
    pub(super) notify_socket: Option<&'a Path>,
    pub(super) watchdog: Option<Duration>,
    /// Where our own supervisor listens, which the app must not have.
    pub(super) not_for_it: Option<i32>,
}

impl App {
    /// Starts it, with its output forwarded.
    ///
    /// # Errors
    ///
    /// Nothing runs then.
    pub(super) fn start(program: &Program<'_>, lines: &Forward) -> io::Result<Self> {
        let (name, args) = program.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(name);
        command.args(args).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        if stdin().is_terminal() {
            // Another group than that of the terminal is stopped when it reads there.
            command.stdin(Stdio::null());
        }
        // What our own supervisor told us, and a secret that is none of its business.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LB_ANNOUNCE_KEY"] {
            command.env_remove(name);
        }
        if let Some(path) = program.notify_socket {
            command.env("NOTIFY_SOCKET", path);
        }
        if let Some(watchdog) = program.watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let mut ready = None;
        let mut mappings = Vec::new();
        if let Ready::Writes(child_fd) = *program.ready {
            let (reader, writer) = pipe()?;
            ready = Some(reader);
            mappings.push(FdMapping { parent_fd: writer.into(), child_fd });
        }
        if let Some(child_fd) = program.not_for_it
            && mappings.iter().all(|mapping| mapping.child_fd != child_fd)
        {
            let nothing = File::options().write(true).open("/dev/null")?;
            mappings.push(FdMapping { parent_fd: nothing.into(), child_fd });
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        let mut app = Self { pid: pid_of(&child)?, says_ready: None };
        let attached = app.attach(&mut child, ready, lines);
        if attached.is_err() {
            app.kill();
        }
        attached.map(|()| app)
    }

    fn attach(
        &mut self,
        child: &mut Child,
        ready: Option<PipeReader>,
        lines: &Forward,
    ) -> io::Result<()> {
        if let Some(stdout) = child.stdout.take() {
            lines.forward(stdout, Stream::Stdout)?;
        }
        if let Some(stderr) = child.stderr.take() {
            lines.forward(stderr, Stream::Stderr)?;
        }
        self.says_ready = ready.map(|pipe| Receiver::from_owned_fd(pipe.into())).transpose()?;
        Ok(())
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal; one that is stopped goes on, to hear it.
    pub(super) fn signal(&self, signal: Signal) {
        // It has ended if this fails, and that is told soon.
        let _ = kill_process(self.pid, signal);
        let _ = kill_process(self.pid, Signal::CONT);
    }

    /// Ends it, and what it has started and kept in its group.
    pub(super) fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid), look).is_ok_and(|status| status.is_some())
    }
}

/// Waits for all who have ended, without waiting for one to end. Says how the app ended, if
/// it has; then nothing of its group is left either.
pub(super) fn reap(app: Option<&App>) -> Option<End> {
    if let Some(app) = app.filter(|app| app.has_ended()) {
        app.kill();
    }
    let mut end = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if app.is_some_and(|app| app.pid == pid) {
            end = Some(end_of(status));
        }
    }
    end
}

/// Has orphans of the app come to this process, so that no more is left of them than of
/// the app.
pub(super) fn adopt_orphans() {
    if !getpid().is_init() {
        // Without it, they go to whoever adopts ours.
        if let Err(error) = set_child_subreaper(Some(getpid())) {
            tracing::warn!(%error, "orphans of the app go to the system");
        }
    }
}

fn end_of(status: WaitStatus) -> End {
    let small = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match status.terminating_signal() {
        Some(signal) => End::Signal(small(signal)),
        None => End::Code(status.exit_status().map_or(u8::MAX, small)),
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let raw = i32::try_from(child.id()).map_err(io::Error::other)?;
    Pid::from_raw(raw).ok_or_else(|| io::Error::other("it has no number"))
}
