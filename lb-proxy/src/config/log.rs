//! `[log]`

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    loader::Loader,
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
pub(super) fn read_log(table: Option<Table<'_>>, loader: &dyn Loader, out: &Diagnostics) -> Log {
    let Some(mut table) = table else { return Log::default() };
    let access = table.take("access").and_then(|access| read_access(access, loader, out));
    let level = table.take_str("level").filter(check_level).map(|level| level.as_str().into());
    table.finish();
    Log { access, level }
}

/// Why a text is no filter for what is told on stderr; `None` if it is one.
///
/// A word alone has to be a level: taken as the name of a module, as tracing takes
/// it, a misspelt level would switch all logs off.
#[must_use]
pub fn level_problem(filter: &str) -> Option<String> {
    for part in filter.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if part.parse::<LevelFilter>().is_err() && !part.contains(['=', '[']) {
            return Some(format!("`{part}` is not a level"));
        }
    }
    if filter.trim().is_empty() {
        return Some("it is empty".to_owned());
    }
    EnvFilter::try_new(filter).err().map(|error| error.to_string())
}

fn check_level(text: &Text<'_>) -> bool {
    let Some(problem) = level_problem(text.as_str()) else { return true };
    let error = text.error(format!("`{}` is not a filter", text.path()), problem);
    text.report(match did_you_mean(text.as_str(), LEVELS) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!(
            "levels: {}; or parts with their own, as `info,lb_proxy=debug`",
            code_list(LEVELS)
        )),
    });
    false
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

fn read_access(
    value: Value<'_>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Option<AccessLogSettings> {
    if value.is_off() {
        return None;
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
    if let Some(to) = table.take_str("to").and_then(|to| read_target(&to, loader, out)) {
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

fn read_target(text: &Text<'_>, loader: &dyn Loader, out: &Diagnostics) -> Option<LogTarget> {
    match text.as_str() {
        "stdout" => Some(LogTarget::Stdout),
        "stderr" => Some(LogTarget::Stderr),
        // A word without a slash is rather a misspelt one of the two.
        path if path.contains('/') => {
            let path = out.beside(&text.span(), path);
            if let Err(error) = loader.may_append(&path) {
                let message = format!("the access log `{}` cannot be written", path.display());
                out.push(
                    Diagnostic::warning(message)
                        .at(text.span(), error.to_string())
                        .key(text.path())
                        .help("nothing starts with a log that cannot be opened"),
                );
            }
            Some(LogTarget::File(path))
        }
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
