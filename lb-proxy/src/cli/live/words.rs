//! Numbers, times and values as people read them.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lb_proxy::{parse_duration, rfc3339};
use serde_json::Value;

/// `2026-11-20T16:50:33Z`
pub(super) fn moment(unix_millis: u64) -> String {
    let text = rfc3339(Duration::from_millis(unix_millis));
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// Milliseconds since 1970.
pub(super) fn present() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `3d 4h`, `1m 12s`: the two largest units.
pub(super) fn lasted(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let two = parts[first..].iter().take(2).filter(|(count, _)| *count > 0 || first == 3);
    two.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// `33%`; a share that is not nothing is not shown as nothing.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        some if some > 0.0 && some < 0.5 => "<1%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}

/// What stands in a table where there is nothing to say, so that `awk` has its word.
pub(super) fn nothing() -> String {
    "-".to_owned()
}

/// `0`, `0.4`, `12`: per second.
pub(super) fn frequency(per_second: f64) -> String {
    match per_second {
        none if none <= 0.0 => "0".to_owned(),
        few if few < 9.95 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

/// `0.42ms`, `4.2ms`, `420ms`, `4.2s`.
pub(super) fn latency(millis: f64) -> String {
    match millis {
        little if little < 0.995 => format!("{little:.2}ms"),
        little if little < 9.95 => format!("{little:.1}ms"),
        some if some < 999.5 => format!("{some:.0}ms"),
        much => format!("{:.1}s", much / 1_000.0),
    }
}

/// A value of a change.
pub(super) struct Said<'v>(pub(super) &'v Value);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("nothing"),
            Value::String(text) => f.write_str(text),
            Value::Object(table) => {
                if let Some(until) = self.0["draining"]["until"].as_u64() {
                    return write!(f, "draining until {}", moment(until));
                }
                // What it is called comes first, and the rest as it is typed.
                let first = ["address", "name"].into_iter().find(|key| table.contains_key(*key));
                let mut parts: Vec<String> =
                    first.map(|key| Said(&table[key]).to_string()).into_iter().collect();
                let rest = table.iter().filter(|(key, _)| Some(key.as_str()) != first);
                parts.extend(rest.map(|(key, value)| format!("{key}={}", Said(value))));
                f.write_str(&parts.join(" "))
            }
            other => write!(f, "{other}"),
        }
    }
}

/// What became of a field.
pub(super) fn difference(field: &str, before: &Value, after: &Value) -> String {
    let (old, new) = (Said(before), Said(after));
    match (field, before, after) {
        // It was saved: the file says it from then on.
        ("removed", ..) if before == after => format!("removed {new}, by the file"),
        _ if before == after => format!("{field}: {new}, by the file"),
        ("added", Value::Null, _) => format!("added {new}"),
        ("added", _, Value::Null) => format!("added no more: {old}"),
        ("removed", Value::Null, _) => format!("removed {new}"),
        ("removed", _, Value::Null) => format!("removed no more: {old}"),
        _ => format!("{field}: {old} → {new}"),
    }
}

/// A duration, for clap.
pub(super) fn read_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

/// A duration that is passed on as it was typed.
pub(super) fn read_limit(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(moment(971_186_136_042), "2000-10-10T13:55:36Z");
        let all = [0, 59, 60, 3_601, 90_000, 86_400].map(lasted);
        assert_eq!(all, ["0s", "59s", "1m", "1h", "1d 1h", "1d"]);
    }

    #[test]
    fn a_small_share_is_not_nothing() {
        assert_eq!([0.0, 0.001, 0.333, 1.0].map(percent), ["0%", "<1%", "33%", "100%"]);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let told = [0.0, 0.42, 4.24, 9.96, 120.4].map(frequency);
        assert_eq!(told, ["0", "0.4", "4.2", "10", "120"]);
        let told = [0.042, 0.999, 4.24, 42.4, 999.7, 4_240.0].map(latency);
        assert_eq!(told, ["0.04ms", "1.0ms", "4.2ms", "42ms", "1.0s", "4.2s"]);
    }

    #[test]
    fn values_are_told_as_they_would_be_typed() {
        let said = |value: Value| Said(&value).to_string();
        assert_eq!(said(json!("draining")), "draining");
        assert_eq!(said(json!(3)), "3");
        assert_eq!(said(Value::Null), "nothing");
        assert_eq!(said(json!({ "address": "a:1" })), "a:1");
        let added = json!({ "address": "a:1", "name": "a", "weight": 2 });
        assert_eq!(said(added.clone()), "a:1 name=a weight=2");
        assert_eq!(said(json!({ "key": "uri", "name": "maglev" })), "maglev key=uri");
        assert_eq!(difference("added", &Value::Null, &added), "added a:1 name=a weight=2");
        assert_eq!(difference("weight", &json!(1), &json!(2)), "weight: 1 → 2");
        assert_eq!(difference("weight", &json!(2), &json!(2)), "weight: 2, by the file");
        let until = json!({ "draining": { "until": 971_186_136_042_u64 } });
        assert_eq!(said(until), "draining until 2000-10-10T13:55:36Z");
    }
}
