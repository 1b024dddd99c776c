//! The Unix socket: made under another name, and moved to its own when its mode is
//! right, so that there is no moment at which everybody may open it.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// Owner and group, nobody else.
const MODE: u32 = 0o660;

/// A socket that listens. Its file is gone with it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket of ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own there since.
    id: (u64, u64),
}

impl Socket {
    /// Listens there. A file that a process has left which is no more is replaced.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody listens there already, or the file is no socket.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        clear(path)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let making = path.with_file_name(name);
        // Of a process of the same number that died while making it.
        let _ = fs::remove_file(&making);
        let listener = UnixListener::bind(&making)?;
        let moved = fs::set_permissions(&making, fs::Permissions::from_mode(MODE))
            .and_then(|()| fs::rename(&making, path))
            .and_then(|()| fs::symlink_metadata(path));
        let id = match moved {
            Ok(file) => (file.dev(), file.ino()),
            Err(error) => {
                let _ = fs::remove_file(&making);
                return Err(error);
            }
        };
        listener.set_nonblocking(true)?;
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), id } })
    }
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|file| (file.dev(), file.ino()) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Sees to it that nobody listens there.
fn clear(path: &Path) -> io::Result<()> {
    let in_use = |why: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, why.to_owned()));
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.file_type().is_socket() {
        return in_use("there is a file that is no socket");
    }
    match UnixStream::connect(path) {
        Ok(_) => in_use("another process listens there"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // A full queue, say: somebody is there.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => in_use("somebody listens there"),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!(
            "lb-socket-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_socket_is_for_owner_and_group_and_goes_with_its_process() {
        let folder = folder();
        let path = folder.join("lb.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left there");
        drop(socket);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_a_file_that_nobody_listens_at_is_replaced() {
        let folder = folder();
        let path = folder.join("lb.sock");
        // Its file stays, as after a kill.
        drop(UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&path).unwrap();
        let second = Socket::bind(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists(), "the first one still listens");
        // Somebody takes it away and puts his own there: that is not ours to remove.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(socket);
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_dir_all(folder).unwrap();
    }
}
