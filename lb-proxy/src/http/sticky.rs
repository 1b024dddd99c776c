//! Cookies that bind a client to a backend.

use std::{fmt, time::Duration};

use lb_core::sticky::Ring;

/// How long a session counts whose cookie ends with the browser.
const SESSION: Duration = Duration::from_mins(30);

/// A cluster whose clients stay with their backend. Its `Debug` form has no keys.
#[derive(Clone, PartialEq, Eq)]
pub struct StickySettings {
    /// The name of the cookie.
    pub cookie: Box<str>,
    /// What its value is.
    pub value: StickyValue,
    /// Keys for `Derived` and `Sealed`: the first is used, all are accepted. Empty:
    /// one derived from the name of the cluster, which anybody can guess.
    pub keys: Vec<[u8; 16]>,
    /// `Max-Age`; a session cookie unless set. A sealed value ends with it.
    pub ttl: Option<Duration>,
    /// `Path`
    pub path: Box<str>,
    /// `Domain`
    pub domain: Option<Box<str>>,
    /// `Secure`
    pub secure: bool,
    /// `HttpOnly`
    pub http_only: bool,
    /// `SameSite`
    pub same_site: Option<SameSite>,
    /// `Partitioned`
    pub partitioned: bool,
}

impl StickySettings {
    /// A session cookie of this name, `HttpOnly`, `SameSite=Lax`, for all paths.
    #[must_use]
    pub fn new(cookie: impl Into<Box<str>>) -> Self {
        Self {
            cookie: cookie.into(),
            value: StickyValue::Derived,
            keys: Vec::new(),
            ttl: None,
            path: "/".into(),
            domain: None,
            secure: false,
            http_only: true,
            same_site: Some(SameSite::Lax),
            partitioned: false,
        }
    }

    /// How long clients of a cluster are remembered by estimates of how many there are: as
    /// long as their cookie lasts, where that is said.
    #[must_use]
    pub fn remembered(sticky: Option<&Self>) -> Duration {
        sticky.and_then(|sticky| sticky.ttl).unwrap_or(SESSION)
    }

    /// The keys of the cluster of this name, which it must be [built
    /// with](lb_core::cluster::ClusterBuilder::ring) to find backends by their
    /// cookies.
    #[must_use]
    pub fn ring(&self, cluster: &str) -> Ring {
        match Ring::new(self.keys.iter().copied()) {
            Some(ring) => ring.for_cluster(cluster),
            None => Ring::derived_from(cluster),
        }
    }
}

impl fmt::Debug for StickySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart, so that a new field is not forgotten.
        let Self {
            cookie,
            value,
            keys,
            ttl,
            path,
            domain,
            secure,
            http_only,
            same_site,
            partitioned,
        } = self;
        f.debug_struct("StickySettings")
            .field("cookie", cookie)
            .field("value", value)
            .field("keys", &vec!["…"; keys.len()])
            .field("ttl", ttl)
            .field("path", path)
            .field("domain", domain)
            .field("secure", secure)
            .field("http_only", http_only)
            .field("same_site", same_site)
            .field("partitioned", partitioned)
            .finish()
    }
}

/// What a sticky cookie says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StickyValue {
    /// A keyed hash of the backend's name: the same from every balancer with the
    /// key.
    #[default]
    Derived,
    /// The same with an expiry, under a MAC: no backend can be chosen by who makes one
    /// up, and none kept for ever. While there are several keys, a value under yet
    /// another one is taken for another balancer's, and its client placed by its hash.
    Sealed,
    /// `.NAME`, as Apache's `ROUTEID`; read by Apache's rules, so `abc.NAME` and
    /// `;ROUTEID=.NAME` in the path count as well.
    Name,
}

/// The `SameSite` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// `Strict`
    Strict,
    /// `Lax`
    Lax,
    /// `None`; browsers want `Secure` with it.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed() {
        let settings = StickySettings { keys: vec![[77; 16]], ..StickySettings::new("A") };
        let printed = format!("{settings:?}");
        assert!(printed.contains("keys: [\"…\"]") && !printed.contains("77"), "{printed}");
    }
}
