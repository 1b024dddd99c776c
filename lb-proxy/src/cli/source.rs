//! Where the configuration comes from.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use lb_proxy::config::{Loader, Machine, read_text};

use super::{exit::Exit, print};

/// A configuration file that was read, not yet judged.
#[derive(Debug)]
pub(super) struct Source {
    /// As it is printed.
    pub(super) name: String,
    pub(super) text: String,
}

impl Source {
    /// Reads a file; `-` is the standard input.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        Self::read_with(path, &Machine)
    }

    /// The same, in a world of one's own.
    pub(super) fn read_with(path: &Path, world: &dyn Loader) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let text = read_text(io::stdin()).context("cannot read the standard input")?;
            return Ok(Self { name: "<stdin>".to_owned(), text });
        }
        let name = path.display().to_string();
        let text = world.read(path).with_context(|| format!("cannot read `{name}`"))?;
        Ok(Self { name, text })
    }
}

/// The file that was named, or else the one that `lb run` would read.
///
/// # Errors
///
/// What was printed already.
pub(super) fn given_or_found(file: Option<&Path>) -> Result<Source, Exit> {
    let Some(path) = file.map(Path::to_owned).or_else(search) else {
        print::diagnostic(&nothing_found());
        return Err(Exit::Usage);
    };
    Source::read(&path).map_err(|error| {
        print::error(&error);
        Exit::Usage
    })
}

/// The file that `LB_CONFIG` names, or else the first of the search path that is
/// there. It need not be readable: an error is better than the next file.
pub(super) fn search() -> Option<PathBuf> {
    named_by_variable().or_else(|| search_path().into_iter().find(|path| is_there(path)))
}

/// What `LB_CONFIG` says.
pub(super) fn named_by_variable() -> Option<PathBuf> {
    env::var_os("LB_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from)
}

fn is_there(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => {
            !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
    }
}

/// Where a file is looked for that nobody named.
pub(super) fn search_path() -> Vec<PathBuf> {
    let mut path = vec![PathBuf::from("lb.toml")];
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own =
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    path.extend(own.map(|own| own.join("lb/lb.toml")));
    path.push(PathBuf::from("/etc/lb/lb.toml"));
    path
}

/// What to say when there is no file and nothing else to go by.
pub(super) fn nothing_found() -> String {
    let looked: Vec<String> = search_path().iter().map(|path| path.display().to_string()).collect();
    format!(
        "error: no backends: there is no `--to` and no configuration file ({} do not exist)\n\n\
         Name your backends on the command line:\n\n  \
         lb run --to 127.0.0.1:9001 --to 127.0.0.1:9002\n\n\
         or write these two lines into `lb.toml`:\n\n  \
         listen = \"127.0.0.1:8080\"\n  \
         to = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n",
        looked.join(", ")
    )
}
