//! What every handler holds.

use std::sync::Arc;

use lb_proxy::config::did_you_mean;
use tokio::sync::{RwLock, Semaphore};

use super::{
    access::Access, audit::Audit, problem::Problem, running::RunningConfig, streams::Streams,
};
use crate::control::{ClusterOverview, Desk, LogLevel, Overview, Refused};

/// Explanations and checks of files at a time: they compute for a while.
const JUDGING: usize = 2;

/// All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) desk: Desk,
    pub(super) config: RunningConfig,
    pub(super) access: Arc<Access>,
    pub(super) audit: Audit,
    pub(super) log: LogLevel,
    pub(super) streams: Streams,
    pub(super) judging: Arc<Semaphore>,
    /// Held alone between the look at an `If-Match` and the change it is for; by others
    /// together.
    pub(super) turns: Arc<RwLock<()>>,
}

impl Api {
    pub(super) fn new(
        desk: Desk,
        config: RunningConfig,
        access: Arc<Access>,
        audit: Audit,
        log: LogLevel,
    ) -> Self {
        Self {
            desk,
            config,
            access,
            audit,
            log,
            streams: Streams::default(),
            judging: Arc::new(Semaphore::new(JUDGING)),
            turns: Arc::default(),
        }
    }

    /// Does what takes a while, beside everything else.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.judging.acquire().await;
        tokio::task::spawn_blocking(what).await.map_err(|_| {
            let status = http::StatusCode::INTERNAL_SERVER_ERROR;
            Problem::new(status, "internal", "A bug").detail("the log says more")
        })
    }
}

/// The cluster of this name.
pub(super) fn cluster<'o>(
    overview: &'o Overview,
    name: &str,
) -> Result<&'o ClusterOverview, Problem> {
    overview.cluster(name).ok_or_else(|| {
        let near = did_you_mean(name, overview.clusters.iter().map(|one| one.name.as_str()));
        let near = near.map(str::to_owned);
        Refused::NoSuchCluster { name: name.to_owned(), near }.into()
    })
}
