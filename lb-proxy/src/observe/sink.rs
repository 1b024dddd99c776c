//! Where lines end up, and how a writer comes through what can happen there.
//!
//! A regular file takes what it is given. A pipe or a terminal may take nothing for
//! ever, so it is asked first, and given no more than a pipe takes at once
//! (`PIPE_BUF`) and whole lines: they stay whole beside what others write, and the
//! writer can see in between that it should give up.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};

use super::settings::LogTarget;

/// What a pipe takes without being split, at least.
const PIPE_BUF: usize = 4096;

/// How often a writer that waits looks up.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// Writing never waits for somebody to read.
    is_patient: bool,
    /// The last byte written was not the end of a line.
    torn: bool,
}

/// How writing ended early.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Nobody reads, and nobody will.
    Closed,
    /// The writer was told to give up.
    GivenUp,
    Failed(io::Error),
}

impl Sink {
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Stdout => Self::new(io::stdout().as_fd().try_clone_to_owned()?.into()),
            LogTarget::Stderr => Self::new(io::stderr().as_fd().try_clone_to_owned()?.into()),
            LogTarget::File(path) => Self::append(path),
        }
    }

    pub(super) fn append(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // Opening a named pipe must not wait for its reader.
        options.append(true).create(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        Self::new(options.open(path)?)
    }

    pub(super) fn new(file: File) -> io::Result<Self> {
        let kind = file.metadata()?.file_type();
        let is_patient = !(kind.is_fifo() || kind.is_socket() || kind.is_char_device());
        Ok(Self { file, is_patient, torn: false })
    }

    /// Writes all of `bytes`, which are whole lines. `waiting` is called from time to
    /// time while nobody reads; once it is false, nothing more is written.
    ///
    /// An error comes with what was not written.
    pub(super) fn write<'b>(
        &mut self,
        bytes: &'b [u8],
        mut waiting: impl FnMut() -> bool,
    ) -> Result<(), (WriteError, &'b [u8])> {
        // Half a line was written before something failed: the next begins anew.
        if self.torn {
            self.write_all(b"\n", &mut waiting).map_err(|(error, _)| (error, bytes))?;
        }
        self.write_all(bytes, &mut waiting)
    }

    fn write_all<'b>(
        &mut self,
        bytes: &'b [u8],
        waiting: &mut impl FnMut() -> bool,
    ) -> Result<(), (WriteError, &'b [u8])> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if !self.is_patient {
                match self.is_writable() {
                    Ok(true) => {}
                    Ok(false) if waiting() => continue,
                    Ok(false) => return Err((WriteError::GivenUp, rest)),
                    Err(error) => return Err((WriteError::Failed(error), rest)),
                }
            }
            let part = if self.is_patient { rest } else { first_lines(rest) };
            match self.file.write(part) {
                Ok(0) => return Err((WriteError::Failed(io::ErrorKind::WriteZero.into()), rest)),
                Ok(length) => {
                    self.torn = rest[length - 1] != b'\n';
                    rest = &rest[length..];
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                    io::ErrorKind::BrokenPipe => return Err((WriteError::Closed, rest)),
                    _ => return Err((WriteError::Failed(error), rest)),
                },
            }
        }
        Ok(())
    }

    /// Waits a moment. An error of the other side counts as writable: writing tells
    /// which.
    fn is_writable(&self) -> io::Result<bool> {
        let mut files = [PollFd::new(&self.file, PollFlags::OUT)];
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        match poll(&mut files, Some(&patience)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// As many whole lines as a pipe takes at once; of a longer line, its beginning.
fn first_lines(bytes: &[u8]) -> &[u8] {
    let head = &bytes[..bytes.len().min(PIPE_BUF)];
    let end = head.iter().rposition(|byte| *byte == b'\n');
    end.map_or(head, |end| &head[..=end])
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_pipe_gets_whole_lines() {
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        assert_eq!(first_lines(&line.repeat(100)).len(), 4000);
        assert_eq!(first_lines(&line).len(), 100);
        assert_eq!(first_lines(&b"y".repeat(5000)).len(), PIPE_BUF);
    }

    #[test]
    fn a_pipe_that_nobody_will_read_is_closed() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut sink = Sink::new(File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
        let (error, rest) = sink.write(b"a\n", || true).unwrap_err();
        assert!(matches!(error, WriteError::Closed), "{error:?}");
        assert_eq!(rest, b"a\n");
    }

    #[test]
    fn a_line_after_half_a_line_begins_anew() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let mut sink = Sink::new(File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
        sink.write(b"half", || true).unwrap();
        sink.write(b"whole\n", || true).unwrap();
        drop(sink);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "half\nwhole\n");
    }
}
