//! What a request went through, try by try, for those who want to know.
//!
//! Every request has such a list, as nobody knows before its end whether it will be asked
//! about. The list is shared by the request and by the flights of its tries, as the last
//! of them may outlive the request's future; each flight writes its own entry. A worker
//! uses the lists of requests that are over [again](Spares), so that one costs no
//! allocation, and what only a log wants to know is read from the clock only for a log.

use std::{
    cell::{Cell, Ref, RefCell},
    fmt,
    rc::Rc,
    time::Duration,
};

use lb_core::{Lease, Outcome, Tick, cluster::Standing, strategy::Reason};

use super::{binder::Stickiness, spares::Spares};
use crate::observe::meter::Metered;

/// The tries of one request, in order.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    list: RefCell<Vec<Attempt>>,
    stickiness: Cell<Stickiness>,
    /// A log will have it.
    is_logged: Cell<bool>,
}

/// One try with one backend.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// The backend's name.
    pub(crate) backend: Rc<str>,
    /// Where it was.
    pub(crate) address: Rc<str>,
    /// Why it was picked.
    pub(crate) reason: Reason,
    /// Where the backend stood then.
    pub(crate) standing: Standing,
    /// When it was picked.
    pub(crate) started: Tick,
    /// How long it took to connect; `None` where a connection was at hand.
    pub(crate) connect: Option<Duration>,
    /// From the pick to the head of the answer.
    pub(crate) first_byte: Option<Duration>,
    /// From the pick until the backend was done.
    pub(crate) total: Option<Duration>,
    /// What it answered.
    pub(crate) status: Option<u16>,
    /// What went wrong, before the answer or in the middle of it.
    pub(crate) error: Option<&'static str>,
    /// It was sent once more, as the first connection was stale.
    pub(crate) replayed: bool,
}

impl Attempts {
    /// A list for a request.
    pub(super) fn begin(spares: &Spares, is_logged: bool) -> Rc<Self> {
        let attempts = spares.attempts();
        attempts.is_logged.set(is_logged || tracing::enabled!(tracing::Level::DEBUG));
        attempts
    }

    /// As new. Its room is kept.
    pub(super) fn clear(&self) {
        self.list.borrow_mut().clear();
        self.stickiness.set(Stickiness::None);
    }

    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn of(list: Vec<Attempt>, stickiness: Stickiness) -> Rc<Self> {
        let (list, stickiness) = (RefCell::new(list), Cell::new(stickiness));
        Rc::new(Self { list, stickiness, is_logged: Cell::new(true) })
    }

    /// The tries so far.
    pub(crate) fn list(&self) -> Ref<'_, [Attempt]> {
        Ref::map(self.list.borrow(), Vec::as_slice)
    }

    /// The client gets an answer that says this about its backend.
    pub(super) fn binds(&self, stickiness: Stickiness) {
        self.stickiness.set(stickiness);
    }

    /// Whether the client stays with its backend.
    pub(crate) fn stickiness(&self) -> Stickiness {
        self.stickiness.get()
    }
}

/// One line: of a try its backend, its result and its time.
impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, attempt) in self.list().iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{attempt}")?;
        }
        match self.stickiness() {
            Stickiness::None => Ok(()),
            stickiness => write!(f, "; sticky {stickiness}"),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.backend)?;
        if self.address != self.backend {
            write!(f, " at {}", self.address)?;
        }
        write!(f, " ({}{})", self.reason, if self.replayed { ", replayed" } else { "" })?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if let Some(error) = self.error {
            write!(f, " {error}")?;
        }
        let times =
            [("connect", self.connect), ("first byte", self.first_byte), ("total", self.total)];
        for (what, time) in times {
            if let Some(time) = time {
                write!(f, " {what} {time:?}")?;
            }
        }
        Ok(())
    }
}

/// The entry that a flight writes.
#[derive(Debug)]
pub(super) struct Entry(Rc<Attempts>, usize);

impl Entry {
    pub(super) fn begin(attempts: &Rc<Attempts>, lease: &Lease, whose: &Metered) -> Self {
        let mut list = attempts.list.borrow_mut();
        list.push(Attempt {
            backend: Rc::clone(&whose.name),
            address: Rc::clone(&whose.address),
            reason: lease.reason(),
            standing: lease.standing(),
            started: lease.started(),
            connect: None,
            first_byte: None,
            total: None,
            status: None,
            error: None,
            replayed: false,
        });
        Self(Rc::clone(attempts), list.len() - 1)
    }

    /// Changes the entry.
    pub(super) fn note(&self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.0.list.borrow_mut().get_mut(self.1) {
            change(attempt);
        }
    }

    /// Whether its times have to be precise.
    pub(super) fn is_logged(&self) -> bool {
        self.0.is_logged.get()
    }
}

impl Attempt {
    /// Whoever said more precisely before what went wrong is right.
    pub(super) fn ends(&mut self, outcome: Outcome, now: Tick) {
        self.total = Some(now.since(self.started));
        match outcome {
            Outcome::Status(_) => {}
            outcome => {
                self.error.get_or_insert_with(|| word(outcome));
            }
        }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Connect | Outcome::Refused => "backend-refused",
        Outcome::ConnectTimeout => "backend-connect-timeout",
        Outcome::Unresolved => "backend-unresolved",
        Outcome::Timeout => "backend-timeout",
        Outcome::Reset => "backend-reset",
        Outcome::ClientGone => "client-gone",
        _ => "abandoned",
    }
}

#[cfg(test)]
mod tests {
    use lb_core::{Backend, Cluster, Membership, PickCx};

    use super::*;

    #[test]
    fn each_try_is_a_part_of_the_line() {
        let members = [Backend::new("10.0.0.1:80").named("a"), Backend::new("10.0.0.2:80")];
        let cluster = Cluster::builder("test")
            .strategy(lb_core::strategy::First)
            .membership(Membership::new(members).unwrap())
            .build();
        let mut handle = cluster.handle();
        let attempts = Rc::<Attempts>::default();
        let start = Tick::from_millis(5);
        let lease = handle.acquire(&PickCx::new(start, 0)).unwrap();
        let meters = crate::observe::MeterBoard::default().meters("test");
        let entry = Entry::begin(&attempts, &lease, &meters.of(&lease));
        entry.note(|attempt| attempt.error = Some("backend-connect-timeout"));
        entry.note(|attempt| attempt.ends(Outcome::Connect, Tick::from_millis(7)));
        attempts.binds(Stickiness::Moved);
        assert_eq!(
            attempts.to_string(),
            "a at 10.0.0.1:80 (first) backend-connect-timeout total 2ms; sticky moved"
        );
        attempts.clear();
        assert_eq!(attempts.to_string(), "");
    }
}
