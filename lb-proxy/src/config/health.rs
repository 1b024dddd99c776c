//! `health`: how the backends of a cluster are checked.

use std::ops::RangeInclusive;

use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::PathAndQuery};
use lb_core::cluster::Thresholds;

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    methods::read_method,
    reader::{Table, Text, Value},
};
use crate::{CheckKind, HealthCheck, HttpCheck};

/// Reads `health` of a cluster. What is checked may be missing in `[defaults]`: then
/// the clusters are checked that add it.
pub(super) fn read_health(
    mut table: Table<'_>,
    out: &Diagnostics,
) -> (Option<HealthCheck>, Thresholds) {
    let is_default = table.path() == "defaults.health";
    let path = table.take("path");
    let tcp = table.take("tcp");
    let only_http = ["method", "headers", "expect", "body"];
    let [method, headers, expect, body] = only_http.map(|key| table.take(key));
    let is_tcp = tcp.clone().and_then(Value::boolean).unwrap_or(false);
    if let Some(tcp) = tcp.filter(|_| is_tcp) {
        for option in [&path, &method, &headers, &expect, &body].into_iter().flatten() {
            out.push(
                Diagnostic::error(format!("`{}` has no use with `tcp = true`", option.path()))
                    .at(option.key_span(), "nothing is asked for")
                    .related(tcp.span(), "only a connection is made")
                    .key(option.path())
                    .help("leave out one of the two"),
            );
        }
    } else if path.is_none() && !is_default {
        out.push(
            table
                .missing("path", "what is asked for?")
                .help("add `path = \"/healthz\"`, or `tcp = true` to only connect"),
        );
    }
    let is_whole = is_tcp || path.is_some();
    let path = path.and_then(Value::text).and_then(|text| read_path(&text));
    let mut http = HttpCheck::get(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    http.method =
        method.and_then(Value::text).and_then(|text| read_method(&text)).unwrap_or(Method::GET);
    http.headers = headers.and_then(Value::into_table).map(read_headers).unwrap_or_default();
    if let Some(expect) = expect {
        http.statuses = read_statuses(expect, out);
    }
    http.body = body.and_then(Value::text).map(|text| text.as_str().into());
    let mut check = HealthCheck {
        kind: if is_tcp { CheckKind::Tcp } else { CheckKind::Http(http) },
        port: table.take_integer("port"),
        ..HealthCheck::default()
    };
    let timeout = table.take("timeout");
    let timeout_place = timeout.clone();
    check.interval = table.take_duration("interval").unwrap_or(check.interval);
    check.interval_down = table.take_duration("interval_down");
    check.timeout = timeout
        .and_then(|timeout| timeout.duration(std::time::Duration::from_nanos(1)))
        .unwrap_or_else(|| check.timeout.min(check.interval));
    if let Some(timeout) = timeout_place.filter(|_| check.timeout > check.interval) {
        let message = format!("`{}` is longer than `interval`", timeout.path());
        out.push(
            timeout
                .warning(message, "a slow check delays the next one")
                .help("a backend that hangs is noticed late"),
        );
    }
    let default = Thresholds::default();
    let thresholds = Thresholds {
        rise: table.take_integer("rise").unwrap_or(default.rise),
        fall: table.take_integer("fall").unwrap_or(default.fall),
        round: check.interval,
    };
    table.finish();
    (is_whole.then_some(check), thresholds)
}

pub(super) fn read_path(text: &Text<'_>) -> Option<PathAndQuery> {
    let path = text.as_str();
    let problem = match path.parse::<PathAndQuery>() {
        Ok(path) if path.as_str().starts_with('/') => return Some(path),
        Ok(_) => "it does not begin with `/`".to_owned(),
        Err(error) => error.to_string(),
    };
    text.report(
        text.error(format!("`{path}` is not a path to ask for"), problem)
            .help("write it like `/healthz`, with a query if need be"),
    );
    None
}

fn read_headers(table: Table<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in table.entries() {
        let Some(text) = value.text() else { continue };
        text.hide();
        let key = HeaderName::from_bytes(name.as_str().as_bytes());
        let Ok(key) = key else {
            let message = format!("`{}` is not the name of a header", name.as_str());
            name.report(name.error(message, "not a token"));
            continue;
        };
        match HeaderValue::from_str(text.as_str()) {
            Ok(value) => drop(headers.insert(key, value)),
            Err(_) => text.report(text.error(
                format!("`{}` cannot be sent", text.path()),
                "it has a character that no header may have",
            )),
        }
    }
    headers
}

fn read_statuses(value: Value<'_>, out: &Diagnostics) -> Vec<RangeInclusive<u16>> {
    let whole = value.clone();
    let parts = value.one_or_more();
    if parts.is_empty() {
        out.push(whole.error("must not be empty", "no answer would pass"));
    }
    parts.into_iter().filter_map(read_status).collect()
}

fn read_status(value: Value<'_>) -> Option<RangeInclusive<u16>> {
    if !value.is_text() {
        let status = u16::try_from(value.integer()?).ok()?;
        return Some(status..=status);
    }
    let text = value.text()?;
    let written = text.as_str();
    let status = |text: &str| text.parse().ok().filter(|status| (100..=599).contains(status));
    let range = match written.split_once('-') {
        Some((from, to)) => status(from.trim()).zip(status(to.trim())),
        None => match written.strip_suffix("xx").map(str::parse::<u16>) {
            Some(Ok(class @ 1..=5)) => Some((class * 100, class * 100 + 99)),
            _ => status(written).map(|status| (status, status)),
        },
    };
    match range.filter(|(from, to)| from <= to) {
        Some((from, to)) => Some(from..=to),
        None => {
            text.report(
                text.error(format!("`{written}` is not a status"), "neither a status nor a range")
                    .help("write it like `200`, `\"2xx\"` or `\"200-399\"`"),
            );
            None
        }
    }
}
