//! What the API says, field by field. Promised: fields are added, never renamed.
//!
//! Times are milliseconds since 1970. A name is never an index: a backend is called by
//! its name, which is its address where it has no other.

mod backend;
mod change;
mod cluster;
mod config;
mod explain;
mod saving;
mod source;
mod status;
mod time;
mod wish;

pub(crate) use self::{
    backend::{Backend, Moment, Override},
    change::{Change, Changed, Event},
    cluster::{Cluster, NewStrategy},
    config::{Checked, EffectiveConfig, Reloaded, SettingLine},
    explain::{Asked, Candidate, Explained},
    saving::{Differences, DriftItem, SaveWish, Saved, SavedItem},
    source::{Cause, Generation, Source},
    status::{Route, Status},
    time::{ago, at_tick},
    wish::{BackendChanges, Bulk, NewBackend, Operation, State, read_drain},
};
