//! Which process listens on an address, as Linux shows it under /proc.
//!
//! Only for an error message: what cannot be seen (another system, a process of
//! another user) is not said.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// `process 1234 (lb)`
pub(super) fn port_holder(address: SocketAddr) -> Option<Box<str>> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let links: Vec<String> = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines())
        .filter_map(|line| inode_of_listener(line, address))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name().into_string().unwrap_or_default();
        if name.parse::<u32>().is_ok() && has_one_of(&links, &process.path().join("fd")) {
            let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {name} ({})", program.trim_end()).into());
        }
    }
    None
}

/// The tenth column of a socket that listens (state 0A) where we would like to.
fn inode_of_listener(line: &str, address: SocketAddr) -> Option<&str> {
    let mut columns = line.split_ascii_whitespace();
    let (host, port) = columns.nth(1)?.split_once(':')?;
    let ip = read_ip(host)?;
    let collides = ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
    let listens = columns.nth(1)? == "0A";
    let same_port = u16::from_str_radix(port, 16) == Ok(address.port());
    columns.nth(5).filter(|_| listens && same_port && collides)
}

/// 32-bit words in hexadecimal, each in the byte order of the machine.
fn read_ip(host: &str) -> Option<IpAddr> {
    let words = (0..host.len()).step_by(8).map(|at| {
        let word = u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let v4 = <[u8; 4]>::try_from(&*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    let v6 = <[u8; 16]>::try_from(&*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
    v4.or(v6).ok()
}

fn has_one_of(links: &[String], descriptors: &Path) -> bool {
    let open = fs::read_dir(descriptors).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| links.iter().any(|link| link == target)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found_in_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            let holder = port_holder(address).expect("our own sockets can be seen");
            assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{holder}");
            drop(listener);
            assert_eq!(port_holder(address), None);
        }
    }
}
