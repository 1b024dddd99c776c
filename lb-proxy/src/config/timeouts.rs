//! The `timeout` tables. Each key has one name, the same everywhere.
//!
//! A table is read over values that are already there (the defaults, or what an
//! outer table said), so a missing key keeps its value.

use std::time::Duration;

use super::reader::Table;
use crate::{ClusterTimeouts, ListenerTimeouts};

const OF_LISTENERS: &[&str] = &["header", "body_idle", "keep_alive", "send_stall", "shutdown"];
const OF_CLUSTERS: &[&str] = &["connect", "first_byte", "idle", "pool_idle"];

/// `timeout` at top level or in `[[listener]]`.
pub(super) fn read_listener_timeouts(mut table: Table<'_>, into: &mut ListenerTimeouts) {
    set(&mut into.header, table.take_duration("header"));
    set(&mut into.body_idle, table.take_duration("body_idle"));
    set(&mut into.keep_alive, table.take_duration("keep_alive"));
    set(&mut into.send_stall, table.take_duration("send_stall"));
    // Zero has a meaning here: stop without waiting for anybody.
    set(&mut into.shutdown, table.take_duration_or_zero("shutdown"));
    table.belong_elsewhere(
        OF_CLUSTERS,
        "is a matter of clusters: set it in `timeout` of `[defaults]` or of a cluster",
    );
    table.finish();
}

/// `timeout` in `[defaults]` or in a cluster.
pub(super) fn read_cluster_timeouts(mut table: Table<'_>, into: &mut ClusterTimeouts) {
    set(&mut into.connect, table.take_duration("connect"));
    set(&mut into.first_byte, table.take_duration("first_byte"));
    set(&mut into.idle, table.take_duration("idle"));
    set(&mut into.pool_idle, table.take_duration("pool_idle"));
    table.belong_elsewhere(
        OF_LISTENERS,
        "is a matter of listeners: set it in `timeout` at top level or of a `[[listener]]`",
    );
    table.finish();
}

fn set(place: &mut Duration, value: Option<Duration>) {
    if let Some(value) = value {
        *place = value;
    }
}
