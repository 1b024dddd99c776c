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
        tokio::select! {
            biased;
            () = came(reopen) => Interrupting::Reopen,
            () = came(upgrade) => Interrupting::Upgrade,
            _ = terminate.recv() => Interrupting::Drain { limited: true },
            _ = interrupt.recv() => Interrupting::Drain { limited: true },
            _ = quit.recv() => Interrupting::Drain { limited: false },
            () = came(reload) => Interrupting::Reload,
        }
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
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    fn listen(number: Number) -> Signal {
        signal(SignalKind::from_raw(number.as_raw())).unwrap()
    }

    /// The process is that of all tests: the end and the reload are signals that mean
    /// nothing to the others.
    #[tokio::test]
    async fn of_signals_that_come_together_what_is_done_at_once_is_first_and_a_reload_last() {
        const NUMBERS: [Number; 4] = [Number::POWER, Number::STKFLT, Number::USR1, Number::USR2];
        let [end, reload, reopen, upgrade] = NUMBERS.map(listen);
        let service = Some(ServiceSignals { reload, reopen, upgrade });
        let [interrupt, quit] = [Number::ALARM; 2].map(listen);
        let mut taken = Taken { terminate: end, interrupt, quit, service };
        for _ in 0..20 {
            let mut witnesses = NUMBERS.map(listen);
            for (number, witness) in NUMBERS.into_iter().zip(&mut witnesses) {
                kill_process(getpid(), number).unwrap();
                witness.recv().await;
            }
            let end = Interrupting::Drain { limited: true };
            for wanted in [Interrupting::Reopen, Interrupting::Upgrade, end, Interrupting::Reload] {
                assert_eq!(taken.next().await, wanted);
            }
        }
    }
}
