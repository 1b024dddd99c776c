//! A point in time as the formats write it, in UTC.
//!
//! Years, months and days come from the number of days by Howard Hinnant's
//! `civil_from_days`, which has no loop and no table.

use std::time::Duration;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

const DAY: u64 = 24 * 60 * 60;

/// `2000-10-10T13:55:36.123Z`, so long after the first second of 1970.
pub fn rfc3339(since_epoch: Duration) -> String {
    let mut text = Vec::with_capacity(24);
    Stamp::new(since_epoch).rfc3339(&mut text);
    // It is all ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// A point in time, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u64,
}

impl Stamp {
    /// `since_epoch` after the first second of 1970.
    pub(super) fn new(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs();
        // Counted from 1 March of the year 0, in eras of 400 years.
        let days = seconds / DAY + 719_468;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: days / 146_097 * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: seconds % DAY / 3600,
            minute: seconds % 3600 / 60,
            second: seconds % 60,
            milli: u64::from(since_epoch.subsec_millis()),
        }
    }

    /// `10/Oct/2000:13:55:36 +0000`
    pub(super) fn common(self, out: &mut Vec<u8>) {
        padded::<2>(out, self.day);
        out.push(b'/');
        let month = usize::try_from(self.month).unwrap_or(1);
        out.extend_from_slice(MONTHS[month - 1]);
        out.push(b'/');
        padded::<4>(out, self.year);
        out.push(b':');
        self.time(out);
        out.extend_from_slice(b" +0000");
    }

    /// `2000-10-10T13:55:36.123Z` (RFC 3339)
    pub(super) fn rfc3339(self, out: &mut Vec<u8>) {
        padded::<4>(out, self.year);
        out.push(b'-');
        padded::<2>(out, self.month);
        out.push(b'-');
        padded::<2>(out, self.day);
        out.push(b'T');
        self.time(out);
        out.push(b'.');
        padded::<3>(out, self.milli);
        out.push(b'Z');
    }

    fn time(self, out: &mut Vec<u8>) {
        padded::<2>(out, self.hour);
        out.push(b':');
        padded::<2>(out, self.minute);
        out.push(b':');
        padded::<2>(out, self.second);
    }
}

/// Writes a number in `N` digits, with zeros in front.
pub(super) fn padded<const N: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn written(write: fn(Stamp, &mut Vec<u8>), since_epoch: Duration) -> String {
        let mut out = Vec::new();
        write(Stamp::new(since_epoch), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_time_is_written_as_apache_and_as_rfc_3339_have_it() {
        let time = Duration::from_millis(971_186_136_042);
        assert_eq!(written(Stamp::common, time), "10/Oct/2000:13:55:36 +0000");
        assert_eq!(written(Stamp::rfc3339, time), "2000-10-10T13:55:36.042Z");
        assert_eq!(written(Stamp::rfc3339, Duration::ZERO), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn leap_days_are_days() {
        let at = |seconds| written(Stamp::rfc3339, Duration::from_secs(seconds));
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(at(1_709_251_200), "2024-03-01T00:00:00.000Z");
    }

    proptest! {
        /// Up to the year 9999, against the code that writes `Date` headers.
        #[test]
        fn the_calendar_is_that_of_http(seconds in 0_u64..253_402_300_800) {
            let time = Duration::from_secs(seconds);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + time);
            let (_, rest) = date.split_once(", ").unwrap();
            let expected = rest.replacen(' ', "/", 2).replacen(' ', ":", 1).replace(" GMT", " +0000");
            prop_assert_eq!(written(Stamp::common, time), expected);
        }
    }
}
