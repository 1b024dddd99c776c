//! Listeners: `listen = "…"`, or `[[listener]]` with settings of its own.

use super::{
    bind::Bind,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    limits::read_limits,
    networks::read_networks,
    reader::{Table, Text, Value},
    timeouts::read_listener_timeouts,
};
use crate::{ListenerLimits, ListenerTimeouts, TrustedProxies};

/// One address to listen on, with what holds for its connections.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it listens.
    pub bind: Bind,
    /// How long its clients may take.
    pub timeouts: ListenerTimeouts,
    /// How much its clients may send.
    pub limits: ListenerLimits,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether requests are called by an `X-Request-Id`.
    pub request_id: bool,
}

impl Listener {
    /// A listener with the defaults of everything else.
    #[must_use]
    pub fn new(bind: Bind) -> Self {
        Self {
            bind,
            timeouts: ListenerTimeouts::default(),
            limits: ListenerLimits::default(),
            trusted_proxies: TrustedProxies::default(),
            request_id: true,
        }
    }
}

/// What is said at the file's top level, for all listeners.
struct Outer<'a> {
    timeout: Option<Table<'a>>,
    limits: Option<Table<'a>>,
    trusted: Option<Value<'a>>,
    request_id: Option<Value<'a>>,
}

impl<'a> Outer<'a> {
    fn listener(&self, bind: Bind, is_whole: bool) -> Listener {
        Listener {
            bind,
            timeouts: read_listener_timeouts(self.timeout.clone()),
            limits: read_limits(self.limits.clone(), is_whole),
            trusted_proxies: read_trusted(self.trusted.clone()),
            request_id: read_request_id(self.request_id.clone()),
        }
    }
}

/// Reads every listener. `timeout`, `limits`, `trusted_proxies` and `request_id` at the
/// file's top level are the starting point of each.
pub(super) fn read_listeners(file: &mut Table<'_>, out: &Diagnostics) -> Vec<Listener> {
    let outer = Outer {
        timeout: file.take_table("timeout"),
        limits: file.take_table("limits"),
        trusted: file.take("trusted_proxies"),
        request_id: file.take("request_id"),
    };
    let short = file.take("listen");
    let long = file.take_each("listener");
    let Some(first) = long.first() else {
        let bind = match short {
            Some(short) => read_bind_value(short),
            None => Some(Bind::DEFAULT),
        };
        // Read even if nobody listens: all mistakes are reported.
        let listener = outer.listener(bind.clone().unwrap_or(Bind::DEFAULT), true);
        return bind.map(|_| listener).into_iter().collect();
    };
    if let Some(short) = short {
        out.push(
            Diagnostic::error("both `listen` and `[[listener]]` are given")
                .at(short.key_span(), "the short form, for one listener")
                .related(first.key_span(), "the long form")
                .key("listen")
                .help("keep one of them; `bind` of a `[[listener]]` is its `listen`"),
        );
    }
    // Read even if every listener says something else.
    let _ = outer.listener(Bind::DEFAULT, false);
    read_long_form(long, &outer, out)
}

fn read_long_form(long: Vec<Value<'_>>, outer: &Outer<'_>, out: &Diagnostics) -> Vec<Listener> {
    let mut listeners: Vec<(Listener, Text<'_>)> = Vec::new();
    for table in long.into_iter().flat_map(Value::into_tables) {
        let Some((listener, place)) = read_listener(table, outer) else { continue };
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

fn read_listener<'a>(mut table: Table<'a>, outer: &Outer<'a>) -> Option<(Listener, Text<'a>)> {
    let bind = table.take("bind");
    let over = |own: Option<Table<'a>>, outer: &Option<Table<'a>>| match own {
        Some(own) => Some(own.over(outer.as_ref())),
        None => outer.clone(),
    };
    let timeout = over(table.take_table("timeout"), &outer.timeout);
    let limits = over(table.take_table("limits"), &outer.limits);
    let trusted = table.take("trusted_proxies").or_else(|| outer.trusted.clone());
    let request_id = table.take("request_id").or_else(|| outer.request_id.clone());
    let found = match bind {
        Some(value) => {
            let place = value.is_text().then(|| value.clone().text()).flatten();
            read_bind_value(value).zip(place)
        }
        None => {
            table.report(
                table
                    .missing("bind", "where does it listen?")
                    .help("add `bind = \"127.0.0.1:8080\"`"),
            );
            None
        }
    };
    table.finish();
    let (timeouts, limits) = (read_listener_timeouts(timeout), read_limits(limits, true));
    let (trusted_proxies, request_id) = (read_trusted(trusted), read_request_id(request_id));
    found.map(|(bind, place)| {
        (Listener { bind, timeouts, limits, trusted_proxies, request_id }, place)
    })
}

fn read_trusted(value: Option<Value<'_>>) -> TrustedProxies {
    TrustedProxies::new(value.map(read_networks).unwrap_or_default())
}

fn read_request_id(value: Option<Value<'_>>) -> bool {
    value.and_then(Value::boolean).unwrap_or(true)
}

fn read_bind_value(value: Value<'_>) -> Option<Bind> {
    if value.is_integer() {
        let port = value.any_integer().filter(|port| (1..=65_535).contains(port));
        let found = value.error("must be a string", "this is a whole number");
        value.report(match port {
            Some(port) => found.help(format!(
                "write `\":{port}\"`, or `\"127.0.0.1:{port}\"` for this machine only"
            )),
            None => found,
        });
        return None;
    }
    value.text().and_then(|text| read_bind(&text))
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
