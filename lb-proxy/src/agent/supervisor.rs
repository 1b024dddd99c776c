//! What is to be done when something has happened to an app: pure, the time is passed in.
//!
//! ```text
//! resting ──► starting ──► serving ──► draining ──► finishing ──► stopping ──► ended
//!    ▲                        │ its checks say whether it is announced │
//!    └── died: goodbye first ─┴────────────────────────────────────────┘
//! ```
//!
//! A goodbye always comes before whatever makes it true, except where the app has died
//! already; then it is the first thing to do. The signal that ends the agent goes to the
//! app, but only once no balancer sends anything there any more.

use std::time::{Duration, Instant};

use lb_discovery::announce::State;
use rustix::process::Signal;

use super::restarts::Restarts;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The app gets ready.
    pub(crate) ready: Duration,
    /// Before a goodbye, only clients that are bound to it come.
    pub(crate) drain: Duration,
    /// After a goodbye, requests in flight are finished.
    pub(crate) finish: Duration,
    /// The app ends when it is told to.
    pub(crate) grace: Duration,
    /// The app says that it is alive; `None`: it need not.
    pub(crate) watchdog: Option<Duration>,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The app runs.
    Started,
    /// It takes requests.
    Ready,
    /// It is over, or could not be started.
    Ended(End),
    /// It was asked how it is, and is well or not.
    Checked(bool),
    /// It says that it is going to end.
    Leaving,
    /// It says that it is alive.
    Alive,
    /// A signal that is to end all.
    Asked(Signal),
}

/// How an app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Code(u8),
    /// By a signal.
    Signal(u8),
}

/// What is to be done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start the app.
    Start,
    /// Announce this; `Down` is the goodbye.
    Say(State),
    /// Send it to the app.
    Signal(Signal),
    /// End the app and all that it has started.
    Kill,
    /// End with this code.
    End(u8),
}

/// One app.
#[derive(Debug)]
pub(crate) struct Supervisor {
    patience: Patience,
    restarts: Restarts,
    phase: Phase,
    /// When it was started.
    started: Instant,
    /// When it has to have said that it is alive.
    alive_until: Option<Instant>,
    said: State,
    /// The signal that is to end all, once there was one.
    asked: Option<Signal>,
    last: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It does not run.
    Resting {
        until: Instant,
    },
    Starting {
        until: Instant,
    },
    /// Checks in a row that do not fit what is said.
    Serving {
        against: u8,
    },
    /// It says that it is going to end.
    Leaving,
    Draining {
        until: Instant,
    },
    Finishing {
        until: Instant,
    },
    /// It has been told to end.
    Stopping {
        until: Option<Instant>,
    },
    Ended,
}

impl Supervisor {
    pub(crate) fn new(patience: Patience, restarts: Restarts, now: Instant) -> Self {
        Self {
            patience,
            restarts,
            phase: Phase::Resting { until: now },
            started: now,
            alive_until: None,
            said: State::Down,
            asked: None,
            last: End::Code(0),
        }
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let until = match self.phase {
            Phase::Resting { until }
            | Phase::Starting { until }
            | Phase::Draining { until }
            | Phase::Finishing { until } => Some(until),
            Phase::Stopping { until } => until,
            Phase::Serving { .. } | Phase::Leaving | Phase::Ended => None,
        };
        until.into_iter().chain(self.alive_until).min()
    }

    /// Whether it is to be asked how it is.
    pub(super) fn checks(&self) -> bool {
        matches!(self.phase, Phase::Serving { .. })
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Action> {
        if self.alive_until.is_some_and(|until| until <= now) {
            return self.give_up(now, Signal::ABORT);
        }
        match self.phase {
            Phase::Resting { until } if until <= now => vec![Action::Start],
            Phase::Starting { until } if until <= now => self.give_up(now, Signal::TERM),
            Phase::Draining { until } if until <= now => self.leave(now),
            Phase::Finishing { until } if until <= now => self.stop(now),
            Phase::Stopping { until: Some(until) } if until <= now => {
                self.phase = Phase::Stopping { until: None };
                vec![Action::Kill]
            }
            _ => Vec::new(),
        }
    }

    /// Something has happened.
    pub(super) fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match (event, self.phase) {
            (_, Phase::Ended) => Vec::new(),
            (Event::Started, _) => {
                self.started = now;
                self.phase = Phase::Starting { until: now + self.patience.ready };
                self.alive_until = self.patience.watchdog.map(|watchdog| now + watchdog);
                Vec::new()
            }
            (Event::Ready, Phase::Starting { .. }) => {
                self.phase = Phase::Serving { against: 0 };
                self.say(State::Up)
            }
            (Event::Checked(well), Phase::Serving { against }) => self.checked(well, against),
            (Event::Leaving, Phase::Starting { .. } | Phase::Serving { .. }) => {
                self.phase = Phase::Leaving;
                self.alive_until = None;
                self.say(State::Down)
            }
            (Event::Alive, _) => {
                if let (Some(_), Some(watchdog)) = (self.alive_until, self.patience.watchdog) {
                    self.alive_until = Some(now + watchdog);
                }
                Vec::new()
            }
            (Event::Ended(end), _) => self.ended(end, now),
            (Event::Asked(signal), _) => self.asked(signal, now),
            (Event::Ready | Event::Checked(_) | Event::Leaving, _) => Vec::new(),
        }
    }

    fn checked(&mut self, well: bool, against: u8) -> Vec<Action> {
        let against = if well == (self.said == State::Up) { 0 } else { against + 1 };
        if against < IN_A_ROW {
            self.phase = Phase::Serving { against };
            return Vec::new();
        }
        self.phase = Phase::Serving { against: 0 };
        self.say(if well { State::Up } else { State::Down })
    }

    fn ended(&mut self, end: End, now: Instant) -> Vec<Action> {
        let mut actions = self.say(State::Down);
        if matches!(self.phase, Phase::Resting { .. }) {
            // It could not be started.
            self.started = now;
        }
        self.last = end;
        self.alive_until = None;
        let next = if self.asked.is_some() { None } else { self.restarts.next(self.started, now) };
        match next {
            Some(until) => self.phase = Phase::Resting { until },
            None => actions.push(self.end()),
        }
        actions
    }

    /// An app that ends by the signal that it was sent has done as it was told.
    fn end(&mut self) -> Action {
        self.phase = Phase::Ended;
        let asked = self.asked.and_then(|signal| u8::try_from(signal.as_raw()).ok());
        Action::End(match self.last {
            End::Signal(signal) if asked == Some(signal) => 0,
            End::Signal(signal) => signal.saturating_add(128),
            End::Code(code) => code,
        })
    }

    fn asked(&mut self, signal: Signal, now: Instant) -> Vec<Action> {
        self.alive_until = None;
        if self.asked.replace(signal).is_some() {
            // Somebody insists.
            let mut actions = self.say(State::Down);
            self.phase = Phase::Stopping { until: None };
            actions.push(Action::Kill);
            return actions;
        }
        match self.phase {
            Phase::Resting { .. } => vec![self.end()],
            Phase::Stopping { .. } => Vec::new(),
            _ if self.said == State::Down => self.stop(now),
            _ if self.patience.drain.is_zero() => self.leave(now),
            _ => {
                self.phase = Phase::Draining { until: now + self.patience.drain };
                self.say(State::Draining)
            }
        }
    }

    fn leave(&mut self, now: Instant) -> Vec<Action> {
        self.phase = Phase::Finishing { until: now + self.patience.finish };
        self.say(State::Down)
    }

    /// Has the app end, as it was asked. After QUIT it may take as long as it takes.
    fn stop(&mut self, now: Instant) -> Vec<Action> {
        let signal = self.asked.unwrap_or(Signal::TERM);
        let until = Some(now + self.patience.grace).filter(|_| signal != Signal::QUIT);
        self.phase = Phase::Stopping { until };
        vec![Action::Signal(signal)]
    }

    /// It is of no use: it is ended, and what follows is what follows a death.
    fn give_up(&mut self, now: Instant, signal: Signal) -> Vec<Action> {
        let mut actions = self.say(State::Down);
        self.alive_until = None;
        self.phase = Phase::Stopping { until: Some(now + self.patience.grace) };
        actions.push(Action::Signal(signal));
        actions
    }

    fn say(&mut self, state: State) -> Vec<Action> {
        let is_news = std::mem::replace(&mut self.said, state) != state;
        if is_news { vec![Action::Say(state)] } else { Vec::new() }
    }
}

/// So many checks have to say otherwise.
const IN_A_ROW: u8 = 2;

#[cfg(test)]
mod tests;
