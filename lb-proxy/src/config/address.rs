//! What to write instead of something that is not the address of a backend.

use std::net::Ipv6Addr;

use crate::upstream::{Address, AddressError, PortError};

/// A hint for the text that was refused, where there is one. It never suggests
/// what would be refused as well.
#[must_use]
pub fn address_help(text: &str, error: &AddressError) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let good = |text: String| text.parse::<Address>().is_ok().then_some(text);
    match error {
        AddressError::Tls => {
            good(format!("http://{authority}")).map(|text| format!("plain HTTP: `{text}`"))
        }
        AddressError::Path => good(authority.to_owned()).map(|text| format!("write `{text}`")),
        AddressError::Port(PortError::Missing) => {
            let host = authority.trim_end_matches(':');
            // `::1:80` is an address as a whole, but hardly meant as one.
            if let Some((ip, port)) = host.rsplit_once(':')
                && ip.parse::<Ipv6Addr>().is_ok()
            {
                return good(format!("[{ip}]:{port}"))
                    .map(|text| format!("write it like `{text}`"));
            }
            good(format!("{host}:80"))
                .or_else(|| good(format!("[{host}]:80")))
                .map(|text| format!("write it like `{text}`"))
        }
        AddressError::Unspecified => {
            let port = authority.rsplit(':').next().unwrap_or(authority);
            good(format!("127.0.0.1:{port}")).map(|text| format!("the same machine is `{text}`"))
        }
        AddressError::Empty | AddressError::Scheme(_) | AddressError::Unix => {
            Some("write `ip:port` or `name:port`".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_about_the_text_and_would_be_taken() {
        for (text, help) in [
            ("https://web:443/x", Some("plain HTTP: `http://web:443`")),
            ("web:80/api", Some("write `web:80`")),
            ("web/api", None),
            ("web", Some("write it like `web:80`")),
            ("web:", Some("write it like `web:80`")),
            ("::1", Some("write it like `[::1]:80`")),
            ("::1:80", Some("write it like `[::1]:80`")),
            ("we b", None),
            ("[::]:81", Some("the same machine is `127.0.0.1:81`")),
            ("", Some("write `ip:port` or `name:port`")),
            ("web:http", None),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert_eq!(address_help(text, &error).as_deref(), help, "{text}");
        }
    }
}
