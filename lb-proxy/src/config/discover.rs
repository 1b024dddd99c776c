//! `discover`: who tells a cluster of backends beside those in the file.

use std::{net::Ipv6Addr, path::PathBuf};

use ipnet::IpNet;

use super::{
    announce::{Announce, Parts},
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    gossip::{self, Gossip},
    loader::{Loader, NotText},
    networks::read_networks,
    reader::{Table, Text, Value},
};
use crate::Address;

/// One source of backends.
#[derive(Debug, Clone, PartialEq)]
pub struct Discover {
    /// Who tells.
    pub from: DiscoverFrom,
    /// Which of its backends are taken.
    pub allow: Allow,
}

/// Who tells of backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoverFrom {
    /// A file, or a folder with one file per node.
    File(PathBuf),
    /// A variable with addresses.
    Env {
        /// Its name.
        variable: Box<str>,
        /// The port of addresses that have none.
        port: Option<u16>,
    },
    /// Nodes themselves.
    Announce(Announce),
    /// Nodes, to each other.
    Gossip(Gossip),
}

/// Which backends a source may tell of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    /// Where they must be; anywhere if there are none.
    pub networks: Vec<IpNet>,
    /// How many are taken.
    pub max_backends: Option<usize>,
    /// The largest weight a backend may ask for.
    pub max_weight: Option<u32>,
}

/// Reads one source or a list of them.
pub(super) fn read_discover(
    value: Value<'_>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Vec<Discover> {
    let tables = value.one_or_more().into_iter().filter_map(Value::into_table);
    tables.filter_map(|table| read_source(table, loader, out)).collect()
}

fn read_source(mut table: Table<'_>, loader: &dyn Loader, out: &Diagnostics) -> Option<Discover> {
    let (file, variable) = (table.take("file"), table.take("env"));
    let (announce, parts) = (table.take("announce"), Parts::take(&mut table));
    let (gossip, gossip_parts) = (table.take("gossip"), gossip::Parts::take(&mut table));
    let port = table.take("port");
    let allow = table.take_table("allow").map(read_allow).unwrap_or_default();
    let (whole, path) = (table.span(), table.path().to_owned());
    let is_complete = !table.has_unknown_keys();
    table.finish();
    if let (Some(port), None) = (&port, &variable) {
        port.wrong("goes with `env`", "files and nodes say their ports themselves");
    }
    let parts = match (&announce, &gossip) {
        (None, None) => {
            parts.refuse();
            None
        }
        _ => Some(parts),
    };
    let gossip_parts = match gossip {
        Some(_) => Some(gossip_parts),
        None => {
            gossip_parts.refuse();
            None
        }
    };
    let from = match (file, variable, announce, gossip.zip(gossip_parts), parts) {
        (Some(file), None, None, None, _) => {
            let text = file.text()?;
            let path = out.beside(&text.span(), text.as_str());
            if let Err(error) = loader.find(&path) {
                let message = format!("there is no `{}`", path.display());
                out.push(
                    Diagnostic::warning(message)
                        .at(text.span(), error.to_string())
                        .key(text.path())
                        .help("it tells of nobody until it is there"),
                );
            }
            DiscoverFrom::File(path)
        }
        (None, Some(variable), None, None, _) => {
            let variable = variable.text()?;
            let port = port.and_then(|port| u16::try_from(port.integer()?).ok());
            warn_of_variable(&variable, port, loader);
            DiscoverFrom::Env { variable: variable.as_str().into(), port }
        }
        (None, None, Some(place), None, Some(parts)) => {
            DiscoverFrom::Announce(parts.read(&place, loader, out)?)
        }
        (None, None, None, Some((place, own)), Some(parts)) => {
            DiscoverFrom::Gossip(own.read(&place, parts, loader, out)?)
        }
        // A source of another kind was reported as an unknown key.
        (None, None, None, None, _) if !is_complete => return None,
        (one, two, three, four, _) => {
            let is_none = one.is_none() && two.is_none() && three.is_none() && four.is_none();
            let label = if is_none { "it names none" } else { "it names several" };
            out.push(
                Diagnostic::error(format!("`{path}` must name one source"))
                    .at(whole, label)
                    .key(path)
                    .help("write `{ file = \"nodes/\" }`, `{ env = \"BACKENDS\" }`, `{ announce = \"0.0.0.0:7950\", key = … }` or `{ gossip = \"0.0.0.0:7946\", key = … }`, in a list for several"),
            );
            return None;
        }
    };
    Some(Discover { from, allow })
}

/// The variable is read when the balancer starts; what is wrong with it then is known
/// now.
fn warn_of_variable(text: &Text<'_>, port: Option<u16>, loader: &dyn Loader) {
    let name = text.as_str();
    let warn = |message: String, label: &str| {
        text.report(Diagnostic::warning(message).at(text.span(), label).key(text.path()));
    };
    let value = match loader.variable(name) {
        Ok(Some(value)) => value,
        Ok(None) => return warn(format!("the variable `{name}` is not set"), "tells of nobody"),
        Err(NotText) => {
            return warn(format!("the variable `{name}` is not text in UTF-8"), "tells of nobody");
        }
    };
    let is_separator = |c: char| c.is_whitespace() || c == ',';
    for part in value.split(is_separator).filter(|part| !part.is_empty()) {
        let with_port = port.map(|port| match part.parse::<Ipv6Addr>() {
            Ok(bare) => format!("[{bare}]:{port}"),
            Err(_) => format!("{part}:{port}"),
        });
        let given = part.parse::<Address>();
        let is_address =
            given.is_ok() || with_port.is_some_and(|text| text.parse::<Address>().is_ok());
        if let (false, Err(error)) = (is_address, given) {
            let message = format!("`{part}` in `{name}` is not the address of a backend");
            warn(message, &format!("left out: {error}"));
        }
    }
}

fn read_allow(mut table: Table<'_>) -> Allow {
    let allow = Allow {
        networks: table.take("networks").map(read_networks).unwrap_or_default(),
        max_backends: table.take_integer("max_backends"),
        max_weight: table.take_integer("max_weight"),
    };
    table.finish();
    allow
}
