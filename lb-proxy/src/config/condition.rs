//! What must hold of a request beside its host and path.

use http::HeaderName;

use super::{
    diagnostics::Diagnostics,
    methods::read_method,
    networks::read_networks,
    reader::{Table, Text, Value},
    route::read_regex,
};
use crate::{Condition, ValuePattern};

/// Takes the conditions of a route, or of one of its `any`, `all` and `not`.
pub(super) fn read_condition(table: &mut Table<'_>, out: &Diagnostics) -> Condition {
    let mut all = Vec::new();
    if let Some(method) = table.take("method") {
        refuse_empty(&method);
        let texts = method.one_or_more().into_iter().filter_map(Value::text);
        let methods: Vec<_> = texts.filter_map(|text| read_method(&text)).collect();
        all.push(Condition::Method(methods));
    }
    if let Some(fields) = table.take_table("header") {
        all.extend(read_fields(fields, out, |name, value| {
            let known = HeaderName::from_bytes(name.as_str().as_bytes());
            if known.is_err() {
                let message = format!("`{}` is not the name of a header", name.as_str());
                name.report(name.error(message, "not a token"));
            }
            Some(Condition::Header { name: known.ok()?, value })
        }));
    }
    if let Some(fields) = table.take_table("query") {
        all.extend(read_fields(fields, out, |name, value| {
            Some(Condition::Query { name: name.as_str().into(), value })
        }));
    }
    if let Some(client) = table.take("client") {
        refuse_empty(&client);
        all.push(Condition::Client(read_networks(client)));
    }
    if let Some(any) = table.take("any") {
        all.push(Condition::Any(read_list(any, out)));
    }
    if let Some(list) = table.take("all") {
        all.extend(read_list(list, out));
    }
    if let Some(not) = table.take_table("not") {
        all.push(Condition::Not(Box::new(read_inner(not, out))));
    }
    if all.len() > 1 { Condition::All(all) } else { all.pop().unwrap_or(Condition::Always) }
}

/// A list that nothing is in would never hold.
fn refuse_empty(value: &Value<'_>) {
    if value.is_list() && value.clone().one_or_more().is_empty() {
        value.wrong("must not be empty", "nothing would be one of these");
    }
}

fn read_list(value: Value<'_>, out: &Diagnostics) -> Vec<Condition> {
    let whole = value.clone();
    let Some(items) = value.list(Some("write `[{ method = \"GET\" }, …]`")) else {
        return Vec::new();
    };
    if items.is_empty() {
        out.push(whole.error("must not be empty", "of what?"));
    }
    let tables = items.into_iter().filter_map(Value::into_table);
    tables.map(|table| read_inner(table, out)).collect()
}

fn read_inner(mut table: Table<'_>, out: &Diagnostics) -> Condition {
    let condition = read_condition(&mut table, out);
    if condition == Condition::Always && !table.has_unknown_keys() {
        out.push(
            super::Diagnostic::error(format!("`{}` says nothing", table.path()))
                .at(table.span(), "an empty condition always holds")
                .key(table.path()),
        );
    }
    table.finish();
    condition
}

/// Names with `"value"`, `{ regex = "…" }`, `true` or `false`.
fn read_fields<'a>(
    fields: Table<'a>,
    out: &Diagnostics,
    condition: impl Fn(&Text<'a>, ValuePattern) -> Option<Condition>,
) -> Vec<Condition> {
    let mut all = Vec::new();
    for (name, value) in fields.entries() {
        let is_absent = value.as_bool() == Some(false);
        let Some(pattern) = read_value(value, out) else { continue };
        let Some(holds) = condition(&name, pattern) else { continue };
        all.push(if is_absent { Condition::Not(Box::new(holds)) } else { holds });
    }
    all
}

fn read_value(value: Value<'_>, out: &Diagnostics) -> Option<ValuePattern> {
    if value.as_bool().is_some() {
        return Some(ValuePattern::Present);
    }
    if value.is_text() {
        return value.text().map(|text| ValuePattern::Exact(text.as_str().into()));
    }
    if !value.is_table() {
        out.push(
            value.error("must be a string, true, false, or a table", "this is neither").help(
                "write `\"value\"`, `true` for any, `false` for none, or `{ regex = \"…\" }`",
            ),
        );
        return None;
    }
    let mut table = value.into_table()?;
    let regex = table.take("regex");
    if regex.is_none() {
        out.push(table.missing("regex", "which values?").help("add `regex = \"^…$\"`"));
    }
    table.finish();
    Some(ValuePattern::Regex(read_regex(&regex?.text()?)?))
}
