//! A proxy process that is always ended and reaped, whatever happens to the run.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{cores, cpu};

/// How long a proxy may take to listen, and to end when told to.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    log: PathBuf,
    reaped: bool,
}

impl Child {
    /// Starts `command` pinned to `core`, its output in a file of `directory`.
    pub(crate) fn start(mut command: Command, core: usize, directory: &Path) -> Result<Self> {
        let log = directory.join("output");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A new process inherits the affinity of the thread that starts it: no
        // `taskset`, and the proxy counts the cores it really has.
        let own = rustix::thread::sched_getaffinity(None)?;
        cores::pin_this_thread(core)?;
        let spawned = command.spawn();
        rustix::thread::sched_setaffinity(None, &own)?;
        let process = spawned.with_context(|| format!("starting {command:?}"))?;
        Ok(Self { process, log, reaped: false })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until somebody accepts connections there.
    pub(crate) fn wait_for_port(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                self.reaped = true;
                bail!("ended at once ({status}); it said:\n{}", self.output());
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("does not listen on {address}; it said:\n{}", self.output());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends the process and waits for it.
    pub(crate) fn end(mut self) -> Result<()> {
        self.stop()
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn stop(&mut self) -> Result<()> {
        if self.reaped {
            return Ok(());
        }
        // Collected before the parent ends: afterwards nobody knows them as its children.
        let family = cpu::tree(self.pid())?;
        signal(self.pid(), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                for pid in family.into_iter().rev() {
                    signal(pid, Signal::KILL);
                }
                self.process.wait()?;
                break;
            }
            std::thread::sleep(POLL);
        }
        self.reaped = true;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("process {} may still run: {error}", self.pid());
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself in the meantime.
        let _ = kill_process(pid, signal);
    }
}
