//! The sources, and how to make them say something.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use lb_core::Membership;
use lb_discovery::{Env, File, Fixed, NextSet, Report, Source, SourceError};
use tempfile::TempDir;
use tokio::sync::Notify;

/// A source and what it reads.
pub(crate) trait Bench {
    /// Writes what the source is to say.
    fn write(&mut self, set: &Membership);

    /// Makes one that says what was written last.
    fn source(&mut self) -> Box<dyn Source>;

    /// Whether a source notices what is written after it was made.
    fn can_change(&self) -> bool {
        true
    }

    /// Makes what it reads unreadable until the next `write`, if that is possible.
    fn destroy(&mut self) -> bool;
}

#[derive(Debug, Default)]
pub(crate) struct Typed(Membership);

impl Bench for Typed {
    fn write(&mut self, set: &Membership) {
        self.0 = set.clone();
    }

    fn source(&mut self) -> Box<dyn Source> {
        Box::new(Fixed::new("typed", self.0.clone()))
    }

    fn can_change(&self) -> bool {
        false
    }

    fn destroy(&mut self) -> bool {
        false
    }
}

#[derive(Debug, Default)]
pub(crate) struct Variable(Membership);

impl Bench for Variable {
    fn write(&mut self, set: &Membership) {
        self.0 = set.clone();
    }

    fn source(&mut self) -> Box<dyn Source> {
        let addresses: Vec<_> = self.0.iter().map(|backend| backend.address()).collect();
        Box::new(Env::with_lookup("WEB", None, |_| Some(addresses.join(" ").into())))
    }

    fn can_change(&self) -> bool {
        false
    }

    fn destroy(&mut self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(crate) struct NodeFolder {
    above: TempDir,
    nodes: PathBuf,
}

impl NodeFolder {
    pub(crate) fn new() -> Self {
        let above = tempfile::tempdir().unwrap();
        let nodes = above.path().join("nodes");
        Self { above, nodes }
    }
}

impl Bench for NodeFolder {
    fn write(&mut self, set: &Membership) {
        // A folder that comes has its files already.
        let is_new = !self.nodes.exists();
        let nodes = if is_new { self.above.path().join("new") } else { self.nodes.clone() };
        fs::create_dir_all(&nodes).unwrap();
        for file in fs::read_dir(&nodes).unwrap().map(Result::unwrap) {
            let is_gone = !set.iter().any(|backend| *backend.name() == *file.file_name());
            if is_gone {
                fs::remove_file(file.path()).unwrap();
            }
        }
        for backend in set.iter() {
            let temporary = nodes.join(".temporary");
            fs::write(&temporary, format!("{}\n", backend.address())).unwrap();
            fs::rename(temporary, nodes.join(backend.name())).unwrap();
        }
        if is_new {
            fs::rename(nodes, &self.nodes).unwrap();
        }
    }

    fn source(&mut self) -> Box<dyn Source> {
        Box::new(File::new(&self.nodes))
    }

    fn destroy(&mut self) -> bool {
        fs::rename(&self.nodes, tempfile::tempdir_in(self.above.path()).unwrap().keep()).unwrap();
        true
    }
}

#[derive(Debug)]
pub(crate) struct ListFile {
    folder: TempDir,
}

impl ListFile {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("nodes.toml")
    }

    fn replace(&self, text: &str) {
        let temporary = self.folder.path().join("nodes.toml.tmp");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.path()).unwrap();
    }
}

impl Bench for ListFile {
    fn write(&mut self, set: &Membership) {
        let addresses: Vec<_> = set.iter().map(|backend| backend.address()).collect();
        self.replace(&format!("backends = {addresses:?}\n"));
    }

    fn source(&mut self) -> Box<dyn Source> {
        Box::new(File::new(self.path()))
    }

    fn destroy(&mut self) -> bool {
        self.replace("backends = [\"10.0.");
        true
    }
}

/// A source made by the contract alone: it holds the suite to account.
#[derive(Debug, Default)]
pub(crate) struct Scripted(Arc<Board>);

#[derive(Debug, Default)]
struct Board {
    /// `None`: unreadable.
    text: Mutex<Option<Membership>>,
    written: Notify,
}

impl Board {
    fn put(&self, set: Option<Membership>) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = set;
        self.written.notify_one();
    }
}

impl Bench for Scripted {
    fn write(&mut self, set: &Membership) {
        self.0.put(Some(set.clone()));
    }

    fn source(&mut self) -> Box<dyn Source> {
        Box::new(Reader { board: Arc::clone(&self.0), last: None })
    }

    fn destroy(&mut self) -> bool {
        self.0.put(None);
        true
    }
}

#[derive(Debug)]
struct Reader {
    board: Arc<Board>,
    last: Option<Option<Membership>>,
}

impl Source for Reader {
    fn name(&self) -> &str {
        "scripted"
    }

    fn next(&mut self) -> NextSet<'_> {
        Box::pin(async {
            loop {
                let now = self.board.text.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if self.last.as_ref() != Some(&now) {
                    self.last = Some(now.clone());
                    return now.map(Report::from).ok_or_else(|| SourceError::new("wiped"));
                }
                self.board.written.notified().await;
            }
        })
    }
}
