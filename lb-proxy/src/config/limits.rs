//! The `limits` table of listeners.

use std::ops::Range;

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    reader::{Table, shown_size},
};
use crate::ListenerLimits;

/// More header fields than this would cost an allocation for every request, in
/// the parser of all, for the sake of a request nobody sends.
const MOST_HEADERS: u64 = 100;

/// A head smaller than this refuses ordinary browsers with a few cookies.
const SMALLEST_HEAD: u64 = 8 << 10;
const LARGEST_HEAD: u64 = 1 << 20;
const LARGEST_BODY: u64 = 1 << 50;

/// What `limits` tables have said so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Limits {
    values: ListenerLimits,
    /// Where `header` and `target` were written, with their full names.
    header: Option<(Range<usize>, String)>,
    target: Option<(Range<usize>, String)>,
}

impl Limits {
    /// Reads `limits` at top level or in `[[listener]]` over what is there.
    pub(super) fn read(&mut self, mut table: Table<'_>) {
        let header = table.take("header");
        let place = header.as_ref().map(|value| (value.span(), value.path().to_owned()));
        if let Some(size) = header.and_then(|header| header.size(SMALLEST_HEAD, LARGEST_HEAD)) {
            self.values.header = size;
            self.header = place;
        }
        if let Some(headers) = table.take_integer("headers", 1, MOST_HEADERS) {
            self.values.headers = usize::try_from(headers).unwrap_or(self.values.headers);
        }
        let target = table.take("target");
        let place = target.as_ref().map(|value| (value.span(), value.path().to_owned()));
        if let Some(size) = target.and_then(|target| target.size(1, LARGEST_HEAD)) {
            self.values.target = size;
            self.target = place;
        }
        if let Some(body) = table.take_size("body", 0, LARGEST_BODY) {
            self.values.body = Some(body as u64);
        }
        if let Some(connections) = table.take_integer("connections", 1, 10_000_000) {
            self.values.connections =
                usize::try_from(connections).unwrap_or(self.values.connections);
        }
        table.finish();
    }

    /// What holds for a listener. The target is part of the head: a default gives
    /// way, a target that was written does not.
    pub(super) fn settle(&self, out: &Diagnostics) -> ListenerLimits {
        let mut values = self.values.clone();
        if values.target > values.header {
            match &self.target {
                None => values.target = values.header,
                Some(target) => out.push(self.too_long(target)),
            }
        }
        values
    }

    fn too_long(&self, (span, key): &(Range<usize>, String)) -> Diagnostic {
        let most = shown_size(self.values.header as u64);
        let header = self.header.as_ref().map_or("limits.header", |(_, key)| key);
        let found = Diagnostic::error(format!("`{key}` is larger than `{header}`"))
            .at(span.clone(), format!("the whole head may have {most}"))
            .key(key)
            .help("the target is part of the head: make `header` larger or `target` smaller");
        match &self.header {
            Some((span, _)) => found.related(span.clone(), "as is said here"),
            None => found,
        }
    }
}
