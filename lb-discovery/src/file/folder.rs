//! A folder with one file per node: what is known of each file.
//!
//! Pure: contents to a report. A file with junk keeps the node as it was last
//! readable, because whoever writes a file in place leaves it empty or cut off for
//! a moment; only a file that is gone says that its node is. The price is that a
//! node whose file was spoiled for good stays, which the warning says.
//!
//! Of two files that want the same name or address, the one whose node is in the set
//! already has it: a file that somebody adds displaces nobody who serves.

use std::{collections::BTreeMap, io, sync::Arc};

use lb_core::{Backend, Membership};

use super::{junk::Junk, node::read_node, syntax::Syntax};
use crate::{
    distinct::Distinct,
    source::{Report, Warning},
};

/// The nodes of a folder, by file name.
#[derive(Debug, Default)]
pub(super) struct Folder {
    nodes: BTreeMap<String, Backend>,
    /// Those it had when somebody else read it, until it is read for the first time.
    inherited: BTreeMap<Arc<str>, Arc<Backend>>,
    /// What it said last.
    set: Membership,
}

impl Folder {
    /// A folder that had these nodes when it was read last.
    pub(super) fn resuming(set: Membership) -> Self {
        let named = |node: &Arc<Backend>| (Arc::clone(node.shared_name()), Arc::clone(node));
        Self { nodes: BTreeMap::new(), inherited: set.iter().map(named).collect(), set }
    }

    /// Takes the names and contents of all files there are now. The backends are
    /// in the order of their names. O(n log n).
    pub(super) fn update(
        &mut self,
        files: impl IntoIterator<Item = (String, io::Result<Vec<u8>>)>,
    ) -> Report {
        let mut before = std::mem::take(&mut self.nodes);
        let inherited = std::mem::take(&mut self.inherited);
        let mut warnings = Vec::new();
        for (file, content) in files {
            let node = content
                .map_err(|error| Junk(format!("it cannot be read: {error}")))
                .and_then(|content| read_node(&file, &content));
            let last = before.remove(&file).or_else(|| {
                let (_, name) = Syntax::of_file_name(&file);
                inherited.get(name).map(|node| (**node).clone())
            });
            match (node, last) {
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
        let known: BTreeMap<_, _> = self.set.iter().map(|it| (it.name(), it.address())).collect();
        let is_new = |node: &Backend| known.get(node.name()) != Some(&node.address());
        let mut by_age: Vec<_> = self.nodes.iter().collect();
        by_age.sort_by_key(|(_, node)| (is_new(node), node.name()));
        let mut backends = Distinct::default();
        for (file, node) in by_age {
            if let Err(taken) = backends.add(node.clone()) {
                let text = taken.explain(&backends);
                warnings.push(Warning::about(file.as_str(), text));
            }
        }
        self.set = backends.into_membership_by_name();
        warnings.sort_by(|a, b| a.entry.cmp(&b.entry));
        Report { set: self.set.clone(), warnings: Warning::at_most(warnings) }
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
