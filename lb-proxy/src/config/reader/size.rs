//! Sizes as people write them: `64KiB`, `1MB`, `512B`.
//!
//! `KiB` is 1024 and `KB` is 1000. A lone `K` is refused: half the tools mean
//! one, half the other.

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads a size in bytes, or says what is wrong with the text.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err("a number must stand before the unit".to_owned());
    }
    if unit.is_empty() {
        return Err("the unit is missing".to_owned());
    }
    if unit.starts_with('.') || unit.starts_with(',') {
        return Err("fractions are not taken; use the next smaller unit".to_owned());
    }
    let Some(&(_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let (big, capital) =
            (unit.to_uppercase(), unit.chars().next().unwrap_or('K').to_ascii_uppercase());
        return Err(match big.as_str() {
            "K" | "M" | "G" | "T" => {
                format!("`{unit}` is ambiguous: `{capital}iB` counts in 1024, `{capital}B` in 1000")
            }
            _ => format!("unknown unit `{unit}`"),
        });
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(bytes))
        .ok_or_else(|| "it is too large".to_owned())
}

/// A size in the largest unit it is a multiple of.
pub(crate) fn shown_size(bytes: u64) -> String {
    for (unit, size) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_shown_size_is_read_as_itself(bytes: u64, zeros in 0..64_u32) {
            let bytes = bytes >> zeros << (zeros / 2);
            prop_assert_eq!(parse_size(&shown_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9]{0,21}[ .a-zA-Zé]{0,4}") {
            let _ = parse_size(&text);
        }
    }

    #[test]
    fn binary_and_decimal_units_are_read() {
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("64KB", 64_000),
            ("1 MiB", 1_048_576),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "number"),
            ("65536", "unit is missing"),
            ("64k", "`k` is ambiguous: `KiB`"),
            ("1.5MiB", "fractions"),
            ("64kib", "unknown unit `kib`"),
            ("99999999999999GiB", "too large"),
        ] {
            let error = parse_size(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
