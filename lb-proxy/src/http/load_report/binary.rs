//! The protocol buffer `xds.data.orca.v3.OrcaLoadReport`, read by hand: numbers, maps
//! from names to numbers, and a field of old that is a whole number. What is not known
//! is skipped, as protocol buffers want it.

use super::{BadReport, Field, Map, checked};

/// Its numbers by their tags.
pub(super) const FIELDS: [(u64, &str); 5] = [
    (1, "cpu_utilization"),
    (2, "mem_utilization"),
    (6, "rps_fractional"),
    (7, "eps"),
    (9, "application_utilization"),
];
const MAPS: [(u64, Map); 3] =
    [(4, Map::RequestCost), (5, Map::Utilization), (8, Map::NamedMetrics)];

/// A value as it is on the wire.
enum Wire<'a> {
    Integer,
    Double(f64),
    Bytes(&'a [u8]),
    Single,
}

pub(super) fn read(
    mut message: &[u8],
    visit: &mut impl FnMut(Field<'_>, f64),
) -> Result<(), BadReport> {
    while !message.is_empty() {
        let (tag, value) = take_field(&mut message).ok_or(BadReport::Form)?;
        let map = MAPS.iter().find(|(known, _)| *known == tag);
        match value {
            Wire::Double(value) => {
                if let Some((_, name)) = FIELDS.iter().find(|(known, _)| *known == tag) {
                    visit(Field::own(name), checked(value)?);
                }
            }
            Wire::Bytes(entry) => {
                if let Some((_, map)) = map {
                    let (name, value) = read_entry(entry).ok_or(BadReport::Form)?;
                    visit(Field { map: Some(*map), name }, checked(value)?);
                }
            }
            Wire::Integer | Wire::Single => {}
        }
    }
    Ok(())
}

/// An entry of a map: a message of its own, with the name as 1 and the number as 2.
fn read_entry(mut entry: &[u8]) -> Option<(&str, f64)> {
    let (mut name, mut number) = ("", 0.0);
    while !entry.is_empty() {
        match take_field(&mut entry)? {
            (1, Wire::Bytes(text)) => name = str::from_utf8(text).ok()?,
            (2, Wire::Double(value)) => number = value,
            _ => {}
        }
    }
    Some((name, number))
}

fn take_field<'a>(input: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let key = take_varint(input)?;
    let value = match key & 7 {
        0 => {
            take_varint(input)?;
            Wire::Integer
        }
        1 => Wire::Double(f64::from_le_bytes(*input.split_off(..8)?.first_chunk()?)),
        2 => {
            let length = usize::try_from(take_varint(input)?).ok()?;
            Wire::Bytes(input.split_off(..length)?)
        }
        5 => {
            input.split_off(..4)?;
            Wire::Single
        }
        // Groups are gone for good.
        _ => return None,
    };
    Some((key >> 3, value))
}

/// Seven bits a byte, the lowest first; at most 64 of them.
fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *input.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
