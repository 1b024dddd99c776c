//! Reading the cookies of a request, as forgivingly as browsers' and servers' own
//! readers are: blanks around names and values and quotes around values do not count.

/// The `name=value` pairs of a `Cookie` field.
pub(super) fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// The value of a pair, if that is its name, without quotes.
pub(super) fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = pair.strip_prefix(name)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(quoted.unwrap_or(value))
}
