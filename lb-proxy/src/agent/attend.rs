//! Attending an app: what happens goes to the [`Supervisor`], and what it decides is done.
//!
//! One thread, which waits for nothing but what may happen next. What is asked or waited
//! for belongs to one life of the app and ends with it.

use std::{
    ffi::OsString,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lb_discovery::announce::{Announcer, State};
use tokio::{
    io::AsyncReadExt as _,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{interval, sleep_until},
};

use super::{
    child::{App, Program, Ready, adopt_orphans, reap},
    lines::{Format, Forward},
    notify_socket::NotifySocket,
    question::Question,
    signals::{Heard, Signals},
    supervisor::{Action, End, Event, Supervisor},
    voice::Voice,
};
use crate::notify::Notifier;

/// What is to be attended, and how.
#[derive(Debug)]
pub(crate) struct Agent {
    /// What is to run.
    pub(crate) command: Vec<OsString>,
    /// How it is learned that it takes requests.
    pub(crate) ready: Ready,
    /// How it is asked how it is; `None`: it is not.
    pub(crate) check: Option<Question>,
    /// What stands before each line that it prints,
    pub(crate) node: String,
    /// and how.
    pub(crate) format: Format,
    /// Within what time it has to say that it is alive.
    pub(crate) watchdog: Option<Duration>,
    /// Who announces it.
    pub(crate) announcer: Announcer,
    /// Who decides.
    pub(crate) supervisor: Supervisor,
    /// Our own supervisor,
    pub(crate) notifier: Arc<Notifier>,
    /// and a file descriptor where it listens.
    pub(crate) notification_fd: Option<i32>,
}

/// Runs an app until it is over for good. Says with which code to end.
///
/// # Errors
///
/// If it cannot be started the first time, and what it needs for that.
pub(crate) async fn attend(agent: Agent) -> anyhow::Result<u8> {
    let mut signals = Signals::listen()?;
    adopt_orphans();
    let notifier = Arc::clone(&agent.notifier);
    tokio::spawn(async move { notifier.live().await });
    if let Ready::Answers(question) = &agent.ready
        && question.ask().await
    {
        let at = question.at.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        tracing::warn!("something answers at {at} before the app is started");
    }
    let (mut attending, mut happened) = Attending::new(agent)?;
    let mut actions = attending.supervisor.tick(Instant::now());
    loop {
        if let Some(code) = attending.act(actions)? {
            attending.finish().await;
            return Ok(code);
        }
        let due = attending.supervisor.due();
        let due = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            heard = signals.next() => attending.hear(heard),
            Some((life, event)) = happened.recv() => Some(event).filter(|_| life == attending.life),
            () = due => None,
        };
        actions = match event {
            Some(event) => attending.handle(event),
            None => attending.supervisor.tick(Instant::now()),
        };
    }
}

#[derive(Debug)]
struct Attending {
    command: Vec<OsString>,
    ready: Ready,
    check: Option<Question>,
    watchdog: Option<Duration>,
    supervisor: Supervisor,
    notifier: Arc<Notifier>,
    notification_fd: Option<i32>,
    voice: Voice,
    lines: Forward,
    notify_socket: Option<Arc<NotifySocket>>,
    app: Option<App>,
    /// Which life of the app this is.
    life: u64,
    /// When it began.
    began: Instant,
    /// What waits for something to happen in it, and whom that is told.
    waiting: JoinSet<()>,
    happening: UnboundedSender<(u64, Event)>,
}

impl Attending {
    fn new(agent: Agent) -> anyhow::Result<(Self, UnboundedReceiver<(u64, Event)>)> {
        let notifies = agent.ready == Ready::Notifies || agent.watchdog.is_some();
        let notify_socket = notifies.then(NotifySocket::open).transpose()?.map(Arc::new);
        let (happening, happened) = unbounded_channel();
        let attending = Self {
            voice: Voice::start(agent.announcer),
            lines: Forward::new(&agent.node, agent.format),
            command: agent.command,
            ready: agent.ready,
            check: agent.check,
            watchdog: agent.watchdog,
            supervisor: agent.supervisor,
            notifier: agent.notifier,
            notification_fd: agent.notification_fd,
            notify_socket,
            app: None,
            life: 0,
            began: Instant::now(),
            waiting: JoinSet::new(),
            happening,
        };
        Ok((attending, happened))
    }

    /// What a signal means to us.
    fn hear(&self, heard: Heard) -> Option<Event> {
        match heard {
            Heard::Child => reap(self.app.as_ref()).map(Event::Ended),
            Heard::Ends(signal) => Some(Event::Asked(signal)),
            Heard::Passes(signal) => {
                if let Some(app) = &self.app {
                    app.signal(signal);
                }
                None
            }
        }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Ended(end) => {
                self.app = None;
                self.waiting.abort_all();
                let code = match end {
                    End::Code(code) => format!("with code {code}"),
                    End::Signal(signal) => format!("by signal {signal}"),
                };
                tracing::info!("the app has ended {code} after {:.1?}", self.began.elapsed());
            }
            Event::Asked(_) => self.notifier.stopping("leaving"),
            Event::Leaving => tracing::info!("the app says that it is going to end"),
            _ => {}
        }
        let actions = self.supervisor.handle(event, Instant::now());
        if event == Event::Ready && self.supervisor.checks() {
            tracing::info!("the app is ready after {:.1?}", self.began.elapsed());
            if let Some(question) = self.check.clone() {
                self.ask_again_and_again(question);
            }
        }
        if let (Event::Ended(_), Some(due)) = (event, self.supervisor.due()) {
            let wait = due.saturating_duration_since(Instant::now());
            tracing::info!("the app is started again in {wait:.1?}");
        }
        actions
    }

    /// Does what was decided. Returns a code if that is the end.
    fn act(&mut self, actions: Vec<Action>) -> anyhow::Result<Option<u8>> {
        for action in actions {
            match action {
                Action::Start => {
                    let event = self.start()?;
                    let actions = self.handle(event);
                    if let Some(code) = self.act(actions)? {
                        return Ok(Some(code));
                    }
                }
                Action::Say(state) => self.say(state),
                Action::Signal(signal) => {
                    if let Some(app) = &self.app {
                        tracing::info!("the app is told to end: signal {}", signal.as_raw());
                        app.signal(signal);
                    }
                }
                Action::Kill => {
                    if let Some(app) = &self.app {
                        tracing::warn!("the app is killed");
                        app.kill();
                    }
                }
                Action::End(code) => return Ok(Some(code)),
            }
        }
        Ok(None)
    }

    fn start(&mut self) -> anyhow::Result<Event> {
        self.life += 1;
        self.began = Instant::now();
        let program = Program {
            command: &self.command,
            ready: &self.ready,
            notify_socket: self.notify_socket.as_deref().map(NotifySocket::path),
            watchdog: self.watchdog,
            not_for_it: self.notification_fd,
        };
        let mut app = match App::start(&program, &self.lines) {
            Ok(app) => app,
            Err(error) => {
                let name = self.command.first().cloned().unwrap_or_default();
                let text = format!("cannot start `{}`", name.display());
                if self.life == 1 {
                    return Err(error).context(text);
                }
                tracing::error!("{text}: {error}");
                return Ok(Event::Ended(End::Code(CANNOT_START)));
            }
        };
        tracing::info!("the app runs as process {}", app.pid());
        self.await_readiness(&mut app);
        self.app = Some(app);
        Ok(Event::Started)
    }

    fn await_readiness(&mut self, app: &mut App) {
        let (life, happening) = (self.life, self.happening.clone());
        if let Ready::Answers(question) = &self.ready {
            let (question, happening) = (question.clone(), happening.clone());
            self.waiting.spawn(async move {
                question.wait().await;
                let _ = happening.send((life, Event::Ready));
            });
        }
        if let Some(mut pipe) = app.says_ready.take() {
            let happening = happening.clone();
            self.waiting.spawn(async move {
                let mut byte = [0];
                while pipe.read(&mut byte).await.is_ok_and(|count| count > 0) {
                    if byte == *b"\n" {
                        let _ = happening.send((life, Event::Ready));
                        return;
                    }
                }
            });
        }
        if let Some(socket) = self.notify_socket.clone() {
            let by_word = self.ready == Ready::Notifies;
            self.waiting.spawn(async move {
                loop {
                    for event in socket.next().await {
                        if by_word || event != Event::Ready {
                            let _ = happening.send((life, event));
                        }
                    }
                }
            });
        }
    }

    fn ask_again_and_again(&mut self, question: Question) {
        let (life, happening) = (self.life, self.happening.clone());
        self.waiting.spawn(async move {
            let mut ticks = interval(BETWEEN_CHECKS);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let well = question.ask().await;
                let _ = happening.send((life, Event::Checked(well)));
            }
        });
    }

    fn say(&self, state: State) {
        self.voice.say(state);
        let pid = self.app.as_ref().map(App::pid);
        match (state, pid) {
            (State::Up, Some(pid)) => {
                tracing::info!("announced");
                self.notifier.ready(&format!("announced; the app is process {pid}"));
            }
            (State::Draining, _) => {
                tracing::info!("draining: only clients that are bound to the app come");
                self.notifier.status("draining");
            }
            (_, Some(_)) => {
                tracing::info!("said goodbye; the app still runs");
                self.notifier.status("not announced; the app runs");
            }
            (_, None) => {
                tracing::info!("said goodbye");
                self.notifier.status("not announced; the app does not run");
            }
        }
    }

    async fn finish(mut self) {
        self.waiting.abort_all();
        // It is ended in any case.
        if let Some(app) = self.app.take() {
            app.kill();
        }
        self.voice.finish().await;
        self.lines.finish(LAST_LINES);
    }
}

/// What a shell says of a program that it cannot find.
const CANNOT_START: u8 = 127;

const BETWEEN_CHECKS: Duration = Duration::from_secs(1);

/// How long the end waits for what was printed.
const LAST_LINES: Duration = Duration::from_secs(1);
