//! Which file remembers what people change. Pure: what the process finds around it is
//! passed in.
//!
//! A file per configuration, called by the path of that: two balancers of one machine
//! have different configurations, and each finds its own again. Symbolic links are not
//! followed, since `/etc/lb/lb.toml` often leads to the folder of the release of the
//! day. Who has no configuration file has nothing to be found again by.

use std::{
    env,
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use twox_hash::XxHash64;

/// Where changes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    /// In memory, until the end of the process.
    Nowhere(Because),
}

/// Why changes are kept nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    /// `--state off`.
    Asked,
    /// Backends on the command line, the demo, or a configuration from the standard
    /// input.
    NoConfigurationFile,
    /// Not root, and neither a home nor a folder for state is known. Worth a warning.
    NoFolder,
}

/// What decides about the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) is_root: bool,
    /// `STATE_DIRECTORY`: what systemd made for a service that may write nowhere else.
    pub(crate) state_directory: Option<OsString>,
    pub(crate) xdg_state_home: Option<OsString>,
    pub(crate) home: Option<OsString>,
    /// The current folder.
    pub(crate) here: Option<PathBuf>,
}

impl Surroundings {
    pub(crate) fn of_this_process() -> Self {
        Self {
            is_root: rustix::process::geteuid().is_root(),
            state_directory: env::var_os("STATE_DIRECTORY"),
            xdg_state_home: env::var_os("XDG_STATE_HOME"),
            home: env::var_os("HOME"),
            here: env::current_dir().ok(),
        }
    }

    /// Where this user's programs keep what they remember.
    fn folder(&self) -> Option<PathBuf> {
        let absolute = |name: &Option<OsString>| {
            name.as_ref().map(PathBuf::from).filter(|path| path.is_absolute())
        };
        // Several are separated by colons.
        let of_service =
            self.state_directory.as_ref().and_then(|list| env::split_paths(list).next());
        if let Some(folder) = of_service.filter(|path| path.is_absolute()) {
            return Some(folder);
        }
        if self.is_root {
            return Some(PathBuf::from("/var/lib/lb"));
        }
        absolute(&self.xdg_state_home)
            .or_else(|| Some(absolute(&self.home)?.join(".local/state")))
            .map(|state| state.join("lb"))
    }
}

/// Where changes are kept: as `--state` says (`off` or a file), or else by the path of
/// the configuration file, if there is one.
pub(crate) fn place(said: Option<&Path>, config: Option<&Path>, around: &Surroundings) -> Place {
    if let Some(said) = said {
        return match said == Path::new("off") {
            true => Place::Nowhere(Because::Asked),
            false => Place::File(said.to_owned()),
        };
    }
    let Some(config) = config.filter(|config| *config != Path::new("-")) else {
        return Place::Nowhere(Because::NoConfigurationFile);
    };
    let whole = whole(config, around.here.as_deref());
    match around.folder().zip(whole) {
        Some((folder, config)) => Place::File(folder.join(file_name(&config))),
        None => Place::Nowhere(Because::NoFolder),
    }
}

/// The path from the root, without `.` and `..`.
fn whole(path: &Path, here: Option<&Path>) -> Option<PathBuf> {
    let path = if path.is_absolute() { path.to_owned() } else { here?.join(path) };
    let mut whole = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
    }
    Some(whole)
}

fn file_name(config: &Path) -> String {
    let hash = XxHash64::oneshot(0, config.as_os_str().as_encoded_bytes());
    format!("{hash:016x}.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Surroundings {
        Surroundings {
            home: Some("/home/ann".into()),
            here: Some("/home/ann/farm".into()),
            ..Surroundings::default()
        }
    }

    fn file(config: &str, around: &Surroundings) -> PathBuf {
        match place(None, Some(Path::new(config)), around) {
            Place::File(path) => path,
            Place::Nowhere(because) => panic!("{config}: {because:?}"),
        }
    }

    #[test]
    fn what_was_said_wins_and_off_is_off() {
        let config = Some(Path::new("/etc/lb/lb.toml"));
        let said = place(Some(Path::new("my.db")), config, &user());
        assert_eq!(said, Place::File("my.db".into()));
        let said = place(Some(Path::new("my.db")), None, &user());
        assert_eq!(said, Place::File("my.db".into()));
        let off = place(Some(Path::new("off")), config, &user());
        assert_eq!(off, Place::Nowhere(Because::Asked));
        // A file of that name can be said.
        let file = place(Some(Path::new("./off")), config, &user());
        assert_eq!(file, Place::File("./off".into()));
    }

    #[test]
    fn without_a_configuration_file_nothing_is_kept() {
        for config in [None, Some(Path::new("-"))] {
            let nowhere = Place::Nowhere(Because::NoConfigurationFile);
            assert_eq!(place(None, config, &user()), nowhere);
        }
    }

    #[test]
    fn the_name_is_the_same_in_every_version_and_from_every_folder() {
        // Another name would forget what was changed.
        let expected = "/home/ann/.local/state/lb/67facce77f163960.db";
        for config in ["/etc/lb/lb.toml", "/etc//lb/./lb.toml", "../../../etc/lb/lb.toml"] {
            assert_eq!(file(config, &user()), Path::new(expected), "{config}");
        }
        assert_eq!(file("lb.toml", &user()), file("/home/ann/farm/lb.toml", &user()));
        assert_ne!(file("lb.toml", &user()), file("/etc/lb/lb.toml", &user()));
    }

    #[test]
    fn the_folder_is_that_of_the_service_or_of_root_or_of_the_user() {
        let folder = |around: &Surroundings| {
            file("/etc/lb/lb.toml", around).parent().map(Path::to_owned).unwrap()
        };
        let mut around = user();
        assert_eq!(folder(&around), Path::new("/home/ann/.local/state/lb"));
        around.xdg_state_home = Some("/state".into());
        assert_eq!(folder(&around), Path::new("/state/lb"));
        // The specification says that others are to be ignored.
        around.xdg_state_home = Some("state".into());
        assert_eq!(folder(&around), Path::new("/home/ann/.local/state/lb"));
        around.is_root = true;
        assert_eq!(folder(&around), Path::new("/var/lib/lb"));
        around.state_directory = Some("/var/lib/lb-blue:/var/lib/other".into());
        assert_eq!(folder(&around), Path::new("/var/lib/lb-blue"));
    }

    #[test]
    fn who_has_no_folder_is_told_so() {
        let nobody = Surroundings { here: Some("/".into()), ..Surroundings::default() };
        let config = Some(Path::new("/etc/lb/lb.toml"));
        assert_eq!(place(None, config, &nobody), Place::Nowhere(Because::NoFolder));
        let lost = Surroundings { here: None, ..user() };
        let config = Some(Path::new("lb.toml"));
        assert_eq!(place(None, config, &lost), Place::Nowhere(Because::NoFolder));
    }
}
