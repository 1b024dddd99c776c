//! Where people's wishes are taken, and where they read what became of them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::{
    ask::Ask,
    done::{ChangeRecord, Done},
    drains::{DrainProgress, Drains},
    event::Events,
    overview::Overview,
    refused::Refused,
};
use crate::traffic::{Loads, Traffic};

/// Wishes that may wait. More are refused: whoever asks faster than a build takes is
/// better told so than kept.
const WAITING: usize = 64;

/// Which part of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// What came after this change, oldest first.
    After(u64),
    /// What came before this one, newest first.
    Before(u64),
}

/// Reads the journal. May take its time: it is called beside everything else.
pub(crate) type ReadJournal =
    Arc<dyn Fn(Page, usize) -> Result<Vec<ChangeRecord>, String> + Send + Sync>;

/// A cheap handle for whoever speaks for people. All clones are one.
#[derive(Clone)]
pub(crate) struct Desk {
    asked: mpsc::Sender<Asked>,
    overview: Arc<ArcSwap<Overview>>,
    events: Events,
    drains: Drains,
    traffic: Traffic,
    journal: ReadJournal,
}

/// The other end: what is to be done next.
pub(crate) type Inbox = mpsc::Receiver<Asked>;

/// A wish, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) answer: oneshot::Sender<Result<Done, Refused>>,
}

impl Desk {
    /// A desk over this. Tests answer from the inbox themselves.
    pub(crate) fn new(overview: Overview, events: Events, journal: ReadJournal) -> (Self, Inbox) {
        let (asked, inbox) = mpsc::channel(WAITING);
        let overview = Arc::new(ArcSwap::from_pointee(overview));
        let (drains, traffic) = Default::default();
        (Self { asked, overview, events, drains, traffic, journal }, inbox)
    }

    /// Has it done. Resolves when every worker goes by it, or when it was refused; a
    /// caller who goes away does not stop it.
    ///
    /// # Errors
    ///
    /// [`Refused`]: nothing of it was done.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Done, Refused> {
        let (answer, answered) = oneshot::channel();
        self.asked.try_send(Asked { ask, answer }).map_err(|_| Refused::Busy)?;
        answered.await.unwrap_or(Err(Refused::Busy))
    }

    /// Whether somebody is there to do what is asked.
    pub(crate) fn is_open(&self) -> bool {
        !self.asked.is_closed()
    }

    /// What runs now.
    pub(crate) fn overview(&self) -> Arc<Overview> {
        self.overview.load_full()
    }

    /// What happened, and what will.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// What goes on.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Requests in flight, of all who are there.
    pub(crate) fn loads(&self) -> Loads {
        self.overview().loads()
    }

    /// How far a drain has come; `None` where the backend is not drained.
    pub(crate) fn drain(&self, cluster: &str, backend: &str) -> Option<DrainProgress> {
        self.drains.progress(cluster, backend)
    }

    /// A page of the journal, of at most `limit` changes.
    ///
    /// # Errors
    ///
    /// Why the journal cannot be read, in words.
    pub(crate) async fn changes(
        &self,
        page: Page,
        limit: usize,
    ) -> Result<Vec<ChangeRecord>, String> {
        let journal = Arc::clone(&self.journal);
        let read = tokio::task::spawn_blocking(move || journal(page, limit));
        read.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// What is read from now on.
    pub(crate) fn publish(&self, overview: Overview) {
        self.overview.store(Arc::new(overview));
    }

    pub(crate) fn drains(&self) -> &Drains {
        &self.drains
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}
