//! Where a listener listens: `127.0.0.1:8080`, `:8080`, `localhost:8080`, `[::]:80`.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
};

use crate::upstream::{check_host, read_ip, read_port};

/// The address of a listener. Port 0 means "any free one". An IPv6 address serves
/// IPv6 only, `[::]` too: who wants both families has two listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A fixed address.
    Socket(SocketAddr),
    /// A name, looked up when the listener is opened; its first address is taken.
    Name {
        /// The name.
        host: Box<str>,
        /// The port.
        port: u16,
    },
}

impl Bind {
    /// Where `lb` listens when nothing else is said: reachable from this machine only.
    pub const DEFAULT: Self = Self::Socket(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080));

    /// The same for the API.
    pub const ADMIN: Self = Self::Socket(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900));

    /// Reads `host:port`; without a host, all IPv4 interfaces are meant.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'))
        else {
            return Err(match text.parse::<u16>() {
                Ok(port) => format!(
                    "write `:{port}` for all interfaces, `127.0.0.1:{port}` for this machine only"
                ),
                Err(_) => format!("the port is missing; write it like `{text}:8080`"),
            });
        };
        if host.contains("://") {
            return Err("a listener has no scheme; write `host:port`".to_owned());
        }
        let port = read_port(port).map_err(|error| error.to_string())?;
        let ip = match host {
            "" | "*" => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => read_ip(host),
        };
        if let Some(ip) = ip {
            return Ok(Self::Socket(SocketAddr::new(ip, port)));
        }
        if text.parse::<Ipv6Addr>().is_ok() || host.contains(':') {
            return Err(format!("an IPv6 address stands in brackets: `[{host}]:{port}`"));
        }
        check_host(host).map_err(|error| error.to_string())?;
        Ok(Self::Name { host: host.to_ascii_lowercase().into(), port })
    }

    /// The socket address, looking a name up if need be. Blocks.
    ///
    /// # Errors
    ///
    /// When the name has no address.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Socket(address) => Ok(*address),
            Self::Name { host, port } => (&**host, *port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        }
    }

    /// Whether it is reached from this machine only. What a name stands for is known later.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Socket(address) if address.ip().is_loopback())
    }

    /// Whether both cannot be open at the same time: the same port, and the same
    /// address or one that stands for all of its family.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Socket(a), Self::Socket(b)) => {
                a.port() == b.port()
                    && a.port() != 0
                    && a.is_ipv4() == b.is_ipv4()
                    && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
            }
            _ => self == other,
        }
    }

    /// Whether connecting to `address` would reach this listener.
    #[must_use]
    pub fn is_reached_by(&self, address: &str) -> bool {
        match (self, address.parse::<SocketAddr>()) {
            (Self::Socket(own), Ok(address)) => {
                let ip = address.ip().to_canonical();
                let stands_for = own.ip().is_unspecified() && own.is_ipv4() == ip.is_ipv4();
                own.port() == address.port()
                    && own.port() != 0
                    && (own.ip() == ip || stands_for && ip.is_loopback())
            }
            (Self::Socket(own), Err(_)) => {
                let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
                let host = host.strip_suffix('.').unwrap_or(host);
                host.eq_ignore_ascii_case("localhost")
                    && port.parse() == Ok(own.port())
                    && (own.ip().is_loopback() || own.ip().is_unspecified())
            }
            (Self::Name { .. }, _) => self.to_string() == address,
        }
    }
}

/// Why a text is not the host part of a `Host` header; `None` if it is.
pub(super) fn host_problem(host: &str) -> Option<String> {
    if read_ip(host).is_some() {
        return None;
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("an IPv6 address stands in brackets: `[{host}]`"));
    }
    match host.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some("the port is not compared".to_owned())
        }
        _ => check_host(host).err().map(|error| error.to_string()),
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings_are_read() {
        for (text, form) in [
            (":8080", "0.0.0.0:8080"),
            ("*:8080", "0.0.0.0:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("localhost:80", "127.0.0.1:80"),
            ("[::]:80", "[::]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("Edge-1:80", "edge-1:80"),
        ] {
            assert_eq!(
                Bind::parse(text).map(|bind| bind.to_string()),
                Ok(form.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("8080", "`:8080`"),
            ("127.0.0.1", "port is missing"),
            ("127.0.0.1:http", "not a port"),
            ("::1:80", "brackets"),
            ("http://127.0.0.1:80", "scheme"),
            ("a b:80", "cannot stand"),
            ("", "port is missing"),
        ] {
            let error = Bind::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_for_all_interfaces_collides_with_each_of_its_family() {
        let bind = |text| Bind::parse(text).expect(text);
        assert!(bind(":80").collides(&bind("127.0.0.1:80")));
        assert!(!bind(":80").collides(&bind("[::1]:80")));
        assert!(!bind(":0").collides(&bind(":0")));
        assert!(bind("edge:80").collides(&bind("EDGE:80")));
    }

    #[test]
    fn a_listener_is_reached_by_every_spelling_of_its_address() {
        let bind = |text| Bind::parse(text).expect(text);
        for (own, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
            ("127.0.0.1:80", "localhost:80"),
            (":80", "127.0.0.7:80"),
            (":80", "localhost:80"),
            ("[::]:80", "[::1]:80"),
            ("edge:80", "edge:80"),
        ] {
            assert!(bind(own).is_reached_by(address), "{own} by {address}");
        }
        for (own, address) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            (":80", "10.0.0.1:80"),
            (":80", "[::1]:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("10.0.0.1:80", "localhost:80"),
            ("edge:80", "core:80"),
        ] {
            assert!(!bind(own).is_reached_by(address), "{own} by {address}");
        }
    }
}
