//! How a request on a backend ended, and whose doing that was.

/// The end of one request on one backend.
///
/// It separates who failed. A refused connection says that the backend is
/// broken; a client that hung up says nothing about the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It answered, whole, with this status.
    Status(u16),
    /// No connection could be made.
    Connect,
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
        matches!(self, Self::Connect | Self::Timeout | Self::Reset)
    }
}
