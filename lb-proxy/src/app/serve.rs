//! Serving until a signal ends it, and what other signals do meanwhile.

use std::{pin::pin, sync::Arc, time::Duration};

use lb_proxy::{
    Running,
    config::{Config, Instead},
};

use super::{App, Signals, signals::Taken, told::Happened};
use crate::control::{self, Asked, Author, Event, EventKind, Mistakes, Refused, Texts};

/// How long an end waits for a disk and for workers, to say what has become of a change.
const GRACE: Duration = Duration::from_secs(1);

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

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) config: Config,
    /// Where it came from.
    pub(crate) origin: String,
    pub(crate) texts: Texts,
}

/// Reads the configuration again, as if these texts were in the files of their names. An
/// error is why it cannot be served; of a file as it is, its author was told. May take its
/// time.
pub(crate) type Reread = Arc<dyn Fn(&Instead) -> Result<Read, Mistakes> + Send + Sync>;

/// Told of a configuration that is served from now on. Returns what its author has to know.
pub(crate) type Applied<'a> = dyn Fn(&Config) -> Option<&'static str> + 'a;

/// What is to be done next.
#[derive(Debug)]
enum Turn {
    Signal(Interrupting),
    Asked(Box<Asked>),
    Happened(Happened),
}

/// What the next signal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupting {
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
                    Interrupting::Drain { limited } => break limited,
                    Interrupting::Reload => {
                        let by = Author::of_signal();
                        (next, _) = self.reload_if_good(&by, reread, applied, &mut taken).await;
                    }
                    Interrupting::Reopen => self.reopen_log(),
                    Interrupting::Upgrade => refuse_upgrade(),
                    Interrupting::Died => {
                        tracing::error!("every worker has ended; nobody is served any more");
                        return Ending::Died;
                    }
                }
            };
            // Whoever still waits is told that nobody is there any more.
            self.inbox.close();
            while self.inbox.try_recv().is_ok() {}
            self.end_answers(GRACE).await;
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
    ) -> Option<Interrupting> {
        if let [control::Wish::Save(_) | control::Wish::Replace { .. }] = &*asked.ask.wishes {
            return self.save(asked, reread, applied, taken).await;
        }
        let Asked { ask, answer } = asked;
        let mut next = None;
        if matches!(&*ask.wishes, [control::Wish::Reload]) {
            let reloaded = if ask.dry_run {
                match self.meanwhile(self.prepare(reread), taken, &mut next).await {
                    Ok(Ok(Ok(_))) => Some(Ok("it can be served".to_owned())),
                    Ok(Ok(Err(mistakes))) => Some(Err(self.has_mistakes(mistakes))),
                    Ok(Err(error)) => Some(Err(not_served(&error))),
                    Err(ends) => return Some(ends),
                }
            } else {
                let (wish, reloaded) =
                    self.reload_if_good(&ask.author, reread, applied, taken).await;
                next = wish;
                reloaded
            };
            let reloaded = reloaded.unwrap_or(Err(Refused::Busy));
            self.answer_reload(reloaded, Vec::new(), None, answer);
            return next;
        }
        let plan = match self.meanwhile(self.understand(&ask), taken, &mut next).await {
            Ok(Ok(plan)) => plan,
            // He may have gone away, here and below.
            Ok(Err(refused)) => {
                let _ = answer.send(Err(refused));
                return next;
            }
            Err(ends) => return Some(ends),
        };
        let written = {
            let mut writing = pin!(self.write_down(&ask, &plan));
            match self.meanwhile(writing.as_mut(), taken, &mut next).await {
                Ok(written) => written,
                Err(ends) => {
                    next = Some(ends);
                    let ended = tokio::time::timeout(GRACE, writing).await;
                    ended.unwrap_or(Err(Refused::Stopping))
                }
            }
        };
        match written {
            Ok(written) => self.carry_out(ask, plan, written, answer).await,
            Err(refused) => drop(answer.send(Err(refused))),
        }
        next
    }

    /// Waits for something that may take long, and hears signals: those that end us end
    /// the waiting, a reload is kept in `next`.
    pub(super) async fn meanwhile<T>(
        &self,
        work: impl Future<Output = T>,
        taken: &mut Taken,
        next: &mut Option<Interrupting>,
    ) -> Result<T, Interrupting> {
        let mut work = pin!(work);
        loop {
            let wish = tokio::select! {
                done = &mut work => return Ok(done),
                wish = taken.wish(&self.running) => wish,
            };
            match wish {
                Interrupting::Drain { .. } | Interrupting::Died => return Err(wish),
                Interrupting::Reload => *next = Some(wish),
                Interrupting::Reopen => self.reopen_log(),
                Interrupting::Upgrade => refuse_upgrade(),
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
    ) -> (Option<Interrupting>, Option<Result<String, Refused>>) {
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
    ) -> (Option<Interrupting>, Option<Result<String, Refused>>) {
        // What is being read may be older than what another signal is about.
        let mut next = None;
        let prepared = match self.meanwhile(self.prepare(reread), taken, &mut next).await {
            Ok(prepared) => prepared,
            Err(ends) => return (Some(ends), None),
        };
        let (refused, is_told) = match prepared {
            Ok(Ok(prepared)) => match self.take_up(prepared, applied).await {
                Ok(changes) => {
                    tracing::info!("reloaded: {changes}");
                    self.tell_of_reload(EventKind::Reload, by, changes.clone());
                    return (next, Some(Ok(changes)));
                }
                Err(error) => (not_served(&error), false),
            },
            Ok(Err(mistakes)) => {
                self.running.reload_rejected();
                (self.has_mistakes(mistakes), true)
            }
            Err(error) => {
                self.running.reload_rejected();
                (not_served(&error), false)
            }
        };
        let rejected_so_far = self.running.counters().config_reloads_total.rejected;
        let why = match is_told {
            true => String::new(),
            false => format!(": {}", refused.detail()),
        };
        tracing::error!(
            rejected_so_far,
            "not reloaded{why}; the configuration before is still served",
        );
        self.tell_of_reload(EventKind::Rejected, by, refused.detail());
        (next, Some(Err(refused)))
    }

    fn has_mistakes(&self, mistakes: Mistakes) -> Refused {
        let origin = &self.origin;
        let detail =
            format!("`{origin}` has mistakes, which `lb check` shows; nothing was changed");
        Refused::BadConfig { detail, mistakes }
    }

    pub(super) fn tell_of_reload(&self, kind: EventKind, by: &Author, why: String) {
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

fn not_served(error: &anyhow::Error) -> Refused {
    Refused::BadConfig { detail: format!("{error:#}"), mistakes: Mistakes::default() }
}

fn refuse_upgrade() {
    tracing::warn!("this version cannot hand over to another; still serving");
}

impl Taken {
    async fn wish(&mut self, running: &Running) -> Interrupting {
        tokio::select! {
            wish = self.next() => wish,
            () = running.ended() => Interrupting::Died,
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
        let reread: Reread = Arc::new(move |_| {
            begin.send(()).unwrap();
            let _ = ends.lock().unwrap().recv_timeout(PATIENCE);
            sees_end.store(true, Ordering::Relaxed);
            Err(Mistakes::default())
        });
        let signalling = thread::spawn(move || {
            kill_process(getpid(), Signal::HUP).unwrap();
            has_begun.recv_timeout(PATIENCE).unwrap();
            kill_process(getpid(), Signal::TERM).unwrap();
        });
        assert_eq!(app.serve(signals, &reread, &|_| None), Ending::Drained);
        assert!(!has_ended.load(Ordering::Relaxed), "it was waited for");
        signalling.join().unwrap();
    }
}
