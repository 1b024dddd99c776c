//! Where a backend listens, as sources write it: `ip:port`, `[ip6]:port`,
//! `name:port`.
//!
//! What connects reads addresses itself. A source reads them too, because a bad one must be reported where it was written, equal ones must
//! look equal, and [`Allow`](crate::Allow) has to know the network.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    /// Never 0.
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Never unspecified, and IPv4 if it stands for an IPv4 address.
    Ip(IpAddr),
    /// In small letters.
    Name(Box<str>),
}

/// Why a text is not an address, as the end of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("the address is empty")]
    Empty,
    #[error("`{0}://` is not spoken to backends")]
    Scheme(Box<str>),
    #[error("the port is missing")]
    NoPort,
    #[error("`{0}` is not a port from 1 to 65535")]
    Port(Box<str>),
    #[error("`{0}` means all interfaces; it names no host to connect to")]
    Unspecified(IpAddr),
    #[error("the host is missing")]
    NoHost,
    #[error("the host name is longer than 253 characters")]
    TooLong,
    #[error("`{}` cannot stand in a host name", .0.escape_debug())]
    Character(char),
    #[error("`{0}` is not an IP address")]
    NotAnIp(Box<str>),
}

impl Endpoint {
    /// Reads a host and a port; `port` is used when the text has none. It may begin
    /// with `http://`, which has port 80.
    pub(crate) fn parse(text: &str, port: Option<u16>) -> Result<Self, EndpointError> {
        let (text, port) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
                (rest.strip_suffix('/').unwrap_or(rest), Some(80))
            }
            Some((scheme, _)) => return Err(EndpointError::Scheme(scheme.into())),
            None => (text, port),
        };
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        let is_bare_ip6 = text.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !is_bare_ip6 && !port.ends_with(']') => (host, Some(port)),
            _ => return Self::of(text, port.ok_or(EndpointError::NoPort)?),
        };
        Self::of(host, parse_port(port.unwrap_or_default())?)
    }

    /// A host, IPv6 with or without brackets, at a port.
    pub(crate) fn of(host: &str, port: u16) -> Result<Self, EndpointError> {
        if port == 0 {
            return Err(EndpointError::Port("0".into()));
        }
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let ip = match inner {
            Some(inner) => {
                let ip = inner.parse::<Ipv6Addr>();
                Some(IpAddr::V6(ip.map_err(|_| EndpointError::NotAnIp(inner.into()))?))
            }
            None => host.parse().ok(),
        };
        let host = match ip.map(|ip| ip.to_canonical()) {
            Some(ip) if ip.is_unspecified() => return Err(EndpointError::Unspecified(ip)),
            Some(ip) => Host::Ip(ip),
            None => Host::Name(check_name(host)?.to_ascii_lowercase().into()),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// A port from 1.
pub(crate) fn parse_port(text: &str) -> Result<u16, EndpointError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ if text.is_empty() => Err(EndpointError::NoPort),
        _ => Err(EndpointError::Port(text.into())),
    }
}

/// Underscores occur in the names of compose and Kubernetes.
fn check_name(host: &str) -> Result<&str, EndpointError> {
    if host.is_empty() {
        return Err(EndpointError::NoHost);
    }
    if host.len() > 253 {
        return Err(EndpointError::TooLong);
    }
    if let Some(odd) = host.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._".contains(*c))) {
        return Err(EndpointError::Character(odd));
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(EndpointError::NotAnIp(host.into()));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, port: Option<u16>) -> Result<String, String> {
        Endpoint::parse(text, port).map(|e| e.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn equal_addresses_have_one_form() {
        for (text, form) in [
            ("127.0.0.1:9001", "127.0.0.1:9001"),
            ("Web_1:03000", "web_1:3000"),
            ("[0:0::1]:80", "[::1]:80"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("http://web", "web:80"),
            ("HTTP://10.0.0.1:81/", "10.0.0.1:81"),
        ] {
            assert_eq!(read(text, None), Ok(form.to_owned()));
            assert_eq!(read(text, Some(7)), Ok(form.to_owned()), "a default changes nothing");
        }
        for (text, form) in [
            ("10.0.0.1", "10.0.0.1:80"),
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
            ("web", "web:80"),
        ] {
            assert_eq!(read(text, Some(80)), Ok(form.to_owned()));
            assert_eq!(read(text, None), Err("the port is missing".to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            (":80", "host is missing"),
            ("web:", "port is missing"),
            ("web:http", "`http` is not a port"),
            ("web:+80", "`+80` is not a port"),
            ("web:0", "`0` is not a port"),
            ("web:70000", "`70000` is not a port"),
            ("0.0.0.0:80", "all interfaces"),
            ("[::]:80", "all interfaces"),
            ("10.0.0.256:80", "`10.0.0.256` is not an IP address"),
            ("[web]:80", "`web` is not an IP address"),
            ("we b:80", "` ` cannot stand"),
            ("https://web:80", "`https://` is not spoken"),
            ("http://", "empty"),
            ("http://web:80/x", "`80/x` is not a port"),
            ("http://http://web", "`//web` is not a port"),
            (&format!("{}:80", "a".repeat(254)), "longer than 253"),
        ] {
            let error = read(text, None).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
