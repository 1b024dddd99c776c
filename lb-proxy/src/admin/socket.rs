//! The Unix socket: made in a folder that nobody else may enter, and moved to its place
//! when its mode is right, so that there is no moment at which others may open it. The mask
//! of the process would do that too, but it is that of all threads.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use super::rules::random_text;

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
        let folder = PrivateFolder::beside(path)?;
        let making = folder.0.join("s");
        let listener = UnixListener::bind(&making)?;
        fs::set_permissions(&making, fs::Permissions::from_mode(MODE))?;
        fs::rename(&making, path)?;
        let file = fs::symlink_metadata(path)?;
        let id = (file.dev(), file.ino());
        listener.set_nonblocking(true)?;
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), id } })
    }
}

/// A folder for us alone. Gone with all that is left in it.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// On the same file system. Its name is random, so that nobody has made it before; and
    /// short, as a socket's path has to be.
    fn beside(path: &Path) -> io::Result<Self> {
        let name = random_text()?;
        let folder = path.with_file_name(format!(".{}", &name[..8]));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
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
    fn until_its_mode_is_right_nobody_else_gets_to_it() {
        let folder = folder();
        let private = PrivateFolder::beside(&folder.join("lb.sock")).unwrap();
        let mode = fs::metadata(&private.0).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode, private.0.parent()), (0o700, Some(&*folder)));
        fs::write(private.0.join("s"), "left").unwrap();
        drop(private);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
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
