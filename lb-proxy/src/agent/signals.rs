//! The signals of an agent: some end it, others are for the app.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Some child has ended.
    Child,
    /// A signal that is to end all.
    Ends(Signal),
    /// A signal that the app is to have.
    Passes(Signal),
}

/// Those that are taken, before anything is started, so that none is missed.
#[derive(Debug)]
pub(super) struct Signals {
    child: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    hangup: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
    window: unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            window: signal(SignalKind::window_change())?,
        })
    }

    pub(super) async fn next(&mut self) -> Heard {
        tokio::select! {
            // A death is told before the wish to end it.
            biased;
            _ = self.child.recv() => Heard::Child,
            _ = self.terminate.recv() => Heard::Ends(Signal::TERM),
            _ = self.interrupt.recv() => Heard::Ends(Signal::INT),
            _ = self.quit.recv() => Heard::Ends(Signal::QUIT),
            _ = self.hangup.recv() => Heard::Passes(Signal::HUP),
            _ = self.user1.recv() => Heard::Passes(Signal::USR1),
            _ = self.user2.recv() => Heard::Passes(Signal::USR2),
            _ = self.window.recv() => Heard::Passes(Signal::WINCH),
        }
    }
}
