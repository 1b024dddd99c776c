//! The source: nodes that tell each other who is there.

use std::sync::Arc;

use lb_core::Membership;

use super::{
    mesh::{Mesh, Meshes, Reader, Settings, Shared},
    view::{Policy, Said, View},
};
use crate::{
    announce::Refusals,
    source::{NextSet, Source, SourceError},
    supervise::sleep_until_or_never,
};

/// The backends that members of a gossip cluster offer to one cluster.
///
/// Who comes or leaves is reported within 50 ms of the datagram that says so; who is
/// dead, within two seconds unless `profile` says otherwise.
///
/// ```
/// use std::time::Duration;
/// use lb_discovery::{
///     Source,
///     announce::{Grant, Key},
///     gossip::{Gossiped, Meshes, Policy, Profile, Ring, Settings},
/// };
///
/// let settings = Settings {
///     bind: "0.0.0.0:7946".parse().unwrap(),
///     advertise: None,
///     join: vec!["10.0.0.2:7946".into()],
///     ring: Ring::new([Key::new([7; 32])]),
///     insecure: false,
///     profile: Profile::Fast,
///     max_skew: Duration::from_secs(30),
/// };
/// let policy = Policy { cluster: "dynamic".into(), grant: Grant::default() };
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let source = Gossiped::new(&Meshes::default(), settings, policy);
/// assert_eq!(source.name(), "gossip udp 0.0.0.0:7946");
/// # });
/// ```
#[derive(Debug)]
pub struct Gossiped {
    name: String,
    mesh: Arc<Mesh>,
    reader: Arc<Reader>,
    is_reading: bool,
}

impl Gossiped {
    /// Is a member there with the first call of `next`. Sources at the same address share
    /// a member.
    #[must_use]
    pub fn new(meshes: &Meshes, settings: Settings, policy: Policy) -> Self {
        let name = format!("gossip udp {}", settings.bind);
        let mesh = meshes.at(settings);
        let reader = Arc::new(Reader::new(View::new(policy, mesh.now())));
        Self { name, mesh, reader, is_reading: false }
    }

    /// Where it listens, once it does.
    #[must_use]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.mesh.address()
    }

    /// Is a member from now on. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if that cannot be. The next call tries again.
    pub fn open(&mut self) -> Result<(), SourceError> {
        self.member().map(|_| ())
    }

    fn member(&mut self) -> Result<Arc<Shared>, SourceError> {
        let member = self.mesh.open()?;
        if !self.is_reading {
            self.is_reading = true;
            member.engine().add(Arc::downgrade(&self.reader), member.now().tick);
        }
        Ok(member)
    }

    async fn answer(&mut self) -> Result<Said, SourceError> {
        let member = self.member()?;
        loop {
            let now = member.now().tick;
            let wakes_at = match member.engine().answer(&self.reader, now) {
                Ok(said) => return Ok(said),
                Err(wakes_at) => wakes_at.map(|at| member.instant(at)),
            };
            tokio::select! {
                () = self.reader.told.notified() => {}
                () = sleep_until_or_never(wakes_at) => {}
            }
        }
    }
}

impl Source for Gossiped {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> NextSet<'_> {
        Box::pin(async {
            match self.answer().await {
                Ok(Said::Report(report)) => Ok(report),
                Ok(Said::Deaf(count)) => {
                    let text = format!("none of {count} nodes is heard any more");
                    Err(SourceError::new(text))
                }
                Err(error) => {
                    self.reader.view().repeat(self.mesh.now());
                    Err(error)
                }
            }
        })
    }

    fn resume(&mut self, set: &Membership) {
        self.reader.view().presume(set, self.mesh.now());
    }

    fn refusals(&self) -> Option<Arc<Refusals>> {
        Some(Arc::clone(&self.mesh.refusals))
    }
}
