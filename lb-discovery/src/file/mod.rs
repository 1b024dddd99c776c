//! Backends in files: one file with all of them, or a folder with one per node.
//!
//! Whatever can write a file can be a source this way: a script, a deployment, a
//! mounted Kubernetes `ConfigMap`. What a file may say is in [`read_node`] and
//! [`read_list`], which are pure; [`File`] is the shell around them.
//!
//! Errors stay where they were made. Junk in the file of one node keeps that node
//! as it was; junk in a list keeps the whole list; a path that cannot be read is
//! an error of the source. Only a file that is gone from a folder that is there,
//! or an entry that is gone from a list, says that a backend is gone.

mod debounce;
mod description;
mod disk;
mod folder;
mod junk;
mod list;
mod node;
mod syntax;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

pub use junk::Junk;
use lb_core::Membership;
pub use list::read_list;
pub use node::read_node;
pub use syntax::Syntax;

use self::watch::{Bell, Finding, Looks};
use crate::source::{NextSet, Source, SourceError};

/// A file with a list of backends, or a folder with one file per node, watched.
///
/// The path is a folder if there is one when it is read; it need not be there yet,
/// and may go and come back. Names that begin with a dot, and those that editors
/// give to temporary files, are no nodes. The nodes of a folder are in the order of
/// their names, those of a list in the order of the list.
///
/// A change is reported when nothing happened for 50 ms, at the latest after half a
/// second of constant change, or three times that while there are more and more files;
/// where the system reports no events, within 5 s.
///
/// ```
/// use lb_discovery::{File, Source};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let nodes = tempfile::tempdir().unwrap();
/// std::fs::write(nodes.path().join("web1"), "10.0.0.1 3000 weight=3").unwrap();
/// let mut source = File::new(nodes.path());
/// let report = source.next().await.unwrap();
/// assert_eq!(report.set.iter().next().unwrap().name(), "web1");
/// # }
/// ```
#[derive(Debug)]
pub struct File {
    name: String,
    path: PathBuf,
    looks: Looks,
    /// Begins with the first call of `next`.
    watcher: Option<Watcher>,
    /// What was returned last.
    last: Option<Finding>,
    /// The nodes there were, for whoever reads junk first.
    known: Membership,
}

#[derive(Debug)]
struct Watcher {
    bell: Arc<Bell>,
    findings: tokio::sync::watch::Receiver<Option<Finding>>,
}

impl File {
    /// The source that reads this path. Nothing is read before the first call of
    /// `next`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::looking(path.as_ref(), Looks::default())
    }

    fn looking(path: &Path, looks: Looks) -> Self {
        let name = format!("file {}", path.display());
        Self {
            name,
            path: path.to_owned(),
            looks,
            watcher: None,
            last: None,
            known: Membership::default(),
        }
    }

    fn watcher(&mut self) -> Result<&mut Watcher, SourceError> {
        if self.watcher.is_none() {
            let started = Watcher::start(self.path.clone(), self.looks, self.known.clone());
            let watcher = started
                .map_err(|error| SourceError::new("cannot start a thread").because(error))?;
            self.watcher = Some(watcher);
        }
        self.watcher.as_mut().ok_or_else(|| SourceError::new("the thread is gone"))
    }
}

impl Watcher {
    fn start(path: PathBuf, looks: Looks, known: Membership) -> std::io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let (sender, findings) = tokio::sync::watch::channel(None);
        let heard = Arc::clone(&bell);
        thread::Builder::new()
            .name("lb-file".to_owned())
            .spawn(move || watch::run(&path, looks, known, &heard, &sender))?;
        Ok(Self { bell, findings })
    }
}

impl Drop for Watcher {
    /// Tells the thread to end, without waiting for it: it may hang in a file
    /// system that does not answer.
    fn drop(&mut self) {
        self.bell.stop();
    }
}

impl Source for File {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> NextSet<'_> {
        Box::pin(async {
            loop {
                let watcher = self.watcher()?;
                if watcher.findings.changed().await.is_err() {
                    // The thread has panicked. The next call starts another.
                    self.watcher = None;
                    return Err(SourceError::new("the thread that reads the files has ended"));
                }
                let Some(finding) = watcher.findings.borrow_and_update().clone() else { continue };
                if self.last.as_ref() == Some(&finding) {
                    continue;
                }
                if let Ok(report) = &finding {
                    self.known.clone_from(&report.set);
                }
                self.last = Some(finding.clone());
                return finding.map_err(SourceError::new);
            }
        })
    }

    fn resume(&mut self, set: &Membership) {
        self.known.clone_from(set);
    }
}
