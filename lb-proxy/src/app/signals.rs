//! The signals of a balancer.

use std::{future::pending, io};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::serve::Interrupting;

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
    quit: Signal,
    /// Only a service has these; a program in a terminal ends with the terminal.
    service: Option<ServiceSignals>,
}

#[derive(Debug)]
pub(super) struct ServiceSignals {
    reload: Signal,
    reopen: Signal,
    /// Must not do what the system does with a signal nobody takes, which is to end
    /// the process without a drain.
    upgrade: Signal,
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

impl Taken {
    /// What the next signal wants. Signals that come close together are found together,
    /// and nobody can tell which was sent first. So what is done at once is done before an
    /// end, which may have come after it; and a reload is begun after none.
    pub(super) async fn next(&mut self) -> Interrupting {
        let Self { terminate, interrupt, quit, service } = self;
        let (reload, reopen, upgrade) = match service {
            Some(ServiceSignals { reload, reopen, upgrade }) => {
                (Some(reload), Some(reopen), Some(upgrade))
            }
            None => (None, None, None),
        };
        let ends = (terminate.recv(), interrupt.recv(), quit.recv());
        in_order((came(reopen), came(upgrade)), ends, came(reload)).await
    }
}

/// The first that has come; of several, as [`Taken::next`] says.
async fn in_order(
    at_once: (impl Future, impl Future),
    ends: (impl Future, impl Future, impl Future),
    reload: impl Future,
) -> Interrupting {
    tokio::select! {
        biased;
        _ = at_once.0 => Interrupting::Reopen,
        _ = at_once.1 => Interrupting::Upgrade,
        _ = ends.0 => Interrupting::Drain { limited: true },
        _ = ends.1 => Interrupting::Drain { limited: true },
        _ = ends.2 => Interrupting::Drain { limited: false },
        _ = reload => Interrupting::Reload,
    }
}

/// Waits for a signal; for ever where it is not taken.
async fn came(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Not by real signals: those of a process reach each of its runtimes at its own time.
    #[tokio::test]
    async fn of_signals_that_come_together_what_is_done_at_once_is_first_and_a_reload_last() {
        let come = |first: usize| {
            let from = move |place: usize| came_if(place >= first);
            in_order((from(0), from(1)), (from(2), from(3), from(4)), from(5))
        };
        assert_eq!(come(0).await, Interrupting::Reopen);
        assert_eq!(come(1).await, Interrupting::Upgrade);
        assert_eq!(come(2).await, Interrupting::Drain { limited: true });
        assert_eq!(come(3).await, Interrupting::Drain { limited: true });
        assert_eq!(come(4).await, Interrupting::Drain { limited: false });
        assert_eq!(come(5).await, Interrupting::Reload);
    }

    async fn came_if(has_come: bool) {
        if !has_come {
            pending::<()>().await;
        }
    }
}
