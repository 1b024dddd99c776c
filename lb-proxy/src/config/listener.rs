//! Listeners: `listen = "…"`, or `[[listener]]` with settings of its own.

use super::{
    bind::Bind,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    limits::Limits,
    reader::{Table, Text, Value},
    timeouts::read_listener_timeouts,
};
use crate::{ListenerLimits, ListenerTimeouts};

/// One address to listen on, with what holds for its connections.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it listens.
    pub bind: Bind,
    /// How long its clients may take.
    pub timeouts: ListenerTimeouts,
    /// How much its clients may send.
    pub limits: ListenerLimits,
}

/// Reads every listener. `timeout` and `limits` at the file's top level are the
/// starting point of each.
pub(super) fn read_listeners(file: &mut Table<'_>, out: &Diagnostics) -> Vec<Listener> {
    let mut timeouts = ListenerTimeouts::default();
    let mut limits = Limits::default();
    if let Some(table) = file.take_table("timeout") {
        read_listener_timeouts(table, &mut timeouts);
    }
    if let Some(table) = file.take_table("limits") {
        limits.read(table);
    }
    let short = file.take("listen");
    let long = file.take("listener");
    match (short, long) {
        (None, None) => {
            let limits = limits.settle(out);
            vec![Listener { bind: Bind::DEFAULT, timeouts, limits }]
        }
        (Some(short), None) => {
            let limits = limits.settle(out);
            let bind = short.text().and_then(|text| read_bind(&text));
            bind.map(|bind| Listener { bind, timeouts, limits }).into_iter().collect()
        }
        (short, Some(long)) => {
            if let Some(short) = short {
                out.push(
                    Diagnostic::error("both `listen` and `[[listener]]` are given")
                        .at(short.key_span(), "the short form, for one listener")
                        .related(long.key_span(), "the long form")
                        .key("listen")
                        .help("keep one of them; `bind` of a `[[listener]]` is its `listen`"),
                );
            }
            read_long_form(long, &timeouts, &limits, out)
        }
    }
}

fn read_long_form(
    long: Value<'_>,
    timeouts: &ListenerTimeouts,
    limits: &Limits,
    out: &Diagnostics,
) -> Vec<Listener> {
    let mut listeners: Vec<(Listener, Text<'_>)> = Vec::new();
    for table in long.into_tables() {
        let Some((listener, place)) = read_listener(table, timeouts, limits, out) else { continue };
        let taken = listeners.iter().find(|(other, _)| other.bind.collides(&listener.bind));
        if let Some((_, first)) = taken {
            out.push(
                place
                    .error(
                        format!("two listeners want `{}`", listener.bind),
                        "taken by the listener above",
                    )
                    .related(first.span(), "first used here"),
            );
            continue;
        }
        listeners.push((listener, place));
    }
    listeners.into_iter().map(|(listener, _)| listener).collect()
}

fn read_listener<'a>(
    mut table: Table<'a>,
    timeouts: &ListenerTimeouts,
    limits: &Limits,
    out: &Diagnostics,
) -> Option<(Listener, Text<'a>)> {
    let (mut timeouts, mut limits) = (timeouts.clone(), limits.clone());
    let bind = table.take("bind");
    if let Some(own) = table.take_table("timeout") {
        read_listener_timeouts(own, &mut timeouts);
    }
    if let Some(own) = table.take_table("limits") {
        limits.read(own);
    }
    let found = match bind {
        Some(bind) => bind.text().and_then(|text| Some((read_bind(&text)?, text))),
        None => {
            out.push(
                table
                    .missing("bind", "where does it listen?")
                    .help("add `bind = \"127.0.0.1:8080\"`"),
            );
            None
        }
    };
    table.finish();
    let limits = limits.settle(out);
    found.map(|(bind, place)| (Listener { bind, timeouts, limits }, place))
}

fn read_bind(text: &Text<'_>) -> Option<Bind> {
    match Bind::parse(text.as_str()) {
        Ok(bind) => Some(bind),
        Err(reason) => {
            let error =
                text.error(format!("`{}` is not an address to listen on", text.path()), reason);
            text.report(
                error.help("write it like `127.0.0.1:8080`, or `:8080` for all interfaces"),
            );
            None
        }
    }
}
