//! What this process says to its own supervisor: systemd's `NOTIFY_SOCKET`, and the file
//! descriptor of s6 (`--notification-fd`).
//!
//! The datagrams are written here: the crates for it know no abstract sockets, or want the
//! variable removed, which is not safe once there are threads. Nobody waits for a
//! supervisor: what it does not take is told once and lost.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::interval;

/// Whom this process tells how it is; nobody, if nobody asked.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<UnixDatagram>,
    /// Told by the first line that is written there.
    notification: Option<File>,
    /// By whoever says that all is ready, so that it is written once. Nothing else hangs
    /// on it.
    has_told: AtomicBool,
    /// Within what time it wants to hear of us.
    watchdog: Option<Duration>,
    /// By whoever tells, so that a supervisor that is gone is told of once. Nothing else
    /// hangs on it.
    has_failed: AtomicBool,
}

impl Notifier {
    /// Whoever the environment names, and the file descriptor that was given.
    ///
    /// # Errors
    ///
    /// If there is no such file descriptor. A socket that is not there is told of: the
    /// variable may have come by way of others.
    pub(crate) fn new(notification_fd: Option<i32>) -> anyhow::Result<Self> {
        let notification = notification_fd.map(open).transpose()?;
        let nobody = Self { notification, ..Self::default() };
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let Some(name) = variable("NOTIFY_SOCKET") else { return Ok(nobody) };
        let socket = match connect(&name) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!("cannot reach NOTIFY_SOCKET={}: {error}", name.display());
                return Ok(nobody);
            }
        };
        let number = |name| variable(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        let watchdog = watchdog.map(Duration::from_micros);
        Ok(Self { socket: Some(socket), watchdog, ..nobody })
    }

    /// It can be used; also after reading its configuration again, whatever came of that.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
        if let Some(mut file) = self.notification.as_ref()
            && !self.has_told.swap(true, Ordering::Relaxed)
            && let Err(error) = file.write_all(b"\n")
        {
            self.failed(&error);
        }
    }

    /// It is reading its configuration. [`Self::ready`] has to follow.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It is about to end.
    pub(crate) fn stopping(&self, status: &str) {
        self.say(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// One line for people.
    pub(crate) fn status(&self, text: &str) {
        self.say(&format!("STATUS={text}"));
    }

    /// Says for ever that this runtime is alive, twice in the time that the supervisor
    /// waits; never, if it does not wait.
    pub(crate) async fn live(&self) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        let mut ticks = interval(watchdog / 2);
        loop {
            ticks.tick().await;
            self.say("WATCHDOG=1");
        }
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &io::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the supervisor cannot be told how this process is");
        }
    }
}

/// Opened anew, since nothing safe can take over a number. It stays open beside this.
fn open(number: i32) -> anyhow::Result<File> {
    let opened = File::options().write(true).open(format!("/dev/fd/{number}"));
    opened.with_context(|| format!("file descriptor {number} is not open for writing"))
}

/// A name that begins with `@` is none in the file system.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
