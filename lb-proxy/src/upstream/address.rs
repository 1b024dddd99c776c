//! From the text of a backend's address to where to connect.
//!
//! `ip:port` or `name:port`, with or without `http://` in front. A name is
//! resolved again for every new connection, so a change is seen without a
//! restart; connections are kept, so that is rare.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name and a port.
    Name {
        /// To be resolved.
        host: Box<str>,
        /// Never 0.
        port: u16,
    },
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing was changed; there is no port in the text.
    #[error("no port: expected ip:port or name:port")]
    NoPort,
    /// The port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    BadPort,
    /// The host is neither an IP address nor a host name.
    #[error("not an IP address or host name")]
    BadHost,
    /// A scheme other than `http`.
    #[error("only http:// is spoken to backends")]
    BadScheme,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = match text.split_once("://") {
            Some(("http", rest)) => rest.strip_suffix('/').unwrap_or(rest),
            Some(_) => return Err(AddressError::BadScheme),
            None => text,
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(AddressError::BadPort),
                _ => Ok(Self::Socket(address)),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let port = match port.parse::<u16>() {
            Ok(port) if port != 0 => port,
            _ => return Err(AddressError::BadPort),
        };
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_name_byte) {
            return Err(AddressError::BadHost);
        }
        Ok(Self::Name { host: host.into(), port })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, AddressError> {
        text.parse::<Address>().map(|address| address.to_string())
    }

    #[test]
    fn addresses_and_names_are_understood() {
        for text in ["127.0.0.1:80", "[::1]:80", "web:3000", "a-b.example_c:1"] {
            assert_eq!(parsed(text).as_deref(), Ok(text));
        }
        assert_eq!(parsed("http://web:3000/").as_deref(), Ok("web:3000"));
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        assert_eq!(parsed("web"), Err(AddressError::NoPort));
        assert_eq!(parsed("127.0.0.1:0"), Err(AddressError::BadPort));
        assert_eq!(parsed("web:http"), Err(AddressError::BadPort));
        assert_eq!(parsed(":80"), Err(AddressError::BadHost));
        assert_eq!(parsed("::1:80"), Err(AddressError::BadHost));
        assert_eq!(parsed("a/b:80"), Err(AddressError::BadHost));
        assert_eq!(parsed("https://web:443"), Err(AddressError::BadScheme));
    }
}
