//! Whom a request was addressed to.
//!
//! Names are compared without regard to case, port and the dot that may end them.
//! The comparable form is made on the stack: nothing is allocated for a request.

use std::{
    fmt::{self, Write as _},
    net::Ipv6Addr,
};

/// The host of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostPattern {
    /// Any, even none.
    #[default]
    Any,
    /// This one: a name, an IPv4 address, or an IPv6 address in brackets.
    Exact(Box<str>),
    /// Those that end with this: `.example.org`, for `*.example.org`. Any number of
    /// labels may stand before it, at least one.
    Suffix(Box<str>),
}

impl HostPattern {
    /// The same in the form that is compared.
    pub(super) fn normal(&self) -> Self {
        let normal = |text: &str| HostName::new(text).as_str().into();
        match self {
            Self::Any => Self::Any,
            Self::Exact(name) => Self::Exact(normal(name)),
            Self::Suffix(suffix) => Self::Suffix(normal(suffix)),
        }
    }

    /// Whether it is this host's. The pattern must be normal.
    pub(super) fn matches(&self, host: &HostName) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host.as_str(),
            Self::Suffix(suffix) => host.suffixes().any(|known| *known == **suffix),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// No name is longer (RFC 1035, section 2.3.4).
const LONGEST: usize = 255;

/// A host in the form that is compared. Of one that is too long to be any, nothing
/// is left.
#[derive(Clone)]
pub(super) struct HostName {
    bytes: [u8; LONGEST],
    length: usize,
}

impl HostName {
    /// Of the value of a `Host` header.
    pub(super) fn new(host: &str) -> Self {
        let mut name = Self { bytes: [0; LONGEST], length: 0 };
        let is_whole = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => match address.parse::<Ipv6Addr>() {
                // One address has many spellings.
                Ok(address) => write!(name, "[{address}]").is_ok(),
                Err(_) => write!(name, "[{address}]").is_ok(),
            },
            None => {
                let host = host.split_once(':').map_or(host, |(host, _)| host);
                name.write_str(host.strip_suffix('.').unwrap_or(host)).is_ok()
            }
        };
        if !is_whole {
            name.length = 0;
        }
        name
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// `.example.org` and `.org` of `www.example.org`, longest first.
    pub(super) fn suffixes(&self) -> impl Iterator<Item = &str> {
        let name = self.as_str();
        name.match_indices('.').map(|(at, _)| &name[at..]).filter(|rest| rest.len() < name.len())
    }
}

impl fmt::Write for HostName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        place.make_ascii_lowercase();
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(host: &str) -> String {
        HostName::new(host).as_str().to_owned()
    }

    #[test]
    fn case_port_and_the_last_dot_do_not_count() {
        for host in ["example.org", "Example.ORG", "example.org:80", "EXAMPLE.org.:8080"] {
            assert_eq!(normal(host), "example.org", "{host}");
        }
        assert_eq!(normal(""), "");
        assert_eq!(normal("192.0.2.1:80"), "192.0.2.1");
    }

    #[test]
    fn an_ipv6_address_is_one_however_it_is_written() {
        for host in ["[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]:80"] {
            assert_eq!(normal(host), "[::1]", "{host}");
        }
        assert_eq!(normal("[2001:DB8::A]"), "[2001:db8::a]");
        assert_eq!(normal("[FE80::1%25eth0]"), "[fe80::1%25eth0]");
    }

    #[test]
    fn a_name_too_long_to_be_one_is_nobody() {
        assert_eq!(normal(&"a".repeat(255)).len(), 255);
        assert_eq!(normal(&"a".repeat(256)), "");
    }

    #[test]
    fn a_wildcard_wants_a_label_before_it() {
        let pattern = HostPattern::Suffix(".Example.org".into()).normal();
        let fits = |host: &str| pattern.matches(&HostName::new(host));
        assert!(fits("www.example.org") && fits("a.b.EXAMPLE.org.:80"));
        assert!(!fits("example.org") && !fits(".example.org") && !fits("wwwexample.org"));
    }
}
