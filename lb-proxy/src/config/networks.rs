//! Lists of networks: `"10.0.0.0/8"`, or an address, which is a network of one.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::{Text, Value};

/// Reads one network or a list of them.
pub(super) fn read_networks(value: Value<'_>) -> Vec<IpNet> {
    let texts = value.one_or_more().into_iter().filter_map(Value::text);
    texts.filter_map(|text| read_network(&text)).collect()
}

fn read_network(text: &Text<'_>) -> Option<IpNet> {
    let written = text.as_str();
    if let Ok(address) = written.parse::<IpAddr>() {
        return Some(address.to_canonical().into());
    }
    let Ok(network) = written.parse::<IpNet>() else {
        text.report(
            text.error(format!("`{written}` is not a network"), "neither an address nor a network")
                .help("write it like `10.0.0.0/8` or `2001:db8::/32`"),
        );
        return None;
    };
    if network.addr() != network.network() {
        text.report(
            text.error(
                format!("`{written}` is an address within a network"),
                "it has bits behind the prefix",
            )
            .help(format!(
                "the network is `{}`, the address `{}`",
                network.trunc(),
                network.addr()
            )),
        );
        return None;
    }
    Some(network)
}
