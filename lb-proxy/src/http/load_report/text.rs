//! `cpu_utilization=0.3, named_metrics.queue=12`: names and numbers.
//!
//! Newer Envoys write `=` between the two and older ones `:`. A single number has no
//! name.

use super::{BadReport, Field, PLAIN, checked};

pub(super) fn read(text: &[u8], visit: &mut impl FnMut(Field<'_>, f64)) -> Result<(), BadReport> {
    let text = str::from_utf8(text).map_err(|_| BadReport::Form)?;
    if let Some(plain) = number(text) {
        visit(Field::own(PLAIN), plain?);
        return Ok(());
    }
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once(['=', ':']).ok_or(BadReport::Form)?;
        let (name, value) = (name.trim_end(), value.trim_start());
        if name.is_empty() {
            return Err(BadReport::Form);
        }
        visit(Field::of_text(name), number(value).ok_or(BadReport::Number)??);
    }
    Ok(())
}

/// A number, or why what looks like one is no load; `None` for everything else.
pub(super) fn number(text: &str) -> Option<Result<f64, BadReport>> {
    text.parse().ok().map(checked)
}
