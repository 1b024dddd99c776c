//! The `timeout` tables. Each key has one name, the same everywhere.
//!
//! A key that is missing in a table comes from the table around it, and one that is
//! missing there too has its default.

use std::{ops::Range, time::Duration};

use super::reader::Table;
use crate::{ClusterTimeouts, ListenerTimeouts};

/// `timeout` at top level or in `[[listener]]`.
pub(super) fn read_listener_timeouts(table: Option<Table<'_>>) -> ListenerTimeouts {
    let mut values = ListenerTimeouts::default();
    let Some(mut table) = table else { return values };
    set(&mut values.header, table.take_duration("header"));
    set(&mut values.body_idle, table.take_duration("body_idle"));
    set(&mut values.keep_alive, table.take_duration("keep_alive"));
    set(&mut values.send_stall, table.take_duration("send_stall"));
    // Zero has a meaning here: stop without waiting for anybody.
    set(&mut values.shutdown, table.take_duration_or_zero("shutdown"));
    table.finish();
    values
}

/// `timeout` in `[defaults]` or in a cluster.
pub(super) fn read_cluster_timeouts(table: Option<Table<'_>>) -> ClusterTimeouts {
    let mut values = ClusterTimeouts::default();
    let Some(mut table) = table else { return values };
    set(&mut values.connect, table.take_duration("connect"));
    set(&mut values.idle, table.take_duration("idle"));
    set(&mut values.pool_idle, table.take_duration("pool_idle"));
    let first_byte = take_placed(&mut table, "first_byte");
    let per_try = take_placed(&mut table, "per_try");
    let total = take_placed(&mut table, "total");
    set(&mut values.first_byte, first_byte.as_ref().map(|(time, _)| *time));
    values.per_try = per_try.as_ref().map(|(time, _)| *time);
    values.total = total.as_ref().map(|(time, _)| *time);
    // A default gives way to a total without a word.
    if let (Some(first_byte), Some(total)) = (&first_byte, &total) {
        must_fit(&table, ("first_byte", first_byte), total);
    }
    if let (Some(per_try), Some(total)) = (&per_try, &total) {
        must_fit(&table, ("per_try", per_try), total);
    }
    table.finish();
    values
}

type Placed = (Duration, (Range<usize>, String));

fn take_placed(table: &mut Table<'_>, key: &'static str) -> Option<Placed> {
    let value = table.take(key).filter(|value| !value.is_off())?;
    let place = (value.span(), value.path().to_owned());
    Some((value.duration(Duration::from_nanos(1))?, place))
}

fn must_fit(table: &Table<'_>, (part, (time, place)): (&str, &Placed), total: &Placed) {
    let (whole, (span, key)) = total;
    if time > whole {
        table.report(
            super::Diagnostic::error(format!("`{key}` is shorter than `{part}`"))
                .at(span.clone(), format!("ends before `{part}` ever does"))
                .related(place.0.clone(), "this is longer")
                .key(key)
                .help("`total` is for all attempts together: make it the longest, or leave it out"),
        );
    }
}

fn set(place: &mut Duration, value: Option<Duration>) {
    if let Some(value) = value {
        *place = value;
    }
}
