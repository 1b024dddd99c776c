//! `outlier`: when a backend is ejected that does worse than the others.
//!
//! Nothing is looked for unless there is the table. In it, errors in a row and the
//! success rate are on unless they are off; the two other methods, which need a number
//! that fits the application, only when they have it.

use std::time::Duration;

use lb_core::health::Outlier;

use super::reader::{Table, Value};

/// Reads `outlier` of a cluster.
pub(super) fn read_outlier(mut table: Table<'_>) -> Outlier {
    let default = Outlier::default();
    let percent = |value: Value<'_>| value.percent();
    let time = |value: Value<'_>| value.duration(Duration::from_nanos(1));
    let eject = table.take("eject").and_then(time).unwrap_or(default.eject);
    let max_eject = table.take("max_eject");
    let longest = max_eject.clone().and_then(time);
    if let (Some(value), Some(_)) = (max_eject, longest.filter(|longest| *longest < eject)) {
        let message = format!("`{}` is shorter than `eject`", value.path());
        value.report(
            value
                .warning(message, "no ejection is shorter than the first")
                .help("make it the longer one, or leave it out"),
        );
    }
    let outlier = Outlier {
        consecutive_5xx: method(&mut table, "consecutive_5xx", default.consecutive_5xx, count),
        success_rate: method(&mut table, "success_rate", default.success_rate, thousandths),
        failure_percentage: method(&mut table, "failure_percentage", None, percent),
        latency: method(&mut table, "latency", None, thousandths),
        interval: table.take_duration("interval").unwrap_or(default.interval),
        request_volume: table.take_integer("request_volume").unwrap_or(default.request_volume),
        min_backends: table.take_integer("min_backends").unwrap_or(default.min_backends),
        eject,
        max_eject: longest.unwrap_or(default.max_eject),
        max_ejected: table.take_percent("max_ejected").unwrap_or(default.max_ejected),
    };
    table.finish();
    outlier
}

/// A method's number; `None` where it is off.
fn method<T>(
    table: &mut Table<'_>,
    key: &'static str,
    default: Option<T>,
    read: impl FnOnce(Value<'_>) -> Option<T>,
) -> Option<T> {
    match table.take(key) {
        Some(value) if value.is_off() => None,
        Some(value) => read(value),
        None => default,
    }
}

fn count(value: Value<'_>) -> Option<u32> {
    u32::try_from(value.integer()?).ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the description of the key keeps it between 0 and 1,000"
)]
fn thousandths(value: Value<'_>) -> Option<u32> {
    Some((value.number()? * 1_000.0).round() as u32)
}
