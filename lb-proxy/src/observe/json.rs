//! A record as a JSON object.
//!
//! Written by hand, since it is the hot path of the log: no tree of values, no
//! allocation, and a key with all that is always around it in one piece. Keys without a value are left out, except those that say what
//! became of the request.

use std::time::Duration;

use super::{
    escape,
    record::{Asked, Record},
    render::{When, level, number},
    stamp::{Stamp, padded},
};
use crate::http::{attempts::Attempt, binder::Stickiness};

/// Appends the object, without the end of the line.
pub(super) fn object(out: &mut Vec<u8>, record: &Record, when: When, query: bool) {
    out.extend_from_slice(br#"{"ts":""#);
    Stamp::new(when.started).rfc3339(out);
    out.extend_from_slice(br#"","level":""#);
    out.extend_from_slice(level(record).as_bytes());
    out.push(b'"');
    text(out, br#","id":"#, record.id.as_ref());
    text(out, br#","client":"#, Some(record.client().as_bytes()));
    if let Some(asked) = &record.request {
        text(out, br#","method":"#, Some(asked.method.as_str()));
        text(out, br#","host":"#, asked.host());
        text(out, br#","path":"#, Some(asked.path(query)));
        text(out, br#","proto":"#, Some(asked.protocol()));
    }
    out.extend_from_slice(br#","status":"#);
    number(out, record.status);
    out.extend_from_slice(br#","bytes_in":"#);
    number(out, record.bytes_in);
    out.extend_from_slice(br#","bytes_out":"#);
    number(out, record.bytes_out);
    out.extend_from_slice(br#","duration":"#);
    seconds(out, when.took);
    text(out, br#","listener":"#, Some(record.listener.as_bytes()));
    text(out, br#","route":"#, record.route.as_deref());
    text(out, br#","cluster":"#, record.cluster.as_deref());
    let tries = record.attempts();
    let tries = tries.as_deref().unwrap_or_default();
    if let Some(last) = tries.last() {
        text(out, br#","backend":"#, Some(&*last.backend));
        text(out, br#","upstream_addr":"#, Some(&*last.address));
    }
    attempts(out, tries);
    text(out, br#","picked_by":"#, record.picked_by());
    text(out, br#","sticky":"#, record.sticky().map(Stickiness::word));
    let asked = record.request.as_ref();
    text(out, br#","user_agent":"#, asked.and_then(|asked: &Asked| asked.user_agent.as_ref()));
    text(out, br#","referer":"#, asked.and_then(|asked| asked.referer.as_ref()));
    text(out, br#","end":"#, Some(record.end()));
    out.push(b'}');
}

fn attempts(out: &mut Vec<u8>, attempts: &[Attempt]) {
    out.extend_from_slice(br#","attempts":"#);
    out.push(b'[');
    for (index, attempt) in attempts.iter().enumerate() {
        out.extend_from_slice(if index > 0 { br#",{"backend":"# } else { br#"{"backend":"# });
        escape::json(out, attempt.backend.as_bytes());
        text(out, br#","addr":"#, Some(&*attempt.address));
        if let Some(status) = attempt.status {
            out.extend_from_slice(br#","status":"#);
            number(out, status);
        }
        text(out, br#","error":"#, attempt.error);
        time(out, br#","connect":"#, attempt.connect);
        time(out, br#","first_byte":"#, attempt.first_byte);
        time(out, br#","total":"#, attempt.total);
        out.push(b'}');
    }
    out.push(b']');
}

fn text<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, key: &[u8], text: Option<&T>) {
    if let Some(text) = text {
        out.extend_from_slice(key);
        escape::json(out, text.as_ref());
    }
}

fn time(out: &mut Vec<u8>, key: &[u8], time: Option<Duration>) {
    if let Some(time) = time {
        out.extend_from_slice(key);
        seconds(out, time);
    }
}

/// Seconds with microseconds, rounded down.
fn seconds(out: &mut Vec<u8>, duration: Duration) {
    number(out, duration.as_secs());
    out.push(b'.');
    padded::<6>(out, u64::from(duration.subsec_micros()));
}
