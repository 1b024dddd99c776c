//! A folder with one file per node: what is known of each file.
//!
//! Pure: contents to a report. A file with junk keeps the node as it was last
//! readable, because whoever writes a file in place leaves it empty or cut off for
//! a moment; only a file that is gone says that its node is. The price is that a
//! node whose file was spoiled for good stays, which the warning says.

use std::{collections::BTreeMap, io};

use lb_core::Backend;

use super::{junk::Junk, node::read_node};
use crate::{
    distinct::Distinct,
    source::{Report, Warning},
};

/// The nodes of a folder, by file name.
#[derive(Debug, Default)]
pub(super) struct Folder {
    nodes: BTreeMap<String, Backend>,
}

impl Folder {
    /// Takes the names and contents of all files there are now. The backends are
    /// in the order of their names. O(n log n).
    pub(super) fn update(
        &mut self,
        files: impl IntoIterator<Item = (String, io::Result<Vec<u8>>)>,
    ) -> Report {
        let mut before = std::mem::take(&mut self.nodes);
        let mut warnings = Vec::new();
        for (file, content) in files {
            let node = content
                .map_err(|error| Junk(format!("it cannot be read: {error}")))
                .and_then(|content| read_node(&file, &content));
            match (node, before.remove(&file)) {
                (Ok(node), _) => {
                    self.nodes.insert(file, node);
                }
                (Err(junk), Some(last)) => {
                    let text = format!("{junk}; {} is kept as it was", last.address());
                    warnings.push(Warning::about(file.as_str(), text));
                    self.nodes.insert(file, last);
                }
                (Err(junk), None) => warnings.push(Warning::about(file, junk.to_string())),
            }
        }
        let mut by_name: Vec<_> = self.nodes.iter().collect();
        by_name.sort_by_key(|(_, node)| node.name());
        let mut backends = Distinct::default();
        for (file, node) in by_name {
            if let Err(taken) = backends.add(node.clone()) {
                let text = taken.explain(&backends);
                warnings.push(Warning::about(file.as_str(), text));
            }
        }
        warnings.sort_by(|a, b| a.entry.cmp(&b.entry));
        Report { set: backends.into_membership(), warnings: Warning::at_most(warnings) }
    }
}

/// Whether a file in the folder is a node: not what editors and scripts put beside
/// a file while they write it, and not what Kubernetes calls `..data`.
pub(super) fn is_node_file(name: &str) -> bool {
    let is_temporary = name.starts_with('.')
        || name.ends_with('~')
        || [".tmp", ".swp", ".swx", ".part"].iter().any(|end| name.ends_with(end))
        || (name.starts_with('#') && name.ends_with('#'));
    !is_temporary
}
