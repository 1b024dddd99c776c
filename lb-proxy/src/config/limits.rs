//! The `limits` table of listeners.

use super::{
    diagnostic::Diagnostic,
    reader::{Table, shown_size},
};
use crate::ListenerLimits;

/// A head smaller than this refuses ordinary browsers with a few cookies.
const SMALLEST_HEAD: u64 = 8 << 10;
const LARGEST_HEAD: u64 = 1 << 20;
const LARGEST_BODY: u64 = 1 << 50;

/// `limits` at top level or in `[[listener]]`; `is_whole` unless a listener may still
/// say something else.
pub(super) fn read_limits(table: Option<Table<'_>>, is_whole: bool) -> ListenerLimits {
    let mut values = ListenerLimits::default();
    let Some(mut table) = table else { return values };
    let header = table.take("header");
    let header_place = header.as_ref().map(|value| (value.span(), value.path().to_owned()));
    let header = header.and_then(|header| header.size(SMALLEST_HEAD, LARGEST_HEAD));
    values.header = header.unwrap_or(values.header);
    values.headers = table.take_integer("headers").unwrap_or(values.headers);
    let target = table.take("target");
    let target_place = target.as_ref().map(|value| (value.span(), value.path().to_owned()));
    let target = target.and_then(|target| target.size(1, LARGEST_HEAD));
    values.target = target.unwrap_or(values.target);
    values.body = table.take_size("body", 0, LARGEST_BODY).map(|body| body as u64);
    values.connections = table.take_integer("connections").unwrap_or(values.connections);
    // The target is part of the head: a default gives way, a target that was
    // written does not.
    if is_whole && values.target > values.header {
        if let (Some(_), Some((span, key))) = (target, target_place) {
            let outer = header_place.as_ref().map_or("limits.header", |(_, key)| key);
            let most = shown_size(values.header as u64);
            let found = Diagnostic::error(format!("`{key}` is larger than `{outer}`"))
                .at(span, format!("the whole head may have {most}"))
                .key(&key)
                .help("the target is part of the head: make `header` larger or `target` smaller");
            table.report(match header.and(header_place) {
                Some((span, _)) => found.related(span, "as is said here"),
                None => found,
            });
        }
        values.target = values.header;
    }
    table.finish();
    values
}
