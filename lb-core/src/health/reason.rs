//! Why a verdict is what it is.

use std::{fmt, sync::Arc, time::Duration};

/// How a request failed, where that is the backend's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// It took no connection.
    Refused,
    /// No connection was there in time.
    ConnectTimeout,
    /// Its name stands for no address.
    Unresolved,
    /// It did not answer in time.
    Timeout,
    /// The connection broke, or what came was not an answer.
    Reset,
    /// It answered that it failed, with this status.
    Status(u16),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Status(status) => return write!(f, "status {status}"),
            Self::Connect => "connect",
            Self::Refused => "connect: refused",
            Self::ConnectTimeout => "connect: timeout",
            Self::Unresolved => "connect: name not resolved",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
        };
        f.write_str(words)
    }
}

/// What a verdict rests on. Its `Display` is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing was seen of it yet.
    New,
    /// So many checks in a row passed.
    ChecksPassed(u32),
    /// Checks in a row failed.
    ChecksFailed {
        /// How many.
        count: u32,
        /// What the last one said.
        last: Arc<str>,
    },
    /// Requests in a row failed.
    FailuresInARow {
        /// How many.
        count: u32,
        /// How the last one did.
        last: Failure,
    },
    /// Requests failed within a time.
    FailuresWithin {
        /// How many.
        count: u32,
        /// Within which time.
        window: Duration,
    },
    /// It did worse than the others. Shares are in millionths.
    SuccessRate {
        /// Its share of good requests.
        rate: u32,
        /// Below which one is ejected.
        threshold: u32,
        /// The mean of those that were compared.
        mean: u32,
        /// How many those were.
        backends: usize,
    },
    /// Too many of its requests were errors.
    FailurePercentage {
        /// How many.
        errors: u32,
        /// Of how many.
        requests: u32,
        /// From how many percent on one is ejected.
        limit: u8,
    },
    /// It took longer to answer than the others.
    Slow {
        /// The mean of its times to the first byte.
        mean: Duration,
        /// Above which one is ejected.
        limit: Duration,
        /// The median of those that were compared.
        median: Duration,
        /// How many those were.
        backends: usize,
    },
    /// The request that was to find out whether it works again failed.
    TrialFailed(Failure),
    /// It was ejected for as long as it was to be.
    EjectionOver(Duration),
    /// A request was answered.
    Answered,
    /// Somebody outside said so.
    Said,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("nothing was seen of it yet"),
            Self::ChecksPassed(1) => f.write_str("a check passed"),
            Self::ChecksPassed(count) => write!(f, "{count} checks in a row passed"),
            Self::ChecksFailed { count: 1, last } => write!(f, "a check failed: {last}"),
            Self::ChecksFailed { count, last } => {
                write!(f, "{count} checks in a row failed: {last}")
            }
            Self::FailuresInARow { count: 1, last } => write!(f, "a request failed: {last}"),
            Self::FailuresInARow { count, last } => {
                write!(f, "{count} requests in a row failed, the last: {last}")
            }
            Self::FailuresWithin { count: 1, window } => {
                write!(f, "1 request failed within {}", Spoken(*window))
            }
            Self::FailuresWithin { count, window } => {
                write!(f, "{count} requests failed within {}", Spoken(*window))
            }
            Self::SuccessRate { rate, threshold, mean, backends } => {
                let [rate, threshold, mean] = [rate, threshold, mean].map(|it| Percent(*it));
                write!(f, "success rate {rate}, threshold {threshold} (mean {mean}, ")?;
                write!(f, "{backends} backends)")
            }
            Self::FailurePercentage { errors, requests, limit } => {
                write!(f, "{errors} of {requests} requests failed, limit {limit} %")
            }
            Self::Slow { mean, limit, median, backends } => {
                let [mean, limit, median] = [mean, limit, median].map(|it| Spoken(rounded(*it)));
                write!(f, "first byte after {mean}, limit {limit} (median {median}, ")?;
                write!(f, "{backends} backends)")
            }
            Self::TrialFailed(how) => write!(f, "the one request that tried it failed: {how}"),
            Self::EjectionOver(time) => {
                write!(f, "ejected for {} is over: one request at a time", Spoken(*time))
            }
            Self::Answered => f.write_str("a request succeeded"),
            Self::Said => f.write_str("somebody said so"),
        }
    }
}

/// Millionths as a percentage with one decimal, rounded down.
struct Percent(u32);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 10_000, self.0 / 1_000 % 10)
    }
}

/// To a tenth of a millisecond, rounded down.
fn rounded(time: Duration) -> Duration {
    time - Duration::from_nanos(u64::from(time.subsec_nanos()) % 100_000)
}

/// A duration as people write it: 10 s, 1.5 s, 250 ms.
struct Spoken(Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_secs_f64() * 1_000.0)
        } else {
            write!(f, "{} s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_like_sentences_with_their_numbers() {
        let seconds = Duration::from_secs;
        let said = [
            (Reason::ChecksPassed(1), "a check passed"),
            (Reason::ChecksPassed(2), "2 checks in a row passed"),
            (
                Reason::ChecksFailed { count: 3, last: "status 500".into() },
                "3 checks in a row failed: status 500",
            ),
            (
                Reason::FailuresInARow { count: 3, last: Failure::Connect },
                "3 requests in a row failed, the last: connect",
            ),
            (
                Reason::FailuresWithin { count: 5, window: seconds(10) },
                "5 requests failed within 10 s",
            ),
            (
                Reason::FailuresInARow { count: 1, last: Failure::Refused },
                "a request failed: connect: refused",
            ),
            (Reason::TrialFailed(Failure::Reset), "the one request that tried it failed: reset"),
            (Reason::EjectionOver(seconds(10)), "ejected for 10 s is over: one request at a time"),
            (
                Reason::EjectionOver(Duration::from_millis(250)),
                "ejected for 250 ms is over: one request at a time",
            ),
            (Reason::Answered, "a request succeeded"),
            (
                Reason::FailuresInARow { count: 5, last: Failure::Status(503) },
                "5 requests in a row failed, the last: status 503",
            ),
            (
                Reason::SuccessRate {
                    rate: 713_999,
                    threshold: 880_000,
                    mean: 971_000,
                    backends: 5,
                },
                "success rate 71.3 %, threshold 88.0 % (mean 97.1 %, 5 backends)",
            ),
            (
                Reason::FailurePercentage { errors: 91, requests: 100, limit: 85 },
                "91 of 100 requests failed, limit 85 %",
            ),
            (
                Reason::Slow {
                    mean: Duration::from_micros(512_345),
                    limit: Duration::from_millis(200),
                    median: Duration::from_millis(40),
                    backends: 5,
                },
                "first byte after 512.3 ms, limit 200 ms (median 40 ms, 5 backends)",
            ),
        ];
        for (reason, words) in said {
            assert_eq!(reason.to_string(), words);
        }
    }
}
