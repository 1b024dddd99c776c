//! To which backend a client is bound.

/// What a client brought along that says which backend it wants.
///
/// It is a wish: where the backend is gone, closed, full or tried already, the
/// strategy picks as if nothing had been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding<'a> {
    /// The backend of this name.
    Name(&'a str),
    /// The backend of this route, by the cluster's [`Ring`](crate::sticky::Ring).
    Route(u64),
    /// The backend that rendezvous hashing gives for these bytes, of those that
    /// take anybody: the same on every balancer that has the same backends.
    Key(&'a [u8]),
}
