//! What strategies by key pick by.

/// Where the key of a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRule {
    /// The client's address, as far as trusted proxies tell it: 4 or 16 bytes.
    ClientIp,
}
