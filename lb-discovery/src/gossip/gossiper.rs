//! What a node runs: a member that offers a backend.

use std::{io, net::SocketAddr, time::Duration};

use tokio::time::sleep;

use super::{
    body::MAX_RECORD,
    mesh::{Mesh, Settings},
    node::FAREWELL,
};
use crate::announce::{KeyId, Malformed, Record, State};

/// Offers one backend to the members of a gossip cluster.
///
/// To be used as an [`Announcer`](crate::announce::Announcer): who calls
/// [`beat`](Self::beat) now and then, and [`leave`](Self::leave) at the end, need not know
/// which of the two it has.
#[derive(Debug)]
pub struct Gossiper {
    mesh: Mesh,
    record: Record,
}

impl Gossiper {
    /// Will offer this record. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the record is too long.
    pub fn new(settings: Settings, record: Record) -> Result<Self, Malformed> {
        check(&record)?;
        Ok(Self { mesh: Mesh::new(settings), record })
    }

    /// What it says.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Says this from the next beat on.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the record is too long; it says what it said before.
    pub fn set_record(&mut self, record: Record) -> Result<(), Malformed> {
        check(&record)?;
        self.record = record;
        Ok(())
    }

    /// What the key is called that seals; `None`: there is none.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        self.mesh.settings().ring.key_id()
    }

    /// Where it listens, once it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.mesh.address()
    }

    /// How many others are members, once it is one.
    ///
    /// # Errors
    ///
    /// As of [`Self::beat`].
    pub fn members(&self) -> io::Result<usize> {
        Ok(self.mesh.open().map_err(plain)?.engine().node.members())
    }

    /// Joins, without offering anything yet: a node that is known when its program is
    /// ready has its first request sooner. Needs a tokio runtime, in which the member
    /// lives until this is dropped.
    ///
    /// # Errors
    ///
    /// If it cannot listen. The next call tries again.
    pub fn join(&self) -> io::Result<()> {
        self.mesh.open().map(|_| ()).map_err(plain)
    }

    /// Offers the record, in this state. To repeat it changes nothing, and tries again
    /// what could not be done.
    ///
    /// # Errors
    ///
    /// As of [`Self::join`].
    pub async fn beat(&mut self, state: State) -> io::Result<()> {
        self.say(state)
    }

    /// [`beat`](Self::beat), which waits for nothing.
    ///
    /// # Errors
    ///
    /// As of [`Self::join`].
    pub fn say(&self, state: State) -> io::Result<()> {
        let member = self.mesh.open().map_err(plain)?;
        let record = Record { state, ..self.record.clone() };
        member.engine().node.offer(Some(record.to_string().into()));
        member.poke();
        Ok(())
    }

    /// Says goodbye to everybody, three times, and is a member no longer.
    ///
    /// # Errors
    ///
    /// As of [`Self::join`].
    pub async fn leave(&mut self) -> io::Result<()> {
        let member = self.mesh.open().map_err(plain)?;
        let last = Record { state: State::Down, ..self.record.clone() };
        let now = member.now().tick;
        member.engine().node.leave(Some(last.to_string().into()), now);
        member.poke();
        sleep(FAREWELL + Duration::from_millis(10)).await;
        Ok(())
    }

    /// How long to wait before the next beat.
    #[must_use]
    pub fn pause(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn check(record: &Record) -> Result<(), Malformed> {
    // In its longest form.
    let longest = Record { state: State::Draining, ..record.clone() };
    match longest.to_string().len() {
        0..=MAX_RECORD => Ok(()),
        _ => Err(Malformed("it is longer than 1100 bytes")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` wants it")]
fn plain(error: crate::source::SourceError) -> io::Error {
    io::Error::other(error.explained())
}
