//! What a person may want of a balancer that runs, and how he hears of it.
//!
//! Whoever asks holds a [`Desk`]. It carries an [`Ask`] to the owner of the clusters,
//! who does one after the other, and reads the [`Overview`] and the [`Events`] that
//! the owner publishes. So nothing is changed from outside, an answer is the truth at
//! every worker, and reading takes no lock that a request could wait for.

mod ask;
mod desk;
mod done;
mod drains;
mod event;
mod overview;
mod refused;

#[expect(unused_imports, reason = "the API that uses all of them is built beside this")]
pub(crate) use self::{
    ask::{Ask, Author, BackendPatch, Door, NewBackend, WantedState, Wish},
    desk::{Asked, Desk, Inbox, ReadJournal},
    done::{ChangeRecord, Done, Impact},
    drains::{DrainProgress, Drains},
    event::{Event, EventKind, Events, unix_millis},
    overview::{ClusterOverview, Drift, Leaving, Overview},
    refused::Refused,
};
