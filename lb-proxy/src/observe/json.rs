//! A record as a JSON object.
//!
//! Written by hand, since it is the hot path of the log: no tree of values, no
//! allocation. Keys without a value are left out, except those that say what
//! became of the request.

use std::time::Duration;

use super::{
    escape,
    record::{Asked, Attempt, AttemptResult, Record},
    render::{When, level, number},
    stamp::{Stamp, padded},
};

/// Appends the object, without the end of the line.
pub(super) fn object(out: &mut Vec<u8>, record: &Record, when: When, query: bool) {
    out.extend_from_slice(b"{\"ts\":\"");
    Stamp::new(when.started).rfc3339(out);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(level(record).as_bytes());
    out.push(b'"');
    text(out, "id", record.id.as_ref());
    text(out, "client", Some(&record.client));
    if let Some(asked) = &record.request {
        text(out, "method", Some(asked.method.as_str()));
        text(out, "host", asked.host());
        text(out, "path", Some(asked.path(query)));
        text(out, "proto", Some(asked.protocol()));
    }
    key(out, "status");
    number(out, record.status);
    key(out, "bytes_in");
    number(out, record.bytes_in);
    key(out, "bytes_out");
    number(out, record.bytes_out);
    key(out, "duration");
    seconds(out, when.took);
    text(out, "listener", Some(record.listener.as_bytes()));
    text(out, "route", record.route.as_deref());
    text(out, "cluster", record.cluster.as_deref());
    if let Some(last) = record.attempts.last() {
        text(out, "backend", Some(&*last.backend));
        text(out, "upstream_addr", Some(&*last.address));
    }
    attempts(out, &record.attempts);
    text(out, "picked_by", record.picked_by.map(|by| by.word()));
    text(out, "sticky", record.sticky.map(|sticky| sticky.word()));
    let asked = record.request.as_ref();
    text(out, "user_agent", asked.and_then(|asked: &Asked| asked.user_agent.as_ref()));
    text(out, "referer", asked.and_then(|asked| asked.referer.as_ref()));
    text(out, "end", Some(record.end()));
    out.push(b'}');
}

fn attempts(out: &mut Vec<u8>, attempts: &[Attempt]) {
    key(out, "attempts");
    out.push(b'[');
    for (index, attempt) in attempts.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"backend\":" } else { b"{\"backend\":" });
        escape::json(out, attempt.backend.as_bytes());
        text(out, "addr", Some(&*attempt.address));
        match attempt.result {
            AttemptResult::Status(status) => {
                key(out, "status");
                number(out, status);
            }
            AttemptResult::Failed(word) => text(out, "error", Some(word)),
        }
        time(out, "connect", attempt.connect);
        time(out, "first_byte", attempt.first_byte);
        time(out, "total", Some(attempt.total));
        out.push(b'}');
    }
    out.push(b']');
}

fn key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, name: &str, text: Option<&T>) {
    if let Some(text) = text {
        key(out, name);
        escape::json(out, text.as_ref());
    }
}

fn time(out: &mut Vec<u8>, name: &str, time: Option<Duration>) {
    if let Some(time) = time {
        key(out, name);
        seconds(out, time);
    }
}

/// Seconds with microseconds, rounded down.
fn seconds(out: &mut Vec<u8>, duration: Duration) {
    number(out, duration.as_secs());
    out.push(b'.');
    padded::<6>(out, u64::from(duration.subsec_micros()));
}
