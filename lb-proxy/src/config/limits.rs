//! The `limits` table of listeners.

use super::diagnostic::Diagnostic;
use super::diagnostics::Diagnostics;
use super::reader::Table;
use crate::ListenerLimits;

/// More header fields than this would cost an allocation for every request, in
/// the parser of all, for the sake of a request nobody sends.
const MOST_HEADERS: u64 = 100;

/// A head smaller than this refuses ordinary browsers with a few cookies.
const SMALLEST_HEAD: u64 = 8 << 10;
const LARGEST_HEAD: u64 = 1 << 20;
const LARGEST_BODY: u64 = 1 << 50;

/// `limits` at top level or in `[[listener]]`.
pub(super) fn read_listener_limits(
    mut table: Table<'_>,
    into: &mut ListenerLimits,
    out: &Diagnostics,
) {
    if let Some(header) = table.take_size("header", SMALLEST_HEAD, LARGEST_HEAD) {
        into.header = header;
    }
    if let Some(headers) = table.take_integer("headers", 1, MOST_HEADERS) {
        into.headers = usize::try_from(headers).unwrap_or(into.headers);
    }
    let target = table.take("target");
    if let Some(size) = target.clone().and_then(|target| target.size(1, LARGEST_HEAD)) {
        into.target = size;
    }
    if let Some(body) = table.take_size("body", 0, LARGEST_BODY) {
        into.body = Some(body as u64);
    }
    if let Some(connections) = table.take_integer("connections", 1, 10_000_000) {
        into.connections = usize::try_from(connections).unwrap_or(into.connections);
    }
    if let Some(target) = target.filter(|_| into.target > into.header) {
        out.push(
            Diagnostic::error(format!(
                "`{}.target` is larger than `{}.header`",
                table.path(),
                table.path()
            ))
            .at(target.span(), format!("the whole head may have {} bytes", into.header))
            .key(format!("{}.target", table.path()))
            .help("the target is part of the head: make `header` larger or `target` smaller"),
        );
    }
    table.finish();
}
