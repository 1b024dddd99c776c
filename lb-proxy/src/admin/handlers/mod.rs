//! One file per resource. They read the overview, or pass a wish on to the desk.

pub(super) mod audit;
pub(super) mod backends;
pub(super) mod changes;
pub(super) mod checks;
pub(super) mod clusters;
pub(super) mod config;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod generations;
pub(super) mod log_level;
pub(super) mod login;
pub(super) mod probes;
pub(super) mod requests;
pub(super) mod saving;
pub(super) mod series;
pub(super) mod sessions;
pub(super) mod sources;
pub(super) mod status;
mod write;
