//! The socket that an app is given in `NOTIFY_SOCKET`, as by systemd.
//!
//! In a folder that only this user can enter: whoever reaches it is believed.

use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process,
};

use anyhow::Context as _;
use tokio::net::UnixDatagram;

use super::supervisor::Event;

/// Gone when dropped.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    folder: PathBuf,
    path: PathBuf,
}

impl NotifySocket {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// If there is no place for it.
    pub(super) fn open() -> anyhow::Result<Self> {
        let folder = folder()?;
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path);
        let socket = socket.with_context(|| format!("cannot open `{}`", path.display()))?;
        Ok(Self { socket, folder, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the app says next, of what concerns us.
    pub(super) async fn next(&self) -> Vec<Event> {
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes).await {
            Ok(length) => events(&bytes[..length]),
            Err(_) => Vec::new(),
        }
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // What stays behind is empty and only ours.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn events(said: &[u8]) -> Vec<Event> {
    let event = |line: &[u8]| match line {
        b"READY=1" => Some(Event::Ready),
        b"STOPPING=1" => Some(Event::Leaving),
        b"WATCHDOG=1" => Some(Event::Alive),
        _ => None,
    };
    said.split(|byte| *byte == b'\n').filter_map(event).collect()
}

fn folder() -> anyhow::Result<PathBuf> {
    let place = env::temp_dir();
    for number in 0..TRIES {
        let folder = place.join(format!("lb-agent-{}-{number}", process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let text = format!("cannot make `{}`; TMPDIR names the place", folder.display());
                return Err(error).context(text);
            }
        }
    }
    anyhow::bail!("`{}` is full of folders of other agents", place.display())
}

const TRIES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_several_lines_of_which_some_concern_us() {
        let said = b"READY=1\nSTATUS=fine\nMAINPID=7\nWATCHDOG=1\n";
        assert_eq!(events(said), [Event::Ready, Event::Alive]);
        assert_eq!(events(b"STOPPING=1"), [Event::Leaving]);
        assert_eq!(events(b"READY=10\nxSTOPPING=1"), []);
    }
}
