//! What a file may ask for beside itself: variables and other files.

use std::{
    collections::BTreeMap,
    env, fs, io,
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
        fs::read_to_string(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
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
}
