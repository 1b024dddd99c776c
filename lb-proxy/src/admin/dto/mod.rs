//! What the API says, field by field. Promised: fields are added, never renamed.
//!
//! Times are milliseconds since 1970. A name is never an index: a backend is called by
//! its name, which is its address where it has no other.

mod backend;
mod change;
mod check;
mod cluster;
mod config;
mod explain;
mod source;
mod status;
mod time;
mod wish;

pub(crate) use self::{
    backend::{Backend, Moment, Override},
    change::{Change, Changed, Event},
    check::{Check, CheckedNow},
    cluster::{Cluster, NewStrategy},
    config::{Checked, EffectiveConfig, Reloaded, SettingLine},
    explain::{Asked, Candidate, Explained},
    source::{Cause, Generation, Source},
    status::{Route, Status},
    time::{ago, at_tick},
    wish::{BackendChanges, Bulk, NewBackend, Operation, SettingChanges, State, read_drain},
};
