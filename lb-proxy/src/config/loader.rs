//! What a file may ask for beside itself: variables and other files.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Where variables, included files and secrets come from.
pub trait Loader: std::fmt::Debug {
    /// An environment variable.
    ///
    /// # Errors
    ///
    /// When its value is not text.
    fn variable(&self, name: &str) -> Result<Option<String>, NotText>;

    /// The text of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The names in a folder, in any order.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Whether there is such a file or folder.
    ///
    /// # Errors
    ///
    /// Why not.
    fn find(&self, path: &Path) -> io::Result<()>;

    /// Whether a file could be made, or added to, there. Does neither.
    ///
    /// # Errors
    ///
    /// Why not.
    fn may_append(&self, path: &Path) -> io::Result<()>;
}

/// More than any file that people or programs write.
const LARGEST: u64 = 16 << 20;

/// Reads a text of at most 16 MiB.
///
/// # Errors
///
/// When it cannot be read, is larger, or is not UTF-8; then with line and column.
pub fn read_text(from: impl io::Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (good, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line_start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&good[line_start..]).chars().count() + 1;
        let reason = format!("line {line}, column {column} is not text in UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// A variable that is not text in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotText;

/// The environment and the files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Loader for Machine {
    fn variable(&self, name: &str) -> Result<Option<String>, NotText> {
        env::var_os(name).map(|value| value.into_string().map_err(|_| NotText)).transpose()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        // A pipe may never end, and opening one may wait for ever.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        read_text(fs::File::open(path)?)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn find(&self, path: &Path) -> io::Result<()> {
        fs::metadata(path).map(drop)
    }

    fn may_append(&self, path: &Path) -> io::Result<()> {
        let path = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            },
            _ => path,
        };
        Ok(rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?)
    }
}

/// Variables and files that were made up. Empty, it is a world without either.
#[derive(Debug, Clone, Default)]
pub struct Pretended {
    /// Variables by name.
    pub variables: BTreeMap<String, String>,
    /// Files by path.
    pub files: BTreeMap<PathBuf, String>,
}

impl Loader for Pretended {
    fn variable(&self, name: &str) -> Result<Option<String>, NotText> {
        Ok(self.variables.get(name).cloned())
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(folder).ok()?.iter().next()?.to_str())
            .map(str::to_owned)
            .collect();
        names.dedup();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }

    fn find(&self, path: &Path) -> io::Result<()> {
        match self.files.keys().any(|file| file.starts_with(path)) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn may_append(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// This machine, but with these texts in place of the files of these names.
#[derive(Debug, Clone, Default)]
pub struct Instead {
    /// Files by path, as they are named.
    pub files: BTreeMap<PathBuf, String>,
}

impl Loader for Instead {
    fn variable(&self, name: &str) -> Result<Option<String>, NotText> {
        Machine.variable(name)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).map_or_else(|| Machine.read(path), |text| Ok(text.clone()))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        Machine.list(folder)
    }

    fn find(&self, path: &Path) -> io::Result<()> {
        Machine.find(path)
    }

    fn may_append(&self, path: &Path) -> io::Result<()> {
        Machine.may_append(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_text_is_told_with_its_place() {
        let error = read_text(&b"a\n\xc3\xb6b\xff"[..]).expect_err("not text");
        assert_eq!(error.to_string(), "line 2, column 3 is not text in UTF-8");
    }

    #[test]
    fn a_file_without_an_end_is_not_read_to_its_end() {
        let error = read_text(io::repeat(b' ')).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn only_regular_files_are_read() {
        let error = Machine.read(Path::new("/dev/zero")).expect_err("no file");
        assert_eq!(error.to_string(), "it is not a regular file");
    }

    #[test]
    fn a_log_needs_a_folder() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(Machine.may_append(&here.join("access.log")).is_ok());
        assert!(Machine.may_append(here).is_err());
        assert!(Machine.may_append(&here.join("none/access.log")).is_err());
    }
}
