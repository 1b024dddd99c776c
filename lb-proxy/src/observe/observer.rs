//! Whoever wants to see what goes on holds one of these.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Board, ClientsSeen, Counted, KeptRequest, Reading, Window};
use crate::runtime::clock;

/// What a proxy has counted and kept, read without disturbing its workers. All clones see
/// the same.
#[derive(Debug, Clone)]
pub struct Observer(Arc<Board>);

impl Observer {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self(board)
    }

    /// What happened since the last call, of each cluster and backend of which something
    /// did. There should be one who calls this: what he got, nobody else gets.
    #[must_use]
    pub fn read(&self) -> BTreeMap<Counted, Reading> {
        self.0.meters.read()
    }

    /// The last requests, newest first: errors, up to 500 a second of each worker, and
    /// some of the others.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<KeptRequest>> {
        self.0.recent.read()
    }

    /// How many different clients backends of a cluster that binds clients have seen in the
    /// time that they are [remembered](crate::StickySettings::remembered): estimates, to
    /// within 5 % in two of three cases, of clients that came since the start.
    #[must_use]
    pub fn seen(&self, cluster: &str, remembered: Duration) -> ClientsSeen {
        let window = Window::of_secs(remembered.as_secs());
        self.0.meters.seen(cluster, window, clock::since_epoch().as_secs())
    }
}
