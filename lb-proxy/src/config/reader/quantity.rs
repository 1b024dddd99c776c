//! Values that count something: numbers, durations, sizes, shares.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    size::{parse_size, shown_size},
    value::Value,
};
use crate::{
    config::{diagnostic::Diagnostic, keys::Shape},
    duration::parse_duration,
};

const DURATIONS: &str = "write it like `\"1s\"`, `\"500ms\"` or `\"2m\"`";
const SHARES: &str = "write it like `\"20%\"`";
const SIZES: &str = "write it like `\"64KiB\"`";

impl Value<'_> {
    /// A share in percent: `"20%"`, 0 to 100.
    pub(crate) fn share(self) -> Option<f64> {
        let DeValue::String(text) = self.item.get_ref() else {
            match self.item.get_ref() {
                DeValue::Integer(_) | DeValue::Float(_) => self.needs_unit(SHARES),
                _ => self.wrong_type("a share", Some(SHARES)),
            }
            return None;
        };
        let number = text.trim().strip_suffix('%').map(str::trim_end);
        let plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match number.filter(plain).map(str::parse::<f64>) {
            Some(Ok(share)) if share <= 100.0 => Some(share),
            Some(Ok(_)) => {
                self.wrong("must be 0% to 100%", "out of range");
                None
            }
            _ => {
                self.out.push(
                    self.error("is not a share", "not a number with `%` behind it").help(SHARES),
                );
                None
            }
        }
    }

    /// A share of whole percents.
    pub(crate) fn percent(self) -> Option<u8> {
        let value = self.clone();
        let share = self.share()?;
        if share.fract() > 0.0 {
            value.wrong("must be a whole number of percents", "has a fraction");
            return None;
        }
        (0..=100).find(|percent| share <= f64::from(*percent))
    }

    /// A number, with a fraction or without, within the limits of its description.
    pub(crate) fn number(self) -> Option<f64> {
        let (from, to) = self.shape.and_then(Shape::numbers)?;
        let number = match self.item.get_ref() {
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => {
                self.wrong_type("a number", None);
                return None;
            }
        };
        let within = number.filter(|number| (from..=to).contains(number));
        if within.is_none() {
            self.wrong(&format!("must be {from:?} to {to:?}"), "out of range");
        }
        within
    }

    /// A duration of at least `from`.
    pub(crate) fn duration(self, from: Duration) -> Option<Duration> {
        let text = match self.item.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let (seconds, millis) = (format!("{number}s"), format!("{number}ms"));
                // Only what would be taken is suggested.
                let would_do = parse_duration(&seconds).is_ok_and(|duration| duration >= from);
                self.needs_unit(&match would_do {
                    true => format!("write `\"{seconds}\"` or `\"{millis}\"`"),
                    false => DURATIONS.to_owned(),
                });
                return None;
            }
            DeValue::Float(_) => {
                self.needs_unit(DURATIONS);
                return None;
            }
            _ => {
                self.wrong_type("a duration", Some(DURATIONS));
                return None;
            }
        };
        match parse_duration(text) {
            Ok(duration) if duration < from => {
                self.wrong("must be longer than zero", "ends before it begins");
                None
            }
            Ok(duration) => Some(duration),
            Err(reason) => {
                self.out.push(
                    self.told(
                        Diagnostic::error(format!("`{}` is not a duration", self.path)),
                        text,
                    )
                    .at(self.span(), reason)
                    .key(&self.path)
                    .help(
                        "units: `d`, `h`, `m`, `s`, `ms`, `us`, as in `\"500ms\"` or `\"1m30s\"`",
                    ),
                );
                None
            }
        }
    }

    /// With what variables have made of it.
    fn told(&self, found: Diagnostic, text: &str) -> Diagnostic {
        match self.out.written(&self.span()).contains("${") {
            true => found.help(format!("it says `{text}`")),
            false => found,
        }
    }

    /// A size of `from` to `to` bytes.
    pub(crate) fn size(self, from: u64, to: u64) -> Option<usize> {
        let text = match self.item.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let bytes = number.as_str().parse().ok();
                let would_do = bytes.filter(|bytes| (from..=to).contains(bytes));
                self.needs_unit(&match would_do {
                    Some(bytes) => format!("if bytes are meant, write `\"{}\"`", shown_size(bytes)),
                    None => SIZES.to_owned(),
                });
                return None;
            }
            _ => {
                self.wrong_type("a size", Some(SIZES));
                return None;
            }
        };
        match parse_size(text) {
            Ok(bytes) if bytes < from || bytes > to => {
                let range = format!("must be {} to {}", shown_size(from), shown_size(to));
                self.wrong(&range, &format!("this is {}", shown_size(bytes)));
                None
            }
            Ok(bytes) => usize::try_from(bytes).ok(),
            Err(reason) => {
                self.out.push(
                    self.told(Diagnostic::error(format!("`{}` is not a size", self.path)), text)
                        .at(self.span(), reason)
                        .key(&self.path)
                        .help(
                            "units: `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB`, `TB`, \
                             as in `\"64KiB\"`",
                        ),
                );
                None
            }
        }
    }

    /// A whole number within the limits of its description.
    pub(crate) fn integer(self) -> Option<u64> {
        let (from, to) = self.shape.and_then(Shape::integers)?;
        let number = self.any_integer()?;
        match u64::try_from(number) {
            Ok(number) if (from..=to).contains(&number) => Some(number),
            _ => {
                self.wrong(&format!("must be {from} to {to}"), "out of range");
                None
            }
        }
    }

    /// A whole number, for callers that have their own words for what is out of range.
    pub(crate) fn any_integer(&self) -> Option<i128> {
        match self.item.get_ref() {
            DeValue::Integer(number) => {
                // Wider than TOML's own i64, so that a huge number is still "out of range".
                Some(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
            }
            DeValue::String(text) if text.trim().parse::<i128>().is_ok() => {
                self.wrong_type("a whole number", Some("write it without quotes"));
                None
            }
            _ => {
                self.wrong_type("a whole number", None);
                None
            }
        }
    }
}
