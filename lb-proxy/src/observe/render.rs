//! From a record to a line.

use std::time::Duration;

use super::{
    escape, json,
    record::{Asked, Record, Wanted},
    settings::LogFormat,
    stamp::{Stamp, padded},
    template::{Part, Template},
    variable::Variable,
};
use crate::http::{attempts::Attempt, binder::Stickiness};

/// Apache's `common`, which is also nginx's but for the rest of `combined`.
const COMMON: &str = r#"$client - - [$time] "$request" $status $bytes_out"#;
const COMBINED: &str =
    r#"$client - - [$time] "$request" $status $bytes_out "$referer" "$user_agent""#;
const LB: &str = concat!(
    r#"$client - - [$time] "$request" $status $bytes_out "$referer" "$user_agent" "#,
    "rt=$duration urt=$upstream_time ua=$upstream_addr us=$upstream_status ",
    "tries=$attempts id=$id end=$end",
);

/// Writes records as one format has them.
#[derive(Debug)]
pub(super) struct Renderer {
    format: Format,
    /// Query strings are written.
    query: bool,
    wanted: Wanted,
}

#[derive(Debug)]
enum Format {
    Text(Template),
    Json,
}

/// When a request was.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// Its beginning, after the first second of 1970.
    pub(super) started: Duration,
    pub(super) took: Duration,
}

impl Renderer {
    pub(super) fn new(format: &LogFormat, query: bool) -> Self {
        let preset = |text: &str| {
            Format::Text(text.parse().expect("the formats that are built in have no mistakes"))
        };
        let format = match format {
            LogFormat::Common => preset(COMMON),
            LogFormat::Combined => preset(COMBINED),
            LogFormat::Lb => preset(LB),
            LogFormat::Json => Format::Json,
            LogFormat::Template(template) => Format::Text(template.clone()),
        };
        let wanted = match &format {
            Format::Json => Wanted { agent: true },
            Format::Text(template) => wanted(template),
        };
        Self { format, query, wanted }
    }

    /// What records need not have.
    pub(super) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Appends the line of a record, with its end.
    pub(super) fn line(&self, out: &mut Vec<u8>, record: &Record, when: When) {
        match &self.format {
            Format::Json => json::object(out, record, when, self.query),
            Format::Text(template) => {
                for part in template.parts() {
                    match part {
                        Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                        Part::Variable(variable) => self.variable(out, *variable, record, when),
                    }
                }
            }
        }
        out.push(b'\n');
    }

    fn variable(&self, out: &mut Vec<u8>, variable: Variable, record: &Record, when: When) {
        let asked = record.request.as_ref();
        match variable {
            Variable::Time => Stamp::new(when.started).common(out),
            Variable::Ts => Stamp::new(when.started).rfc3339(out),
            Variable::Level => out.extend_from_slice(level(record).as_bytes()),
            Variable::Id => text(out, record.id.as_ref()),
            Variable::Client => text(out, Some(record.client().as_bytes())),
            Variable::Listener => text(out, Some(record.listener.as_bytes())),
            Variable::Request => self.request(out, asked),
            Variable::Method => text(out, asked.map(|asked| asked.method.as_str())),
            Variable::Host => text(out, asked.and_then(Asked::host)),
            Variable::Path => text(out, asked.map(|asked| asked.path(self.query))),
            Variable::Proto => text(out, asked.map(Asked::protocol)),
            Variable::UserAgent => text(out, asked.and_then(|asked| asked.user_agent.as_ref())),
            Variable::Referer => text(out, asked.and_then(|asked| asked.referer.as_ref())),
            Variable::Status => number(out, record.status),
            Variable::BytesIn => number(out, record.bytes_in),
            Variable::BytesOut => number(out, record.bytes_out),
            Variable::Duration => seconds(out, when.took),
            Variable::Route => text(out, record.route.as_deref()),
            Variable::Cluster => text(out, record.cluster.as_deref()),
            Variable::Backend => match record.attempts() {
                Some(attempts) => text(out, attempts.last().map(|last| &*last.backend)),
                None => out.push(b'-'),
            },
            Variable::UpstreamAddr => {
                list(out, record, |out, attempt| text(out, Some(&*attempt.address)));
            }
            Variable::UpstreamStatus => list(out, record, status),
            Variable::UpstreamTime => {
                list(out, record, total);
            }
            Variable::Attempts => {
                number(out, record.attempts().map_or(0, |attempts| attempts.len()));
            }
            Variable::PickedBy => text(out, record.picked_by()),
            Variable::Sticky => text(out, record.sticky().map(Stickiness::word)),
            Variable::End => text(out, Some(record.end())),
        }
    }

    fn request(&self, out: &mut Vec<u8>, asked: Option<&Asked>) {
        let Some(asked) = asked else { return out.push(b'-') };
        escape::text(out, asked.method.as_str().as_bytes());
        out.push(b' ');
        escape::text(out, asked.path(self.query).as_bytes());
        out.push(b' ');
        out.extend_from_slice(asked.protocol().as_bytes());
    }
}

fn wanted(template: &Template) -> Wanted {
    let has = |wanted: &[Variable]| {
        template
            .parts()
            .iter()
            .any(|part| matches!(part, Part::Variable(variable) if wanted.contains(variable)))
    };
    Wanted { agent: has(&[Variable::UserAgent, Variable::Referer]) }
}

pub(super) fn level(record: &Record) -> &'static str {
    if record.is_failure() { "warn" } else { "info" }
}

pub(super) fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Seconds with milliseconds, rounded down.
fn seconds(out: &mut Vec<u8>, duration: Duration) {
    number(out, duration.as_secs());
    out.push(b'.');
    padded::<3>(out, u64::from(duration.subsec_millis()));
}

fn text<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, text: Option<&T>) {
    match text.map(AsRef::as_ref) {
        None | Some([]) => out.push(b'-'),
        Some(text) => escape::text(out, text),
    }
}

fn status(out: &mut Vec<u8>, attempt: &Attempt) {
    match attempt.status {
        Some(status) => number(out, status),
        None => out.push(b'-'),
    }
}

fn total(out: &mut Vec<u8>, attempt: &Attempt) {
    match attempt.total {
        Some(total) => seconds(out, total),
        // It is still taking the rest of the request.
        None => out.push(b'-'),
    }
}

/// One value per attempt.
fn list(out: &mut Vec<u8>, record: &Record, write: fn(&mut Vec<u8>, &Attempt)) {
    let attempts = record.attempts();
    let attempts = attempts.as_deref().unwrap_or_default();
    for (index, attempt) in attempts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, attempt);
    }
    if attempts.is_empty() {
        out.push(b'-');
    }
}

#[cfg(test)]
mod tests;
