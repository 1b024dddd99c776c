//! How a request on a backend ended, and whose doing that was.

use crate::health::Failure;

/// The end of one request on one backend.
///
/// It separates who failed. A refused connection says that the backend is
/// broken; a client that hung up says nothing about the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It answered, whole, with this status.
    Status(u16),
    /// No connection could be made, for a reason that has no word of its own here.
    Connect,
    /// It took no connection.
    Refused,
    /// No connection was there in time.
    ConnectTimeout,
    /// No address of its name has ever been found. (While a resolver fails, those that
    /// were found before are used: that is no failure of the backend's.)
    Unresolved,
    /// It did not answer, or not further, in time.
    Timeout,
    /// The connection broke, or what came was not an answer.
    Reset,
    /// The client went away first.
    ClientGone,
    /// Nobody said how it ended: the lease was dropped.
    Abandoned,
}

impl Outcome {
    /// Whether the backend, or the way to it, failed.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self.failure().is_some()
    }

    /// How the backend, or the way to it, failed.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Connect => Some(Failure::Connect),
            Self::Refused => Some(Failure::Refused),
            Self::ConnectTimeout => Some(Failure::ConnectTimeout),
            Self::Unresolved => Some(Failure::Unresolved),
            Self::Timeout => Some(Failure::Timeout),
            Self::Reset => Some(Failure::Reset),
            Self::Status(_) | Self::ClientGone | Self::Abandoned => None,
        }
    }

    /// Whether the backend should for a while look busier than it is: it failed, or
    /// it answered that it did. 501 is not such an answer: what it can't do at all,
    /// it does no better when it is spared.
    #[must_use]
    pub fn is_held_against(self) -> bool {
        match self {
            Self::Status(status) => status >= 500 && status != 501,
            outcome => outcome.is_failure(),
        }
    }
}
