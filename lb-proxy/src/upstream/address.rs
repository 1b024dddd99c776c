//! From the text of a backend's address to where to connect.
//!
//! `ip:port` or `name:port`, with or without `http://` in front (then the port is
//! 80 unless said). Equal spellings have one form, so that duplicates are found. A
//! name is resolved again for new connections, at most once a second per worker, so a
//! change is seen without a restart; connections are kept, so that is rare.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name and a port.
    Name {
        /// To be resolved. In small letters.
        host: Box<str>,
        /// Never 0.
        port: u16,
    },
}

/// Why a text is not the address of a backend, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is nothing.
    #[error("the address is empty")]
    Empty,
    /// `https://`
    #[error("TLS to backends is not spoken by this version")]
    Tls,
    /// `h2c://`, `grpc://`
    #[error("this version speaks HTTP/1.1 to backends")]
    Http2,
    /// Another scheme than `http`.
    #[error("unknown scheme `{0}`")]
    Scheme(Box<str>),
    /// `unix:` or a path.
    #[error("Unix sockets are not spoken by this version")]
    Unix,
    /// Something behind the port.
    #[error("a backend address has no path; requests keep the path they came with")]
    Path,
    /// `user:password@`
    #[error("user and password do not belong into an address")]
    UserInfo,
    /// Something is wrong with the port.
    #[error("{0}")]
    Port(#[from] PortError),
    /// No backend can listen there.
    #[error("no backend listens on port 0")]
    PortZero,
    /// An address that names no host.
    #[error("this address means \"all interfaces\"; it names no host to connect to")]
    Unspecified,
    /// Something is wrong with the host.
    #[error("{0}")]
    Host(#[from] HostError),
}

/// Why a text is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// There is none.
    #[error("the port is missing")]
    Missing,
    /// It has other characters than digits.
    #[error("`{0}` is not a port")]
    NotANumber(Box<str>),
    /// There are 65535 of them.
    #[error("port {0} is above 65535")]
    TooLarge(Box<str>),
}

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is none.
    #[error("the host is missing")]
    Missing,
    /// DNS has a limit.
    #[error("the host name is longer than 253 characters")]
    TooLong,
    /// Neither a letter, a digit, nor one of `-._`.
    #[error("`{}` cannot stand in a host name", .0.escape_debug())]
    Character(char),
    /// It would be an IP address, but is none: `10.0.0.256`, `10.0.1`.
    #[error("`{0}` is not an IP address")]
    NotAnIp(Box<str>),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (authority, default_port) = match text.split_once("://") {
            Some((scheme, rest)) => (after_scheme(scheme, rest)?, Some(80)),
            None if text.starts_with("unix:") || text.starts_with('/') => {
                return Err(AddressError::Unix);
            }
            None => (text, None),
        };
        if authority.is_empty() {
            return Err(AddressError::Empty);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(AddressError::Path);
        }
        if authority.contains('@') {
            return Err(AddressError::UserInfo);
        }
        if authority.parse::<Ipv6Addr>().is_ok() {
            return Err(PortError::Missing.into());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, read_port(port)?),
            _ => (authority, default_port.ok_or(PortError::Missing)?),
        };
        if port == 0 {
            return Err(AddressError::PortZero);
        }
        match read_ip(host) {
            Some(ip) if ip.is_unspecified() => Err(AddressError::Unspecified),
            Some(ip) => Ok(Self::Socket(SocketAddr::new(ip, port))),
            None => {
                check_host(host)?;
                Ok(Self::Name { host: host.to_ascii_lowercase().into(), port })
            }
        }
    }
}

fn after_scheme<'t>(scheme: &str, rest: &'t str) -> Result<&'t str, AddressError> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(rest.strip_suffix('/').unwrap_or(rest)),
        "https" => Err(AddressError::Tls),
        "h2c" | "grpc" | "h2" => Err(AddressError::Http2),
        _ => Err(AddressError::Scheme(scheme.into())),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// A port number; 0 is one.
pub(crate) fn read_port(text: &str) -> Result<u16, PortError> {
    if text.is_empty() {
        return Err(PortError::Missing);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError::NotANumber(text.into()));
    }
    text.parse().map_err(|_| PortError::TooLarge(text.into()))
}

/// An IP address, IPv6 in brackets. One that stands for an IPv4 address is that.
pub(crate) fn read_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => Some(IpAddr::V6(inner.parse().ok()?).to_canonical()),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// Whether a name could be a host name (underscores occur in compose and Kubernetes).
pub(crate) fn check_host(host: &str) -> Result<(), HostError> {
    if host.is_empty() {
        return Err(HostError::Missing);
    }
    if host.len() > 253 {
        return Err(HostError::TooLong);
    }
    if let Some(odd) = host.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._".contains(*c))) {
        return Err(HostError::Character(odd));
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(HostError::NotAnIp(host.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    #[test]
    fn equal_addresses_have_one_form() {
        for (text, form) in [
            ("127.0.0.1:9001", "127.0.0.1:9001"),
            ("http://127.0.0.1:9001", "127.0.0.1:9001"),
            ("http://127.0.0.1:9001/", "127.0.0.1:9001"),
            ("HTTP://Web:3000", "web:3000"),
            ("http://web", "web:80"),
            ("web_1:03000", "web_1:3000"),
            ("[::1]:80", "[::1]:80"),
            ("[0:0:0:0:0:0:0:1]:80", "[::1]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ] {
            let address = text.parse::<Address>().map(|address| address.to_string());
            assert_eq!(address, Ok(form.to_owned()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("http://", "empty"),
            ("127.0.0.1", "port is missing"),
            ("127.0.0.1:", "port is missing"),
            ("web", "port is missing"),
            (":3000", "host is missing"),
            ("web:http", "`http` is not a port"),
            ("web:70000", "above 65535"),
            ("web:0", "port 0"),
            ("::1", "port is missing"),
            ("::1:80", "port is missing"),
            ("[::1]", "port is missing"),
            ("[::g]:80", "cannot stand in a host name"),
            ("10.0.0.256:80", "not an IP address"),
            ("we b:80", "` ` cannot stand"),
            ("https://web:443", "TLS"),
            ("h2c://web:80", "HTTP/1.1"),
            ("ftp://web:21", "unknown scheme"),
            ("unix:/run/app.sock", "Unix sockets"),
            ("/run/app.sock", "Unix sockets"),
            ("web:80/api", "no path"),
            ("http://web:80/api", "no path"),
            ("user@web:80", "user and password"),
            ("0.0.0.0:80", "all interfaces"),
            ("[::]:80", "all interfaces"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_form_of_an_address_is_read_as_that_address(
            text in "(http://)?([0-9a-fA-F.]{0,12}|\\[[0-9a-f:.]{0,12}\\]|[a-zA-Z_.-]{0,6}):[0-9]{1,5}/?"
        ) {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
