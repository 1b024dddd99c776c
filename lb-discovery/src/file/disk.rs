//! What is on the disk: looked at cheaply, and read.
//!
//! Looking takes one `stat` per file and is done again and again; reading is done
//! when a look differs from the one before, or when something is said to have
//! happened.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    folder::{Folder, is_node_file},
    list::read_list,
    syntax::Syntax,
};
use crate::source::{Report, SourceError, Warning};

/// How large a file may be: a node is one line, a list may be long.
const LARGEST_NODE: u64 = 64 << 10;
const LARGEST_LIST: u64 = 16 << 20;
const MOST_FILES: usize = 100_000;

/// What a path showed at a glance. Two looks that are equal found the same files,
/// unwritten since.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    Folder(Vec<(OsString, Stamp)>),
    File(Stamp),
}

impl Look {
    pub(super) fn files(&self) -> usize {
        match self {
            Self::Folder(files) => files.len(),
            Self::File(_) => 1,
        }
    }
}

/// What changes when a file is written or replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Looks at a file, or at all files in a folder.
pub(super) fn look(path: &Path) -> Result<Look, SourceError> {
    let found = fs::metadata(path).map_err(|error| cannot_read(path, error))?;
    if !found.is_dir() {
        return Ok(Look::File(Stamp::of(&found)));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| cannot_read(path, error))? {
        let name = entry.map_err(|error| cannot_read(path, error))?.file_name();
        if name.to_str().is_some_and(|name| !is_node_file(name)) {
            continue;
        }
        // Through symbolic links, which is what Kubernetes mounts. What is gone
        // again, and a link to nothing, is not there.
        let Ok(found) = fs::metadata(path.join(&name)) else { continue };
        if found.is_dir() {
            continue;
        }
        if files.len() == MOST_FILES {
            let text = format!("{} holds more than {MOST_FILES} files", path.display());
            return Err(SourceError::new(text));
        }
        files.push((name, Stamp::of(&found)));
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Look::Folder(files))
}

/// Reads what was seen. `folder` remembers what its files said before.
pub(super) fn read(path: &Path, look: &Look, folder: &mut Folder) -> Result<Report, SourceError> {
    match look {
        Look::File(_) => read_single(path),
        Look::Folder(files) => Ok(read_folder(path, files, folder)),
    }
}

fn read_single(path: &Path) -> Result<Report, SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let content = read_file(path, LARGEST_LIST).map_err(|error| cannot_read(path, error))?;
    let set = read_list(Syntax::of_file_name(&name).0, &content)
        .map_err(|junk| SourceError::new(format!("{} has junk", path.display())).because(junk))?;
    Ok(set.into())
}

fn read_folder(path: &Path, files: &[(OsString, Stamp)], folder: &mut Folder) -> Report {
    let mut unnamed = Vec::new();
    let contents = files.iter().filter_map(|(name, _)| {
        let Some(text) = name.to_str() else {
            unnamed.push(Warning::about(name.to_string_lossy(), "its name is not UTF-8"));
            return None;
        };
        match read_file(&path.join(name), LARGEST_NODE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            content => Some((text.to_owned(), content)),
        }
    });
    let mut report = folder.update(contents);
    report.warnings.extend(unnamed);
    report
}

/// Reads a regular file: a pipe would never end, and a device is not what was meant.
fn read_file(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(largest + 1).read_to_end(&mut content)?;
    if content.len() as u64 > largest {
        return Err(io::Error::other(format!("it is larger than {} KiB", largest >> 10)));
    }
    Ok(content)
}

fn cannot_read(path: &Path, error: io::Error) -> SourceError {
    SourceError::new(format!("cannot read {}", path.display())).because(error)
}

/// The directories to watch, each with what tells it from another one that takes
/// its place: the path itself if it is one, and the nearest above it that exists,
/// which is where the path appears or is replaced.
pub(super) fn directories(path: &Path) -> Vec<(PathBuf, u64, u64)> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = |path: &Path| {
        let found = fs::metadata(path).ok().filter(Metadata::is_dir)?;
        Some((path.to_owned(), found.dev(), found.ino()))
    };
    let above = absolute.ancestors().skip(1).find_map(known);
    known(&absolute).into_iter().chain(above).collect()
}
