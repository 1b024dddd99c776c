//! `[log]`

use std::path::Path;

use super::{
    diagnostics::Diagnostics,
    reader::{Table, Text, Value, code_list, did_you_mean},
};
use crate::{AccessLogSettings, LogFormat, LogTarget, TemplateError};

/// What is logged, and where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// A line per request; none unless set.
    pub access: Option<AccessLogSettings>,
    /// What is told on stderr, as a tracing filter.
    pub level: Option<Box<str>>,
}

/// Reads `[log]`.
pub(super) fn read_log(table: Option<Table<'_>>, out: &Diagnostics) -> Log {
    let Some(mut table) = table else { return Log::default() };
    let access = table.take("access").and_then(|access| read_access(access, out));
    let level = table.take_str("level").map(|level| level.as_str().into());
    table.finish();
    Log { access, level }
}

fn read_access(value: Value<'_>, out: &Diagnostics) -> Option<AccessLogSettings> {
    if value.is_text() {
        // The only word there is.
        return value.word().and(None);
    }
    if !value.is_table() {
        out.push(
            value
                .error("must be a table or `\"off\"`", "this is neither")
                .help("write `access = { to = \"stdout\", format = \"combined\" }`"),
        );
        return None;
    }
    let mut table = value.into_table()?;
    let mut settings = AccessLogSettings::default();
    if let Some(to) = table.take_str("to").and_then(|to| read_target(&to)) {
        settings.to = to;
    }
    if let Some(format) = table.take_str("format").and_then(|format| read_format(&format)) {
        settings.format = format;
    }
    settings.sample = table.take("sample").and_then(Value::share).unwrap_or(settings.sample);
    settings.query = table.take_bool("query").unwrap_or(settings.query);
    table.finish();
    Some(settings)
}

fn read_target(text: &Text<'_>) -> Option<LogTarget> {
    match text.as_str() {
        "stdout" => Some(LogTarget::Stdout),
        "stderr" => Some(LogTarget::Stderr),
        // A word without a slash is rather a misspelt one of the two.
        path if path.contains('/') => Some(LogTarget::File(Path::new(path).to_owned())),
        other => {
            let error = text.error(
                format!("`{other}` is nowhere to log to"),
                "neither `stdout`, `stderr` nor a path",
            );
            text.report(match did_you_mean(other, ["stdout", "stderr"]) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!("a file in the current folder is `./{other}`")),
            });
            None
        }
    }
}

const FORMATS: [&str; 4] = ["common", "combined", "lb", "json"];

fn read_format(text: &Text<'_>) -> Option<LogFormat> {
    match text.as_str() {
        "common" => Some(LogFormat::Common),
        "combined" => Some(LogFormat::Combined),
        "lb" => Some(LogFormat::Lb),
        "json" => Some(LogFormat::Json),
        own if own.contains('$') => match own.parse() {
            Ok(template) => Some(LogFormat::Template(template)),
            Err(error) => {
                let error: TemplateError = error;
                let message = format!("`{}` is not a line to log", text.path());
                text.report(text.error(message, error.to_string()));
                None
            }
        },
        other => {
            let list = format!("formats: {}, or a text with `$variables`", code_list(FORMATS));
            let error = text.error(format!("unknown format `{other}`"), "no such format");
            text.report(error.help(match did_you_mean(other, FORMATS) {
                Some(near) => format!("{list}; did you mean `{near}`?"),
                None => list,
            }));
            None
        }
    }
}
