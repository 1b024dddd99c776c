//! Serving until a signal ends it, and what other signals do meanwhile.

use std::{future::pending, pin::pin, sync::Arc};

use lb_proxy::{Running, config::Config};

use super::{
    App, Signals,
    signals::{ServiceSignals, Taken},
    told::Happened,
};
use crate::control::{self, Asked, Author, Event, EventKind, Refused};

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
/// cannot be served, and its author was told why. May take its time.
pub(crate) type Reread = Arc<dyn Fn() -> Option<(Config, String)> + Send + Sync>;

/// Told of a configuration that is served from now on.
pub(crate) type Applied<'a> = dyn Fn(&Config) + 'a;

/// What is to be done next.
#[derive(Debug)]
enum Turn {
    Signal(Wish),
    Asked(Box<Asked>),
    Happened(Happened),
}

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
    /// However long reading takes, no signal waits for it, but the next HUP.
    pub(crate) fn serve(
        mut self,
        signals: Signals,
        reread: &Reread,
        applied: &Applied<'_>,
    ) -> Ending {
        let Signals { runtime, mut taken } = signals;
        let notifier = Arc::clone(&self.notifier);
        runtime.spawn(async move { notifier.live().await });
        let ending = runtime.block_on(async {
            let mut next = None;
            let limited = loop {
                let turn = match next.take() {
                    Some(wish) => Turn::Signal(wish),
                    None => self.turn(&mut taken).await,
                };
                let wish = match turn {
                    Turn::Signal(wish) => wish,
                    Turn::Asked(asked) => {
                        next = self.serve_person(*asked, reread, applied, &mut taken).await;
                        continue;
                    }
                    Turn::Happened(happened) => {
                        self.attend(happened);
                        continue;
                    }
                };
                match wish {
                    Wish::Drain { limited } => break limited,
                    Wish::Reload => {
                        let by = Author::of_signal();
                        (next, _) = self.reload_if_good(&by, reread, applied, &mut taken).await;
                    }
                    Wish::Reopen => self.reopen_log(),
                    Wish::Upgrade => refuse_upgrade(),
                    Wish::Died => {
                        tracing::error!("every worker has ended; nobody is served any more");
                        return Ending::Died;
                    }
                }
            };
            // Whoever still waits is told that nobody is there any more.
            self.inbox.close();
            while self.inbox.try_recv().is_ok() {}
            self.drain(&mut taken, limited).await
        });
        self.running.stop_now();
        self.end_control();
        ending
    }

    async fn turn(&mut self, taken: &mut Taken) -> Turn {
        tokio::select! {
            wish = taken.wish(&self.running) => Turn::Signal(wish),
            Some(asked) = self.inbox.recv() => Turn::Asked(Box::new(asked)),
            Some(happened) = self.happened.recv() => Turn::Happened(happened),
        }
    }

    /// Does what somebody wants. Returns what a signal wanted meanwhile and is still to be
    /// done.
    async fn serve_person(
        &mut self,
        asked: Asked,
        reread: &Reread,
        applied: &Applied<'_>,
        taken: &mut Taken,
    ) -> Option<Wish> {
        let Asked { ask, answer } = asked;
        let mut next = None;
        if matches!(&*ask.wishes, [control::Wish::Reload]) {
            let reloaded = if ask.dry_run {
                match self.meanwhile(self.prepare(reread), taken, &mut next).await {
                    Ok(Ok(Some(_))) => Some(Ok("it can be served".to_owned())),
                    Ok(Ok(None)) => Some(Err(self.has_mistakes())),
                    Ok(Err(error)) => {
                        Some(Err(Refused::BadConfig { detail: format!("{error:#}") }))
                    }
                    Err(ends) => return Some(ends),
                }
            } else {
                let (wish, reloaded) =
                    self.reload_if_good(&ask.author, reread, applied, taken).await;
                next = wish;
                reloaded
            };
            self.answer_reload(reloaded.unwrap_or(Err(Refused::Busy)), answer);
            return next;
        }
        match self.meanwhile(self.make_ready(ask), taken, &mut next).await {
            Ok(Ok(ready)) => self.carry_out(ready, answer).await,
            // He may have gone away.
            Ok(Err(refused)) => drop(answer.send(Err(refused))),
            Err(ends) => return Some(ends),
        }
        next
    }

    /// Waits for something that may take long, and hears signals: those that end us end
    /// the waiting, a reload is kept in `next`.
    async fn meanwhile<T>(
        &self,
        work: impl Future<Output = T>,
        taken: &mut Taken,
        next: &mut Option<Wish>,
    ) -> Result<T, Wish> {
        let mut work = pin!(work);
        loop {
            let wish = tokio::select! {
                done = &mut work => return Ok(done),
                wish = taken.wish(&self.running) => wish,
            };
            match wish {
                Wish::Drain { .. } | Wish::Died => return Err(wish),
                Wish::Reload => *next = Some(wish),
                Wish::Reopen => self.reopen_log(),
                Wish::Upgrade => refuse_upgrade(),
            }
        }
    }

    /// Returns what was wished meanwhile and is still to be done, and what has changed, or
    /// why nothing has; `None` where the end came first.
    async fn reload_if_good(
        &mut self,
        by: &Author,
        reread: &Reread,
        applied: &Applied<'_>,
        taken: &mut Taken,
    ) -> (Option<Wish>, Option<Result<String, Refused>>) {
        self.notifier.reloading();
        let done = self.try_reload(by, reread, applied, taken).await;
        self.notifier.ready(&self.state_line());
        done
    }

    async fn try_reload(
        &mut self,
        by: &Author,
        reread: &Reread,
        applied: &Applied<'_>,
        taken: &mut Taken,
    ) -> (Option<Wish>, Option<Result<String, Refused>>) {
        // What is being read may be older than what another signal is about.
        let mut next = None;
        let prepared = match self.meanwhile(self.prepare(reread), taken, &mut next).await {
            Ok(prepared) => prepared,
            Err(ends) => return (Some(ends), None),
        };
        let taken_up = match prepared {
            Ok(Some(prepared)) => self.take_up(prepared, applied).await.map(Some),
            nothing => {
                self.running.reload_rejected();
                nothing.map(|_| None)
            }
        };
        let why = match taken_up {
            Ok(Some(changes)) => {
                tracing::info!("reloaded: {changes}");
                self.tell_of_reload(EventKind::Reload, by, changes.clone());
                return (next, Some(Ok(changes)));
            }
            // Its author has been told.
            Ok(None) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        let rejected_so_far = self.running.counters().config_reloads_total.rejected;
        tracing::error!(
            rejected_so_far,
            "not reloaded{}; the configuration before is still served",
            why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
        );
        let refused = why.map(|detail| Refused::BadConfig { detail });
        let refused = refused.unwrap_or_else(|| self.has_mistakes());
        self.tell_of_reload(EventKind::Rejected, by, refused.detail());
        (next, Some(Err(refused)))
    }

    fn has_mistakes(&self) -> Refused {
        let origin = &self.origin;
        let detail =
            format!("`{origin}` has mistakes, which `lb check` shows; nothing was changed");
        Refused::BadConfig { detail }
    }

    fn tell_of_reload(&self, kind: EventKind, by: &Author, why: String) {
        let (to, author) = (Some(self.generation.to_string()), Some(by.to_string()));
        self.desk().events().push(Event { kind, to, author, why, ..Event::default() });
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
        let limit = if limited { "for at most `timeout.shutdown`" } else { "without a limit" };
        self.notifier.stopping("finishing requests that are in flight");
        tracing::info!("draining: no new connections, requests in flight go on {limit}");
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

fn refuse_upgrade() {
    tracing::warn!("this version cannot hand over to another; still serving");
}

impl Taken {
    async fn wish(&mut self, running: &Running) -> Wish {
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
            () = running.ended() => Wish::Died,
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
        thread,
        time::Duration,
    };

    use lb_proxy::config::Pretended;
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn no_end_waits_for_a_file_that_cannot_be_read() {
        let text = "listen = \"127.0.0.1:0\"\nto = []\n";
        let (config, _) = Config::parse("test", text, &Pretended::default());
        let app =
            App::start(&config.unwrap(), "test", control::Ledger::forgetful().unwrap()).unwrap();
        let signals = Signals::of_a_service().unwrap();
        let (begin, has_begun) = mpsc::channel();
        let (_end, ends) = mpsc::channel::<()>();
        let (ends, has_ended) = (Mutex::new(ends), Arc::new(AtomicBool::new(false)));
        let sees_end = Arc::clone(&has_ended);
        let reread: Reread = Arc::new(move || {
            begin.send(()).unwrap();
            let _ = ends.lock().unwrap().recv_timeout(PATIENCE);
            sees_end.store(true, Ordering::Relaxed);
            None
        });
        let signalling = thread::spawn(move || {
            kill_process(getpid(), Signal::HUP).unwrap();
            has_begun.recv_timeout(PATIENCE).unwrap();
            kill_process(getpid(), Signal::TERM).unwrap();
        });
        assert_eq!(app.serve(signals, &reread, &|_| ()), Ending::Drained);
        assert!(!has_ended.load(Ordering::Relaxed), "it was waited for");
        signalling.join().unwrap();
    }
}
