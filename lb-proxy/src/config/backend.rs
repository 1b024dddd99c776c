//! Backends: `"10.0.0.1:3000"`, or `{ address = "…", name = "s1", weight = 3 }`.

use std::{num::NonZeroU32, ops::Range};

use lb_core::{Backend, Weight};

use super::{
    address::address_help,
    cluster::ClusterContext,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    names::check_name,
    reader::{Table, Text, Value},
};
use crate::Address;

/// Reads a list of backends; names and addresses occur once each.
pub(super) fn read_backends(
    list: Value<'_>,
    cluster: &str,
    cx: &ClusterContext<'_>,
) -> Vec<Backend> {
    let hint = "write `[\"10.0.0.1:3000\", \"10.0.0.2:3000\"]`, \
                with brackets also around a single address";
    let whole = list.clone();
    let Some(items) = list.list(Some(hint)) else { return Vec::new() };
    if items.is_empty() {
        cx.out.push(whole.warning(
            format!("cluster `{cluster}` has no backends"),
            "every request to it is answered with 503",
        ));
    }
    let mut seen: Vec<Placed> = Vec::new();
    for item in items {
        let (span, key) = (item.span(), item.path().to_owned());
        let Some(placed) = read_backend(item, cx.out) else { continue };
        let backend = &placed.backend;
        let listener = cx.listeners.iter().find(|own| own.bind.is_reached_by(backend.address()));
        if let Some(listener) = listener {
            cx.out.push(
                Diagnostic::error(format!(
                    "backend `{}` is this balancer itself",
                    backend.address()
                ))
                .at(span.clone(), format!("it listens on `{}`", listener.bind))
                .key(&key)
                .help("requests would go round in circles"),
            );
        }
        match repeated(&placed, &seen, cluster) {
            None => seen.push(placed),
            Some(found) => cx.out.push(found.key(key)),
        }
    }
    seen.into_iter().map(|placed| placed.backend).collect()
}

/// A backend and where its address and its name stand.
struct Placed {
    backend: Backend,
    address: Range<usize>,
    name: Range<usize>,
}

fn repeated(placed: &Placed, seen: &[Placed], cluster: &str) -> Option<Diagnostic> {
    let (address, name) = (placed.backend.address(), placed.backend.name());
    let twice = |what: String, again: &Range<usize>, first: &Range<usize>| {
        Diagnostic::error(format!("two backends of cluster `{cluster}` have the {what}"))
            .at(again.clone(), "again here")
            .related(first.clone(), "first used here")
    };
    if let Some(first) = seen.iter().find(|first| first.backend.address() == address) {
        let found = twice(format!("address `{address}`"), &placed.address, &first.address);
        return Some(found.help("to give a backend a larger share, give it a `weight`"));
    }
    let first = seen.iter().find(|first| first.backend.name() == name)?;
    Some(twice(format!("name `{name}`"), &placed.name, &first.name))
}

fn read_backend(item: Value<'_>, out: &Diagnostics) -> Option<Placed> {
    let span = item.span();
    if item.is_text() {
        let backend = Backend::new(read_address(&item.text()?)?.to_string());
        return Some(Placed { backend, address: span.clone(), name: span });
    }
    if !item.is_table() {
        out.push(
            item.error("must be an address or a table", "this is neither")
                .help("write `\"10.0.0.1:3000\"` or `{ address = \"10.0.0.1:3000\", weight = 3 }`"),
        );
        return None;
    }
    let mut table = item.into_table()?;
    let address = table.take("address");
    if address.is_none() {
        out.push(
            table.missing("address", "where is it?").help("add `address = \"10.0.0.1:3000\"`"),
        );
    }
    let address_span = address.as_ref().map_or(span, Value::span);
    let address = address.and_then(Value::text).and_then(|text| read_address(&text));
    let name = table.take_str("name").filter(|name| check_name(name, "backend"));
    let weight = table.take("weight").and_then(|weight| read_weight(&weight, out));
    let tier = read_tier(&mut table);
    let max_in_flight = table
        .take_integer("max_in_flight", 1, u64::from(u32::MAX))
        .and_then(|most| NonZeroU32::new(u32::try_from(most).ok()?));
    table.finish();
    let mut backend = Backend::new(address?.to_string())
        .weighted(weight.unwrap_or(Weight::ONE))
        .in_tier(tier.unwrap_or(0));
    let name_span = name.as_ref().map_or_else(|| address_span.clone(), Text::span);
    if let Some(name) = name {
        backend = backend.named(name.as_str());
    }
    if let Some(most) = max_in_flight {
        backend = backend.with_max_in_flight(most);
    }
    Some(Placed { backend, address: address_span, name: name_span })
}

fn read_tier(table: &mut Table<'_>) -> Option<u8> {
    u8::try_from(table.take_integer("tier", 0, u64::from(u8::MAX))?).ok()
}

fn read_address(text: &Text<'_>) -> Option<Address> {
    match text.as_str().parse() {
        Ok(address) => Some(address),
        Err(refused) => {
            let error = text.error(
                format!("`{}` is not the address of a backend", text.as_str()),
                refused.to_string(),
            );
            text.report(match address_help(text.as_str(), &refused) {
                Some(help) => error.help(help),
                None => error,
            });
            None
        }
    }
}

fn read_weight(value: &Value<'_>, out: &Diagnostics) -> Option<Weight> {
    let number = value.any_integer()?;
    if let Some(weight) = u32::try_from(number).ok().and_then(Weight::new) {
        return Some(weight);
    }
    let error = value.error("must be 1 to 65535", "out of range");
    out.push(if number == 0 {
        error.help(
            "a backend that should get no new requests is not weighted 0 but drained; \
             one that should get none at all is left out of the list",
        )
    } else if number > 0 {
        error.help("only the ratio counts: 30 to 10 is the same as 3 to 1")
    } else {
        error
    });
    None
}
