//! Backends: `"10.0.0.1:3000"`, or `{ address = "…", name = "s1", weight = 3 }`.

use std::{collections::HashMap, num::NonZeroU32, ops::Range};

use lb_core::{AdminState, Backend, Weight};

use super::{
    address::address_help,
    cluster::ClusterContext,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    names::check_name,
    passive::Fails,
    reader::{Table, Text, Value},
};
use crate::{Address, AddressError};

/// Reads a list of backends; names and addresses occur once each. `fails` is what
/// their cluster says of failed requests.
pub(super) fn read_backends(
    list: Value<'_>,
    cluster: &str,
    fails: Fails,
    cx: &ClusterContext<'_>,
) -> Vec<Backend> {
    let whole = list.clone();
    if !list.is_list() && !list.is_text() {
        let hint = "write `[\"10.0.0.1:3000\", \"10.0.0.2:3000\"]`";
        return list.list(Some(hint)).map_or_else(Vec::new, |_| Vec::new());
    }
    let mut seen = Seen::default();
    let items = list.one_or_more();
    let is_empty = items.is_empty();
    for item in items {
        let place = (item.span(), item.path().to_owned());
        for placed in read_item(item, fails, cx) {
            add(placed, &place, &mut seen, cluster, cx);
        }
    }
    if seen.all.is_empty() && (is_empty || !cx.out.has_errors_within(&whole.span())) {
        cx.out.push(whole.warning(
            format!("cluster `{cluster}` has no backends"),
            "every request to it is answered with 503",
        ));
    }
    seen.all.into_iter().map(|placed| placed.backend).collect()
}

fn add(
    placed: Placed,
    (span, key): &(Range<usize>, String),
    seen: &mut Seen,
    cluster: &str,
    cx: &ClusterContext<'_>,
) {
    let backend = &placed.backend;
    let listener = cx.listeners.iter().find(|own| own.bind.is_reached_by(backend.address()));
    if let Some(listener) = listener {
        cx.out.push(
            Diagnostic::error(format!("backend `{}` is this balancer itself", backend.address()))
                .at(span.clone(), format!("it listens on `{}`", listener.bind))
                .key(key)
                .help("requests would go round in circles"),
        );
    }
    let admin = cx.admin.listen.as_ref().filter(|own| own.is_reached_by(backend.address()));
    if let Some(admin) = admin {
        cx.out.push(
            Diagnostic::error(format!(
                "backend `{}` is where this balancer is changed",
                backend.address()
            ))
            .at(span.clone(), format!("the API listens on `{admin}`"))
            .key(key)
            .help(
                "no request may come there; `[admin] listen` can be another address, or `\"off\"`",
            ),
        );
    }
    match repeated(&placed, seen, cluster) {
        None => seen.add(placed),
        Some(found) => cx.out.push(found.key(key)),
    }
}

/// A backend and where its address and its name stand.
struct Placed {
    backend: Backend,
    address: Range<usize>,
    name: Range<usize>,
}

/// The backends so far, and where each is by address and by name.
#[derive(Default)]
struct Seen {
    all: Vec<Placed>,
    by_address: HashMap<Box<str>, usize>,
    by_name: HashMap<Box<str>, usize>,
}

impl Seen {
    fn add(&mut self, placed: Placed) {
        let index = self.all.len();
        self.by_address.insert(placed.backend.address().into(), index);
        self.by_name.insert(placed.backend.name().into(), index);
        self.all.push(placed);
    }
}

fn repeated(placed: &Placed, seen: &Seen, cluster: &str) -> Option<Diagnostic> {
    let (address, name) = (placed.backend.address(), placed.backend.name());
    let twice = |what: String, again: &Range<usize>, first: &Range<usize>| {
        Diagnostic::error(format!("two backends of cluster `{cluster}` have the {what}"))
            .at(again.clone(), "again here")
            .related(first.clone(), "first used here")
    };
    if let Some(first) = seen.by_address.get(address).map(|index| &seen.all[*index]) {
        let found = twice(format!("address `{address}`"), &placed.address, &first.address);
        return Some(found.help("to give a backend a larger share, give it a `weight`"));
    }
    let first = seen.by_name.get(name).map(|index| &seen.all[*index])?;
    Some(twice(format!("name `{name}`"), &placed.name, &first.name))
}

/// Reads an item of the list: a table, or addresses separated by commas or spaces,
/// since a variable may hold several.
fn read_item(item: Value<'_>, fails: Fails, cx: &ClusterContext<'_>) -> Vec<Placed> {
    if !item.is_text() {
        return read_backend(item, fails, cx.out).into_iter().collect();
    }
    let Some(text) = item.text() else { return Vec::new() };
    let parts = text.as_str().split([',', ' ', '\t', '\r', '\n']);
    let mut parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    if parts.is_empty() && !text.is_expanded() {
        // Reported as an address that is empty.
        parts.push("");
    }
    let placed = |part| {
        let backend = Backend::new(read_address(&text, part)?.to_string());
        Some(Placed { backend, address: text.span(), name: text.span() })
    };
    parts.into_iter().filter_map(placed).collect()
}

fn read_backend(item: Value<'_>, cluster: Fails, out: &Diagnostics) -> Option<Placed> {
    let span = item.span();
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
    let address = address.and_then(Value::text).and_then(|text| read_address(&text, text.as_str()));
    let name = table.take_str("name").filter(|name| check_name(name, "backend"));
    let weight = table.take("weight").and_then(|weight| read_weight(&weight, out));
    let tier = read_tier(&mut table);
    let is_spare = table.take_bool("spare").unwrap_or(false);
    let zone = table.take_str("zone").filter(|zone| !zone.as_str().is_empty());
    let max_in_flight = table.take_integer("max_in_flight").and_then(NonZeroU32::new);
    let state = match table.take("state").and_then(Value::word) {
        Some("draining") => AdminState::Draining { until: None },
        Some("disabled") => AdminState::Disabled,
        _ => AdminState::Enabled,
    };
    let fails = Fails::read(&mut table).over(cluster);
    table.finish();
    let mut backend = Backend::new(address?.to_string())
        .weighted(weight.unwrap_or(Weight::ONE))
        .in_tier(tier.unwrap_or(0))
        .in_state(state)
        .spare(is_spare);
    let name_span = name.as_ref().map_or_else(|| address_span.clone(), Text::span);
    if let Some(name) = name {
        backend = backend.named(name.as_str());
    }
    if let Some(fails) = fails {
        backend = backend.with_passive(fails.passive());
    }
    if let Some(zone) = zone {
        backend = backend.in_zone(zone.as_str());
    }
    if let Some(most) = max_in_flight {
        backend = backend.with_max_in_flight(most);
    }
    Some(Placed { backend, address: address_span, name: name_span })
}

/// `backup = true` is `tier = 1`.
fn read_tier(table: &mut Table<'_>) -> Option<u8> {
    let (tier, backup) = (table.take("tier"), table.take("backup"));
    let number = tier.clone().and_then(|tier| u8::try_from(tier.integer()?).ok());
    let is_backup = backup.clone().and_then(Value::boolean);
    if let (Some(tier), Some(backup), Some(is_backup), Some(number)) =
        (tier, backup, is_backup, number)
        && is_backup != (number > 0)
    {
        table.report(
            backup
                .error("contradicts `tier`", "the same as `tier = 1`")
                .related(tier.span(), "says something else")
                .help("leave out one of the two"),
        );
    }
    number.or_else(|| is_backup.map(u8::from))
}

fn read_address(text: &Text<'_>, part: &str) -> Option<Address> {
    match part.parse() {
        Ok(address) => Some(address),
        Err(refused) => {
            let refused: AddressError = refused;
            let error = text
                .error(format!("`{part}` is not the address of a backend"), refused.to_string());
            text.report(match address_help(part, &refused) {
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
            "a backend that should get no new clients is not weighted 0: \
             write `state = \"draining\"`, or `\"disabled\"` for no requests at all",
        )
    } else if number > 0 {
        error.help("only the ratio counts: 30 to 10 is the same as 3 to 1")
    } else {
        error
    });
    None
}
