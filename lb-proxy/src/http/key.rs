//! What strategies by key pick by.

use std::net::IpAddr;

/// Where the key of a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRule {
    /// The client's address, as far as trusted proxies tell it: 4 or 16 bytes.
    ClientIp,
}

/// The key of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientKey {
    bytes: [u8; 16],
    length: usize,
}

impl ClientKey {
    /// `client` is the address of whom the request is for.
    #[must_use]
    pub fn new(rule: KeyRule, client: IpAddr) -> Self {
        let KeyRule::ClientIp = rule;
        let mut bytes = [0; 16];
        let length = match client.to_canonical() {
            IpAddr::V4(address) => {
                bytes[..4].copy_from_slice(&address.octets());
                4
            }
            IpAddr::V6(address) => {
                bytes = address.octets();
                16
            }
        };
        Self { bytes, length }
    }

    /// The bytes to pick by.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_octets_however_it_arrived() {
        let octets = |address: &str| {
            ClientKey::new(KeyRule::ClientIp, address.parse().unwrap()).as_bytes().to_vec()
        };
        assert_eq!(octets("192.0.2.7"), [192, 0, 2, 7]);
        assert_eq!(octets("::ffff:192.0.2.7"), [192, 0, 2, 7]);
        assert_eq!(octets("2001:db8::1").len(), 16);
        assert_eq!(octets("2001:db8::1")[..4], [0x20, 0x01, 0x0d, 0xb8]);
    }
}
