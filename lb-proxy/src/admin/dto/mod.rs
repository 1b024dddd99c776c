//! What the API says, field by field. Promised: fields are added, never renamed.
//!
//! Times are milliseconds since 1970. A name is never an index: a backend is called by
//! its name, which is its address where it has no other.

mod audit;
mod backend;
mod change;
mod check;
mod cluster;
mod config;
mod explain;
mod log_level;
mod login;
mod rate;
mod request;
mod saving;
mod session;
mod source;
mod status;
mod time;
mod wish;

pub(crate) use self::{
    audit::AuditEntry,
    backend::{Backend, Moment, Override},
    change::{Change, Changed, Event},
    check::{Check, CheckedNow},
    cluster::{Cluster, NewStrategy},
    config::{Checked, EffectiveConfig, Reloaded, SettingLine},
    explain::{Asked, Candidate, Explained},
    log_level::{LogLevel, WantedLevel},
    login::{Login, WhoAmI},
    rate::{Columns, Rate, Series},
    request::{KeptOne, OneTry},
    saving::{Differences, DriftItem, SaveWish, Saved, SavedItem},
    session::{BackendSessions, SessionAsked, SessionFound, Sessions},
    source::{Cause, Generation, Source},
    status::{Route, Status},
    time::{ago, at_tick},
    wish::{BackendChanges, Bulk, NewBackend, Operation, SettingChanges, State, read_drain},
};
