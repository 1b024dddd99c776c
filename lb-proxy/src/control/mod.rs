//! What a person may want of a balancer that runs, and how he hears of it.
//!
//! Whoever asks holds a [`Desk`]. It carries an [`Ask`] to the owner of the clusters,
//! who does one after the other, and reads the [`Overview`] and the [`Events`] that
//! the owner publishes. So nothing is changed from outside, an answer is the truth at
//! every worker, and reading takes no lock that a request could wait for.

mod ask;
mod decided;
mod desk;
mod difference;
mod done;
mod drains;
mod event;
mod impact;
mod ledger;
mod log_level;
mod overview;
mod plan;
mod refused;
mod remembered;
mod saving;
mod settings;
mod values;

#[cfg(test)]
pub(crate) use self::ledger::Memory;
pub(crate) use self::{
    ask::{Ask, Author, BackendPatch, Door, NewBackend, WantedState, Which, Wish},
    decided::{Decided, Laid, Passing},
    desk::{Asked, Desk, Inbox, Page},
    difference::{BackendDifference, Difference, SettingDifference, difference},
    done::{ChangeRecord, Done, Impact, SavedItem, Saving},
    drains::DrainProgress,
    event::{Event, EventKind, Events, unix_millis},
    ledger::{Ledger, Written, now, undoing},
    log_level::{LogLevel, Logged},
    overview::{ClusterOverview, Drift, Leaving, Overview, Texts},
    plan::{Edit, Overrides, Plan, Seen, Sight, listed, plan},
    refused::{Mistakes, Refused},
    remembered::Remembered,
    saving::{is_said, meant, wording},
    settings::{SettingTable, Unfit, take_unfit, tune},
    values::{in_file, read_state, said_by_file, unix_of},
};
