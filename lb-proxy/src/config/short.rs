//! The short form: `to = ["…", "…"]` at top level is a cluster called `default`
//! with a route for every path.

use std::ops::Range;

use super::{
    backend::read_backends,
    cluster::{Cluster, ClusterContext, DEFAULT_CLUSTER},
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    reader::{Table, Text},
    route::RawRoute,
};

/// What `to` at top level says.
#[derive(Debug)]
pub(super) struct Short {
    cluster: Cluster,
    key: Range<usize>,
}

/// Reads `to` at top level.
pub(super) fn read_short(file: &mut Table<'_>, cx: &ClusterContext<'_>) -> Option<Short> {
    let to = file.take("to")?;
    let key = to.key_span();
    let backends = read_backends(to, DEFAULT_CLUSTER, cx.fails, cx);
    let cluster = Cluster { name: DEFAULT_CLUSTER.into(), backends, ..cx.defaults.clone() };
    Some(Short { cluster, key })
}

impl Short {
    /// Adds the cluster and its route to those of the long form.
    pub(super) fn join(
        self,
        clusters: &mut Vec<Cluster>,
        routes: &mut Vec<RawRoute<'_>>,
        names: &[Text<'_>],
        out: &Diagnostics,
    ) {
        if let Some(name) = names.iter().find(|name| name.as_str() == DEFAULT_CLUSTER) {
            out.push(
                Diagnostic::error("two clusters are called `default`")
                    .at(name.span(), "the second one")
                    .related(self.key, "`to` makes the first one")
                    .key(name.path())
                    .help("rename the second one, or list all backends in `[cluster.default]`"),
            );
            return;
        }
        clusters.insert(0, self.cluster);
        routes.insert(0, RawRoute::short(self.key));
    }
}
