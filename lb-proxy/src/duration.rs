//! Durations as people write them: `500ms`, `2s`, `1m30s`.
//!
//! Whole numbers with a unit each, the largest unit first. No fractions and no
//! bare numbers: whether `timeout 30` means seconds or milliseconds is the
//! classic trap of older balancers.

use std::time::Duration;

const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// The longest duration taken. Beyond it a typo is likelier than a wish.
const LONGEST: u64 = 365 * 86_400_000_000_000;

/// Reads a duration such as `500ms` or `1m30s`.
///
/// # Errors
///
/// What is wrong with the text, as the end of a sentence.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let parts = |text: &str| text.split_whitespace().collect::<String>();
        let blank = || format!("blanks do not belong into it: write `{}`", parts(text));
        if rest.starts_with('-') {
            return Err("it is negative".to_owned());
        }
        if rest.starts_with(char::is_whitespace) {
            return Err(blank());
        }
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err("a number must stand before the unit".to_owned());
        }
        if unit.is_empty() {
            let word = after.trim_start();
            let end = word.find(|c: char| !c.is_alphabetic()).unwrap_or(word.len());
            return Err(
                match (&word[..end], UNITS.iter().any(|(name, _)| *name == &word[..end])) {
                    _ if after.starts_with('.') || after.starts_with(',') => {
                        "fractions are not taken; use the next smaller unit".to_owned()
                    }
                    ("", _) => "the unit is missing".to_owned(),
                    (_, true) => blank(),
                    (word, false) => unknown(word),
                },
            );
        }
        let Some(&(_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown(unit));
        };
        if nanos >= last_unit {
            return Err("the larger unit comes first, each once".to_owned());
        }
        last_unit = nanos;
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(nanos))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST)
            .ok_or("it is longer than a year")?;
        rest = after;
    }
    Ok(Duration::from_nanos(total))
}

/// A duration as it is read: `1m30s`.
#[cfg(feature = "config")]
pub(crate) fn spell_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, nanos) in UNITS {
        if rest >= nanos {
            text += &format!("{}{unit}", rest / nanos);
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn unknown(unit: &str) -> String {
    let short = match unit.to_lowercase().trim_end_matches('s') {
        "day" => "d",
        "hour" | "hr" => "h",
        "minute" | "min" => "m",
        "" | "second" | "sec" => "s",
        "milli" | "millisecond" | "msec" => "ms",
        "micro" | "microsecond" | "µ" => "us",
        _ => return format!("unknown unit `{unit}`"),
    };
    format!("unknown unit `{unit}`; write `{short}`")
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
        fn the_sum_of_the_parts_is_what_is_read(hours in 0..8_000_u64, secs: u16, millis: u16) {
            let expected = Duration::from_millis(
                hours * 3_600_000 + u64::from(secs) * 1_000 + u64::from(millis)
            );
            prop_assert_eq!(parse_duration(&format!("{hours}h{secs}s{millis}ms")), Ok(expected));
        }

        #[cfg(feature = "config")]
        #[test]
        fn what_is_spelt_is_read_as_the_same(micros in 0..31_000_000_000_000_u64) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&spell_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "([0-9]{0,21}[dhmsué. ]{0,2}){0,4}") {
            let _ = parse_duration(&text);
        }
    }

    #[test]
    fn units_and_sums_of_units_are_read() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1d12h", 129_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("50us"), Ok(Duration::from_micros(50)));
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("30", "unit is missing"),
            ("s", "number"),
            ("-1s", "negative"),
            ("10 seconds", "unknown unit `seconds`; write `s`"),
            ("1 fortnight", "unknown unit `fortnight`"),
            ("1m 30s", "write `1m30s`"),
            ("10 s", "write `10s`"),
            ("10 ", "unit is missing"),
            ("1.5s", "fractions"),
            ("5sec", "unknown unit `sec`"),
            ("5S", "unknown unit `S`"),
            ("1s1m", "larger unit"),
            ("1s1s", "larger unit"),
            ("2s ", ""),
            ("366d", "longer than a year"),
            ("99999999999999999999s", "longer than a year"),
            ("１s", "number"),
        ] {
            if reason.is_empty() {
                assert!(parse_duration(text).is_ok(), "{text}");
                continue;
            }
            let error = parse_duration(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
