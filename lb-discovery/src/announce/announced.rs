//! The source: nodes that announce themselves.

use std::{io, net::SocketAddr, sync::Arc};

use lb_core::Membership;
use tokio::{net::UdpSocket, task::yield_now};

use super::{
    group::Group,
    inbox::{Inbox, Inboxes, Reader},
    receiver::{Answer, Policy, Receiver},
    refusal::Refusals,
};
use crate::{
    source::{NextSet, Source, SourceError},
    supervise::sleep_until_or_never,
};

/// The nodes that announce themselves to a cluster at one UDP address.
///
/// The socket is opened with the first call of `next`. Who comes, leaves or says
/// another thing of itself is reported within 10 ms, or 50 ms when many do; who is
/// silent, when its time is over.
///
/// ```
/// use std::time::Duration;
/// use lb_discovery::{
///     Source,
///     announce::{Announced, Grant, Inboxes, Key, Policy},
/// };
///
/// let policy = Policy {
///     cluster: "static".into(),
///     keys: vec![(Key::new([7; 32]), Grant::default())],
///     max_skew: Duration::from_secs(30),
/// };
/// let bind = "0.0.0.0:7950".parse().unwrap();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let source = Announced::new(&Inboxes::default(), bind, Vec::new(), policy);
/// assert_eq!(source.name(), "announce udp 0.0.0.0:7950");
/// # });
/// ```
#[derive(Debug)]
pub struct Announced {
    name: String,
    inbox: Arc<Inbox>,
    groups: Vec<Group>,
    reader: Arc<Reader>,
}

impl Announced {
    /// Listens there, and to these groups. Sources at the same address share a socket;
    /// one that replaces another of its cluster goes on from what that one knows.
    ///
    /// Needs a tokio runtime with time, and with I/O when it is asked.
    #[must_use]
    pub fn new(inboxes: &Inboxes, bind: SocketAddr, groups: Vec<Group>, policy: Policy) -> Self {
        let inbox = inboxes.at(bind);
        let reader = inbox.register(Receiver::new(policy, inbox.now().tick));
        Self { name: format!("announce udp {bind}"), inbox, groups, reader }
    }

    /// Where it listens, once it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.inbox.address()
    }

    /// Opens the socket now.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if that cannot be. The next call tries again.
    pub fn open(&self) -> Result<(), SourceError> {
        self.inbox.socket(&self.groups).map(|_| ())
    }

    /// Reads all that has arrived, unless ever more does. Whoever has spoken while nobody
    /// listened must be heard before anybody is gone.
    async fn read(&self, socket: &UdpSocket) -> Result<(), SourceError> {
        for _ in 0..ROUNDS {
            let is_all = self.inbox.read(socket).map_err(unreadable)?;
            if is_all {
                break;
            }
            yield_now().await;
        }
        Ok(())
    }

    async fn answer(&self) -> Result<Answer, SourceError> {
        let socket = self.inbox.socket(&self.groups)?;
        loop {
            self.read(&socket).await?;
            let wakes_at = {
                let mut receiver = self.reader.receiver();
                if let Some(answer) = receiver.answer(self.inbox.now()) {
                    return Ok(answer);
                }
                receiver.wakes_at()
            };
            let wakes_at = wakes_at.map(|at| self.inbox.instant(at));
            tokio::select! {
                readable = socket.readable() => readable.map_err(unreadable)?,
                () = self.reader.told.notified() => {}
                () = sleep_until_or_never(wakes_at) => {}
            }
        }
    }
}

fn unreadable(error: io::Error) -> SourceError {
    SourceError::new("cannot read announcements").because(error)
}

/// More than the system keeps for a socket.
const ROUNDS: usize = 64;

impl Source for Announced {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> NextSet<'_> {
        Box::pin(async {
            match self.answer().await {
                Ok(Answer::Report(report)) => Ok(report),
                Ok(Answer::Deaf(count)) => {
                    let text = format!("none of {count} nodes is heard any more");
                    Err(SourceError::new(text))
                }
                Err(error) => {
                    self.reader.receiver().repeat(self.inbox.now().tick);
                    Err(error)
                }
            }
        })
    }

    fn resume(&mut self, set: &Membership) {
        self.reader.receiver().presume(set, self.inbox.now().tick);
    }

    fn refusals(&self) -> Option<Arc<Refusals>> {
        Some(self.reader.receiver().refusals())
    }
}
