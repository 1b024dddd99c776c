//! How often a request may be tried, and after what.

/// When a request that failed goes to another backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySettings {
    /// Backends that one request is sent to, in total; 1 is no retry.
    pub attempts: u8,
    /// After what.
    pub on: RetryOn,
    /// Also for methods that are not idempotent, where request bytes were sent.
    pub any_method: bool,
    /// Retries may be this share of the first attempts of the last ten seconds, in
    /// percent; ten in ten seconds are always allowed.
    pub budget: u8,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { attempts: 2, on: RetryOn::default(), any_method: false, budget: 20 }
    }
}

/// After what a request goes to another backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection could be made.
    pub connect: bool,
    /// The connection broke before a byte of an answer. Without this, no request that
    /// was sent is sent again, not even where a kept connection was closed meanwhile.
    pub reset: bool,
    /// No byte of an answer in `timeout.first_byte` or `timeout.per_try`.
    pub timeout: bool,
    /// Answers with one of these statuses.
    pub statuses: Box<[u16]>,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self { connect: true, reset: true, timeout: false, statuses: Box::default() }
    }
}
