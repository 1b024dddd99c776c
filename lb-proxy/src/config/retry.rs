//! `retry`: after what a request goes to another backend, and how often.

use super::{
    diagnostics::Diagnostics,
    reader::{Table, Value, code_list, did_you_mean},
};
use crate::{RetryOn, RetrySettings};

const CAUSES: [&str; 3] = ["connect", "reset", "timeout"];

/// Reads `retry` of a cluster.
pub(super) fn read_retry(table: Option<Table<'_>>, out: &Diagnostics) -> RetrySettings {
    let mut settings = RetrySettings::default();
    let Some(mut table) = table else { return settings };
    settings.attempts = table.take_integer("attempts").unwrap_or(settings.attempts);
    if let Some(causes) = table.take("on").and_then(|on| on.list(None)) {
        settings.on = read_causes(causes, out);
    }
    settings.any_method = table.take("methods").and_then(Value::word) == Some("any");
    settings.budget = table.take_percent("budget").unwrap_or(settings.budget);
    table.finish();
    settings
}

fn read_causes(causes: Vec<Value<'_>>, out: &Diagnostics) -> RetryOn {
    let mut on = RetryOn { connect: false, reset: false, timeout: false, statuses: Box::default() };
    let mut statuses = Vec::new();
    for cause in causes {
        if cause.is_integer() {
            statuses.extend(cause.integer().and_then(|status| u16::try_from(status).ok()));
            continue;
        }
        if !cause.is_text() {
            out.push(
                cause
                    .error("must be a cause or a status", "this is neither")
                    .help(format!("causes: {}; a status is a number", code_list(CAUSES))),
            );
            continue;
        }
        let Some(text) = cause.text() else { continue };
        match text.as_str() {
            "connect" => on.connect = true,
            "reset" => on.reset = true,
            "timeout" => on.timeout = true,
            other => {
                let list = format!("causes: {}, or a status", code_list(CAUSES));
                let help = match did_you_mean(other, CAUSES) {
                    Some(near) => format!("{list}; did you mean `{near}`?"),
                    None if other.parse::<u16>().is_ok() => {
                        format!("a status is a number: `{other}`, without quotes")
                    }
                    None => list,
                };
                let message = format!("`{other}` is nothing to retry after");
                text.report(text.error(message, "no such cause").help(help));
            }
        }
    }
    on.statuses = statuses.into();
    on
}
