//! Serving until a signal ends it, and what other signals do meanwhile.

use std::future::pending;

use lb_proxy::config::Config;

use super::{
    App, Signals,
    signals::{ServiceSignals, Taken},
};

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every request was finished, or had its time to.
    Drained,
    /// Somebody did not want to wait.
    Interrupted,
    /// Without a signal: every worker has panicked.
    Died,
}

/// Reads the configuration again, with the name of where it came from. `None`: it
/// cannot be served, and its author was told why.
pub(crate) type Reread<'a> = dyn Fn() -> Option<(Config, String)> + 'a;

/// Told of a configuration that is served from now on.
pub(crate) type Applied<'a> = dyn Fn(&Config) + 'a;

/// What the next signal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Drain { limited: bool },
    Reload,
    Reopen,
    Upgrade,
    Died,
}

impl App {
    /// Serves until a signal ends it.
    ///
    /// TERM and INT drain, for at most `timeout.shutdown`; QUIT drains for as long
    /// as it takes. A second TERM or INT stops at once. HUP has the configuration
    /// read again by `reread` and told to `applied`, USR1 the access log opened again.
    pub(crate) fn serve(
        mut self,
        signals: Signals,
        reread: &Reread<'_>,
        applied: &Applied<'_>,
    ) -> Ending {
        let Signals { runtime, mut taken } = signals;
        let ending = runtime.block_on(async {
            let limited = loop {
                match taken.wish(&self).await {
                    Wish::Drain { limited } => break limited,
                    Wish::Reload => self.reload_if_good(reread, applied).await,
                    Wish::Reopen => self.reopen_log(),
                    Wish::Upgrade => {
                        tracing::warn!("this version cannot hand over to another; still serving");
                    }
                    Wish::Died => {
                        tracing::error!("every worker has ended; nobody is served any more");
                        return Ending::Died;
                    }
                }
            };
            self.drain(&mut taken, limited).await
        });
        self.running.stop_now();
        self.end_control();
        ending
    }

    async fn reload_if_good(&mut self, reread: &Reread<'_>, applied: &Applied<'_>) {
        let why = match reread() {
            Some((config, origin)) => match self.reload(&config, &origin).await {
                Ok(changes) => {
                    applied(&config);
                    return tracing::info!("reloaded: {changes}");
                }
                Err(error) => format!(": {error:#}"),
            },
            // Its author has been told.
            None => {
                self.running.reload_rejected();
                String::new()
            }
        };
        let rejected_so_far = self.running.counters().config_reloads_total.rejected;
        tracing::error!(
            rejected_so_far,
            "not reloaded{why}; the configuration before is still served"
        );
    }

    fn reopen_log(&self) {
        let Some(log) = &self.log else { return tracing::info!("there is no log to open again") };
        match log.log.reopen() {
            Ok(()) => tracing::info!("opened the access log again"),
            Err(error) => {
                tracing::error!(%error, "cannot open the access log; the old one is kept");
            }
        }
    }

    async fn drain(&self, signals: &mut Taken, limited: bool) -> Ending {
        tracing::info!(limited, "draining: no new connections, requests in flight go on");
        let drained = async {
            if limited {
                self.running.drain().await;
            } else {
                self.running.drain_without_limit().await;
            }
        };
        let ending = tokio::select! {
            () = drained => Ending::Drained,
            _ = signals.terminate.recv() => Ending::Interrupted,
            _ = signals.interrupt.recv() => Ending::Interrupted,
        };
        match ending {
            Ending::Interrupted => tracing::warn!("stopped at once: requests were cut off"),
            _ => tracing::info!("stopped"),
        }
        ending
    }
}

impl Taken {
    async fn wish(&mut self, app: &App) -> Wish {
        let service = async {
            match &mut self.service {
                Some(service) => service.wish().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Wish::Drain { limited: true },
            _ = self.interrupt.recv() => Wish::Drain { limited: true },
            _ = self.quit.recv() => Wish::Drain { limited: false },
            wish = service => wish,
            () = app.running.ended() => Wish::Died,
        }
    }
}

impl ServiceSignals {
    async fn wish(&mut self) -> Wish {
        tokio::select! {
            _ = self.reload.recv() => Wish::Reload,
            _ = self.reopen.recv() => Wish::Reopen,
            _ = self.upgrade.recv() => Wish::Upgrade,
        }
    }
}
