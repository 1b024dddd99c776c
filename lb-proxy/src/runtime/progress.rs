//! How far the workers have come with what they were given.

use tokio::sync::watch;

/// Which of the services that a proxy was given is in force; counts from 1.
pub(super) type Version = u64;

/// What counts as taken up by a worker that has ended: nobody waits for it.
const ENDED: Version = Version::MAX;

/// The version that each worker has taken up. All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Progress(watch::Sender<Box<[Version]>>);

impl Progress {
    pub(super) fn new(workers: usize) -> Self {
        Self(watch::Sender::new(vec![0; workers].into()))
    }

    pub(super) fn reached(&self, worker: usize, version: Version) {
        self.0.send_modify(|versions| versions[worker] = version);
    }

    pub(super) fn ended(&self, worker: usize) {
        self.reached(worker, ENDED);
    }

    /// Whether every worker uses this version or a later one, or has ended.
    pub(super) fn have_all(&self, version: Version) -> bool {
        all_have(&self.0.borrow(), version)
    }

    /// Resolves when [`have_all`](Self::have_all) is true. Cancel-safe.
    pub(super) fn wait_for_all(&self, version: Version) -> impl Future<Output = ()> + Send + use<> {
        let mut versions = self.0.subscribe();
        async move {
            // An error means that all senders are gone, and with them all workers.
            let _ = versions.wait_for(|versions| all_have(versions, version)).await;
        }
    }

    /// Resolves when all workers have ended. Cancel-safe.
    pub(super) async fn wait_for_end(&self) {
        self.wait_for_all(ENDED).await;
    }
}

fn all_have(versions: &[Version], version: Version) -> bool {
    versions.iter().all(|has| *has >= version)
}
