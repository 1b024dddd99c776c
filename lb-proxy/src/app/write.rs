//! Writing files so that whoever reads them sees the old text or the new one.
//!
//! The new text is written beside the file and moved over it. All that can fail for one of
//! several files is tried for each before the first is moved; what fails all the same is
//! taken back.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use lb_proxy::config::{Altered, Loader as _, Machine};

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// Somebody else wrote into it meanwhile.
    Changed(String),
    /// The system does not let us.
    Failed(String),
}

/// Writes all of these, or none.
///
/// # Errors
///
/// Why none was written.
pub(super) fn write_all(files: &[Altered]) -> Result<(), Unwritten> {
    let mut beside = Vec::new();
    for file in files {
        match prepare(file) {
            Ok(one) => beside.push(one),
            Err(why) => return Err(why),
        }
    }
    for (done, (file, one)) in files.iter().zip(&mut beside).enumerate() {
        let moved = unchanged(file).and_then(|()| {
            one.take_the_place().map_err(|error| failed(&file.name, "cannot be replaced", &error))
        });
        if let Err(why) = moved {
            take_back(&files[..done]);
            return Err(why);
        }
    }
    Ok(())
}

/// Has the files say again what they said.
pub(super) fn take_back(files: &[Altered]) {
    for Altered { name, before, after } in files {
        let back = Altered { name: name.clone(), before: after.clone(), after: before.clone() };
        if let Err(why) = write_all(&[back]) {
            tracing::error!(file = name, ?why, "what was written could not be taken back");
        }
    }
}

/// Keeps what a file says in another one beside it, `NAME.before`.
///
/// # Errors
///
/// It could not be written.
pub(super) fn keep(name: &str, text: &str) -> Result<(), Unwritten> {
    let copy = format!("{name}.before");
    let cannot = |error: io::Error| failed(&copy, "cannot be written", &error);
    let path = fs::canonicalize(name).map_err(cannot)?;
    let mut beside = Beside::of(&path, Path::new(&copy), text).map_err(cannot)?;
    beside.take_the_place().map_err(cannot)
}

fn prepare(file: &Altered) -> Result<Beside, Unwritten> {
    unchanged(file)?;
    let name = &file.name;
    let path = fs::canonicalize(name).map_err(|error| failed(name, "cannot be found", &error))?;
    rustix::fs::access(&path, rustix::fs::Access::WRITE_OK)
        .map_err(|error| failed(name, "cannot be written", &error.into()))?;
    Beside::of(&path, &path, &file.after)
        .map_err(|error| failed(name, "cannot be replaced: a file beside it", &error))
}

fn unchanged(file: &Altered) -> Result<(), Unwritten> {
    match Machine.read(Path::new(&file.name)) {
        Ok(text) if text == file.before => Ok(()),
        Ok(_) => Err(Unwritten::Changed(file.name.clone())),
        Err(error) => Err(failed(&file.name, "cannot be read", &error)),
    }
}

fn failed(name: &str, what: &str, error: &io::Error) -> Unwritten {
    Unwritten::Failed(format!("`{name}` {what}: {error}"))
}

/// A file that is to take the place of another; gone unless it has.
#[derive(Debug)]
struct Beside {
    path: PathBuf,
    place: PathBuf,
    has_moved: bool,
}

impl Beside {
    /// With this text, and with the owner and the mode of `like`.
    fn of(like: &Path, place: &Path, text: &str) -> io::Result<Self> {
        let known = fs::metadata(like)?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.{}.new", std::process::id()));
        // What an earlier end of the process left.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let beside = Self { path, place: place.to_owned(), has_moved: false };
        // Before the text, which may have secrets in it.
        file.set_permissions(Permissions::from_mode(0o600))?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (known.uid(), known.gid()) {
            std::os::unix::fs::fchown(&file, Some(known.uid()), Some(known.gid()))?;
        }
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(known.mode() & 0o7777))?;
        file.sync_all()?;
        Ok(beside)
    }

    fn take_the_place(&mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.place)?;
        self.has_moved = true;
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        // It is there; only a loss of power could still take it.
        let _ = File::open(folder.unwrap_or_else(|| Path::new(".")))
            .and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.has_moved {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(path: &Path, before: &str, after: &str) -> Altered {
        let name = path.display().to_string();
        Altered { name, before: before.to_owned(), after: after.to_owned() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_link_goes_on_pointing_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.toml"), folder.path().join("lb.toml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_all(&[altered(&link, "old", "new")]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        keep(&link.display().to_string(), "old").unwrap();
        assert_eq!(names(folder.path()), ["lb.toml", "lb.toml.before", "real.toml"]);
    }

    #[test]
    fn of_several_files_all_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "somebody else's").unwrap();
        let both = [altered(&one, "1", "one"), altered(&two, "2", "two")];
        let changed = Unwritten::Changed(two.display().to_string());
        assert_eq!(write_all(&both), Err(changed));
        assert_eq!(fs::read_to_string(&one).unwrap(), "1");
        fs::remove_file(&two).unwrap();
        assert!(matches!(write_all(&both), Err(Unwritten::Failed(_))));
        assert_eq!(names(folder.path()), ["one"]);
    }
}
