//! The signals of a balancer.

use std::io;

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// Signals that are taken, and the runtime that takes them. Made before anything
/// starts, so that none is missed.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(super) runtime: Runtime,
    pub(super) taken: Taken,
}

#[derive(Debug)]
pub(super) struct Taken {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) quit: Signal,
    /// Only a service has these; a program in a terminal ends with the terminal.
    pub(super) service: Option<ServiceSignals>,
}

#[derive(Debug)]
pub(super) struct ServiceSignals {
    pub(super) reload: Signal,
    pub(super) reopen: Signal,
    /// Must not do what the system does with a signal nobody takes, which is to end
    /// the process without a drain.
    pub(super) upgrade: Signal,
}

impl Signals {
    /// For a program in a terminal.
    pub(crate) fn of_a_program() -> io::Result<Self> {
        Self::listen(false)
    }

    /// For a service.
    pub(crate) fn of_a_service() -> io::Result<Self> {
        Self::listen(true)
    }

    /// For a test, which shares its process with others: one signal, which ends it.
    #[cfg(test)]
    pub(crate) fn of_a_test(kind: SignalKind) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let (terminate, interrupt, quit) = (signal(kind)?, signal(kind)?, signal(kind)?);
        drop(inside);
        Ok(Self { runtime, taken: Taken { terminate, interrupt, quit, service: None } })
    }

    fn listen(is_service: bool) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let quit = signal(SignalKind::quit())?;
        let service = is_service.then(ServiceSignals::listen).transpose()?;
        drop(inside);
        Ok(Self { runtime, taken: Taken { terminate, interrupt, quit, service } })
    }
}

impl ServiceSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}
