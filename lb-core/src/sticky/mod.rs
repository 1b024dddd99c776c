//! Cookie values that bind a client to a backend.
//!
//! A table of sessions would have to be shared by all workers and balancers, and
//! to survive them. Instead the value itself says which backend is meant: by its
//! *derived route*, a keyed hash of the backend's name. Whoever has the same keys
//! and names finds the same backend, wherever it stands in the list, whoever else
//! is there, and after any restart.
//!
//! Three forms, by what they keep from the client: a [name](Format::Name) hides
//! nothing, a [derived](Format::Derived) route hides names, and a
//! [sealed](Format::Sealed) one can't be made up or kept for ever either.

pub mod apache;
mod ring;
mod sealed;

use std::time::Duration;

pub use ring::Ring;
pub(crate) use ring::Routes;

use crate::{strategy::Binding, time::UnixTime};

/// How a backend is written into a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// The derived route as 16 lower-case hexadecimal digits.
    Derived,
    /// The derived route with a seal: 48 characters of base64url that nobody without the
    /// key can make.
    Sealed {
        /// How long a value is good for; for ever unless said.
        ttl: Option<Duration>,
    },
    /// Apache's: a dot, then the backend's name.
    Name,
}

/// Writes and reads the values of one cluster's cookie.
#[derive(Clone, Debug)]
pub struct Sticky {
    format: Format,
    ring: Ring,
}

impl Sticky {
    /// Values of this form under these keys, which the cluster must have
    /// [as well](crate::cluster::ClusterBuilder::ring).
    #[must_use]
    pub fn new(format: Format, ring: Ring) -> Self {
        Self { format, ring }
    }

    /// The value that binds to the backend of this name.
    ///
    /// It has only bytes that a cookie can carry. A name that has others is
    /// written as its derived route where names are asked for.
    #[must_use]
    pub fn value(&self, backend: &str, now: UnixTime) -> String {
        match self.format {
            Format::Name if backend.bytes().all(is_cookie_octet) => format!(".{backend}"),
            Format::Name | Format::Derived => format!("{:016x}", self.ring.route(backend)),
            Format::Sealed { ttl } => sealed::seal(&self.ring, backend, ttl, now),
        }
    }

    /// What a value from a client says. `None` when it is none of ours, or no
    /// longer good: the client is to be bound anew. O(keys), no allocation.
    ///
    /// [`Binding::Key`] comes of values that were sealed with a key we do not
    /// have, while keys are exchanged in a fleet, which we know by having several: such
    /// a client goes where every balancer would send it, and must **not** get a new
    /// cookie, or balancers with different keys would take it from each other. With one
    /// key, such a value is nobody's.
    ///
    /// Names are read by Apache's rules: what comes after the *first* dot, whatever
    /// is before it.
    #[must_use]
    pub fn read<'v>(&self, value: &'v [u8], now: UnixTime) -> Option<Binding<'v>> {
        match self.format {
            Format::Derived => derived(value),
            Format::Sealed { ttl } => sealed::open(&self.ring, value, ttl, now),
            Format::Name => match apache::after_dot(value) {
                Some(name) => std::str::from_utf8(name).ok().map(Binding::Name),
                None => derived(value),
            },
        }
    }
}

impl Sticky {
    /// When a sealed value ends that is good now; `None` of all others, and where it never
    /// does. For those who look at sessions: no request asks.
    #[must_use]
    pub fn expires(&self, value: &[u8], now: UnixTime) -> Option<UnixTime> {
        matches!(self.read(value, now), Some(Binding::Route(_)))
            .then(|| sealed::expires(value))
            .flatten()
    }
}

/// The route that 16 lower-case hexadecimal digits mean.
fn derived(value: &[u8]) -> Option<Binding<'static>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if value.len() != 16 {
        return None;
    }
    let route = value.iter().try_fold(0, |route, byte| Some(route << 4 | u64::from(digit(byte)?)));
    route.map(Binding::Route)
}

/// RFC 6265's `cookie-octet`: no control, space, quote, comma, semicolon or
/// backslash.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests;
