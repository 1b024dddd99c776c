//! `discover`: who tells a cluster of backends beside those in the file.

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{
    diagnostics::Diagnostics,
    networks::read_networks,
    reader::{Table, Value},
};

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
    /// A file, or a folder with one file per node. Relative to the folder `lb` runs in.
    File(PathBuf),
    /// A variable with addresses.
    Env {
        /// Its name.
        variable: Box<str>,
        /// The port of addresses that have none.
        port: Option<u16>,
    },
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
pub(super) fn read_discover(value: Value<'_>, out: &Diagnostics) -> Vec<Discover> {
    let tables = value.one_or_more().into_iter().filter_map(Value::into_table);
    tables.filter_map(|table| read_source(table, out)).collect()
}

fn read_source(mut table: Table<'_>, out: &Diagnostics) -> Option<Discover> {
    let (file, variable) = (table.take("file"), table.take("env"));
    let port = table.take("port");
    let allow = table.take_table("allow").map(read_allow).unwrap_or_default();
    let (whole, path) = (table.span(), table.path().to_owned());
    let is_complete = !table.has_unknown_keys();
    table.finish();
    let from = match (file, variable) {
        (Some(file), None) => {
            if let Some(port) = port {
                out.push(port.error("goes with `env`", "files say their ports themselves"));
            }
            let text = file.text()?;
            let folder = Path::new(out.position(text.span().start).file).parent();
            DiscoverFrom::File(folder.unwrap_or_else(|| Path::new("")).join(text.as_str()))
        }
        (None, Some(variable)) => DiscoverFrom::Env {
            variable: variable.text()?.as_str().into(),
            port: port.and_then(|port| u16::try_from(port.integer()?).ok()),
        },
        // A source of another kind was reported as an unknown key.
        (None, None) if !is_complete => return None,
        (one, _) => {
            let label = if one.is_some() { "it names two" } else { "it names none" };
            out.push(
                super::Diagnostic::error(format!("`{path}` must name one source"))
                    .at(whole, label)
                    .key(path)
                    .help("write `{ file = \"nodes/\" }` or `{ env = \"BACKENDS\" }`, in a list for several"),
            );
            return None;
        }
    };
    Some(Discover { from, allow })
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
