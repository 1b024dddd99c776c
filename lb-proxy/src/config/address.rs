//! The address of a backend as it is written: `10.0.0.1:3000`, `web:3000`, `[::1]:80`.
//!
//! The data path has a terse parser for the same form. This one is for people: it
//! says what is wrong and what to write instead, and brings equal spellings to one
//! form, so that duplicates are found.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::Address;

/// Why a text is not the address of a backend, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRefusal {
    /// What is wrong, as the end of a sentence.
    pub reason: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

/// Reads the address of a backend.
///
/// # Errors
///
/// [`AddressRefusal`], with a hint where one can be given.
pub fn parse_address(text: &str) -> Result<Address, AddressRefusal> {
    let mut rest = text;
    let mut default_port = None;
    if let Some((scheme, after)) = text.split_once("://") {
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(match scheme.to_ascii_lowercase().as_str() {
                "https" => refuse(
                    "TLS to backends is not spoken by this version",
                    Some(format!("plain HTTP: `http://{after}`")),
                ),
                "h2c" | "grpc" | "h2" => refuse("this version speaks HTTP/1.1 to backends", None),
                _ => refuse(
                    &format!("unknown scheme `{scheme}`"),
                    Some("write `ip:port` or `name:port`".to_owned()),
                ),
            });
        }
        let (authority, path) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        if !matches!(path, "" | "/") {
            return Err(refuse(
                "a backend address has no path; requests keep the path they came with",
                Some(format!("write `{authority}`")),
            ));
        }
        rest = authority;
        default_port = Some(80);
    } else if text.starts_with("unix:") || text.starts_with('/') {
        return Err(refuse(
            "Unix sockets are not spoken by this version",
            Some("write `ip:port` or `name:port`".to_owned()),
        ));
    }
    authority(rest, default_port)
}

fn authority(text: &str, default_port: Option<u16>) -> Result<Address, AddressRefusal> {
    if text.is_empty() {
        return Err(refuse(
            "the address is empty",
            Some("write `ip:port` or `name:port`".to_owned()),
        ));
    }
    if let Some(at) = text.find('/') {
        return Err(refuse(
            "a backend address has no path; requests keep the path they came with",
            Some(format!("write `{}`", &text[..at])),
        ));
    }
    if text.contains('@') {
        return Err(refuse("user and password do not belong into an address", None));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(refuse(
            "the port is missing",
            Some(format!("an IPv6 address stands in brackets: `[{text}]:80`")),
        ));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match (port, default_port) {
        (Some(port), _) => read_port(port).map_err(|reason| refuse(&reason, None))?,
        (None, Some(port)) => port,
        (None, None) => {
            return Err(refuse("the port is missing", Some(format!("write it like `{text}:80`"))));
        }
    };
    if port == 0 {
        return Err(refuse("no backend listens on port 0", None));
    }
    let address = match read_ip(host) {
        Some(ip) if ip.is_unspecified() => {
            return Err(refuse(
                "this address means \"all interfaces\"; it names no host to connect to",
                Some(format!("the same machine is `127.0.0.1:{port}`")),
            ));
        }
        Some(ip) => Address::Socket(SocketAddr::new(ip, port)),
        None => {
            check_host(host).map_err(|reason| refuse(&reason, None))?;
            Address::Name { host: host.to_ascii_lowercase().into(), port }
        }
    };
    Ok(address)
}

impl fmt::Display for AddressRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AddressRefusal {}

/// A port number, or what is wrong with it.
pub(super) fn read_port(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("the port is missing".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a port"));
    }
    text.parse().map_err(|_| format!("port {text} is above 65535"))
}

/// An IP address, IPv6 in brackets.
pub(super) fn read_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// Whether a name could be a host name (underscores occur in compose and Kubernetes).
pub(super) fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if host.len() > 253 {
        return Err("the host name is longer than 253 characters".to_owned());
    }
    if let Some(odd) = host.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._".contains(*c))) {
        return Err(format!("`{}` cannot stand in a host name", odd.escape_debug()));
    }
    // Digits and dots only would be meant as an IP address: `10.0.0.256`, `10.0.1`.
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("`{host}` is not an IP address"));
    }
    Ok(())
}

fn refuse(reason: &str, help: Option<String>) -> AddressRefusal {
    AddressRefusal { reason: reason.to_owned(), help }
}

#[cfg(test)]
mod tests {
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
        ] {
            assert_eq!(parse_address(text).map(|a| a.to_string()), Ok(form.to_owned()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
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
            ("ftp://web:21", "unknown scheme"),
            ("unix:/run/app.sock", "Unix sockets"),
            ("/run/app.sock", "Unix sockets"),
            ("web:80/api", "no path"),
            ("http://web:80/api", "no path"),
            ("user@web:80", "user and password"),
            ("0.0.0.0:80", "all interfaces"),
        ] {
            let error = parse_address(text).expect_err(text);
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }
}
