//! What happened, numbered, for whoever looks and for whoever listens.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::broadcast;

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Counts from 1.
    pub(crate) seq: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) kind: EventKind,
    pub(crate) cluster: Option<String>,
    pub(crate) backend: Option<String>,
    /// What it is about: `state`, `weight`, `health`, `strategy`.
    pub(crate) field: Option<String>,
    /// What was, in words.
    pub(crate) from: Option<String>,
    /// What is, in words.
    pub(crate) to: Option<String>,
    /// The reason, in words.
    pub(crate) why: String,
    /// By whom, where it was a person.
    pub(crate) author: Option<String>,
    /// The number to undo it by.
    pub(crate) change: Option<u64>,
}

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Something that is only worth knowing.
    #[default]
    Note,
    /// A person changed something.
    Change,
    /// The verdict on a backend changed.
    Health,
    /// A source said that others are there.
    Members,
    /// Backends are used for want of better ones, or not any more.
    Panic,
    /// Another configuration is served.
    Reload,
    /// Another configuration could not be served.
    Rejected,
    /// An override does not hold any more, as the file has changed.
    Dropped,
    /// No request is left at a backend that was drained.
    Drained,
}

impl EventKind {
    /// Its name, for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Change => "change",
            Self::Health => "health",
            Self::Members => "members",
            Self::Panic => "panic",
            Self::Reload => "reload",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
            Self::Drained => "drained",
        }
    }
}

/// The last events, and those to come. All clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    told: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    events: VecDeque<Arc<Event>>,
}

impl Events {
    const KEPT: usize = 1_000;
    /// How far somebody who listens may be behind.
    const BEHIND: usize = 256;

    pub(crate) fn new() -> Self {
        let (told, _) = broadcast::channel(Self::BEHIND);
        Self(Arc::new(Shared { kept: Mutex::default(), told }))
    }

    /// Numbers and dates an event, and tells it.
    pub(crate) fn push(&self, event: Event) {
        let mut kept = self.kept();
        kept.last += 1;
        let event = Arc::new(Event { seq: kept.last, at: unix_millis(), ..event });
        if kept.events.len() == Self::KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(Arc::clone(&event));
        // Under the lock, so that they are told in order. Nobody may be listening.
        let _ = self.0.told.send(event);
    }

    /// Those kept that came after `seq`, oldest first.
    pub(crate) fn since(&self, seq: u64) -> Vec<Arc<Event>> {
        let kept = self.kept();
        kept.events.iter().filter(|event| event.seq > seq).cloned().collect()
    }

    /// Those kept after `seq`, and all that come from then on: none is missed, none
    /// twice. Whoever falls behind is told how many he has missed.
    pub(crate) fn follow(&self, seq: u64) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = self.kept();
        let past = kept.events.iter().filter(|event| event.seq > seq).cloned().collect();
        (past, self.0.told.subscribe())
    }

    /// The numbers of the oldest that is kept and of the newest; 0 where none is.
    pub(crate) fn span(&self) -> (u64, u64) {
        let kept = self.kept();
        (kept.events.front().map_or(0, |event| event.seq), kept.last)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970, by the clock on the wall.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(events: &[Arc<Event>]) -> Vec<&str> {
        events.iter().map(|event| &*event.why).collect()
    }

    #[test]
    fn a_thousand_are_kept_and_none_is_missed_between_past_and_future() {
        let events = Events::new();
        for number in 1..=1_500 {
            events.push(Event { why: number.to_string(), ..Event::default() });
        }
        assert_eq!(events.span(), (501, 1_500));
        assert_eq!((events.since(0).len(), events.since(501).len()), (1_000, 999));
        let (past, mut future) = events.follow(1_498);
        assert_eq!(why(&past), ["1499", "1500"]);
        events.push(Event { why: "next".to_owned(), ..Event::default() });
        let next = future.try_recv().unwrap();
        assert_eq!((next.seq, &*next.why), (1_501, "next"));
        assert!(future.try_recv().is_err());
    }
}
