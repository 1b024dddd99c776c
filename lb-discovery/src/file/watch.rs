//! The thread that watches a path and reads it whenever it changed.
//!
//! A thread rather than a task: reading files blocks, for long on a network file
//! system, and must not hold up the timers of health checks. It watches
//! *directories*, because everybody who replaces a file without a gap renames
//! another one over it, and a watch on the file would follow the old one.
//!
//! Events only say when to look. Whatever they say, everything is read again:
//! events get lost, and network file systems send none. Against that the thread
//! also looks every few seconds, and once shortly after each change, so that
//! whoever got a new set and hears nothing else knows that it was seen twice.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lb_core::Membership;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::watch;

use super::{
    debounce::Debounce,
    disk::{self, Look},
    folder::Folder,
};
use crate::source::{Report, Warning};

/// A report, or why there is none.
pub(super) type Finding = Result<Report, String>;

/// How often to look although nothing is said to have happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    pub(super) every: Duration,
    pub(super) after_change: Duration,
}

impl Default for Looks {
    fn default() -> Self {
        Self { every: Duration::from_secs(5), after_change: Duration::from_millis(500) }
    }
}

/// How others wake the thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rung {
    event: bool,
    stop: bool,
}

impl Bell {
    pub(super) fn stop(&self) {
        self.ring(|rung| rung.stop = true);
    }

    fn event(&self) {
        self.ring(|rung| rung.event = true);
    }

    fn ring(&self, set: impl FnOnce(&mut Rung)) {
        set(&mut self.rung.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits until it rings, at most until `limit`.
    fn wait(&self, limit: Instant) -> Rung {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            if rung.event || rung.stop || left.is_zero() {
                let heard = *rung;
                rung.event = false;
                return heard;
            }
            rung = self.changed.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Watches and reads until the bell says stop. `known`: the nodes there were.
pub(super) fn run(
    path: &Path,
    looks: Looks,
    known: Membership,
    bell: &Arc<Bell>,
    findings: &watch::Sender<Option<Finding>>,
) {
    let mut reader = Reader::new(path, known);
    let mut watching = Watching::new(path, bell);
    let mut debounce = Debounce::default();
    // The first reading follows the first watch, so that nothing falls between.
    watching.renew();
    reader.read(&watching, findings);
    let mut next_look = Instant::now() + looks.every;
    loop {
        // While a burst goes on, a look would only see half of it.
        let rung = bell.wait(debounce.over_at().unwrap_or(next_look));
        if rung.stop {
            return;
        }
        let now = Instant::now();
        if rung.event {
            debounce.event(now);
        }
        let mut is_over = debounce.over_at().is_some_and(|over| over <= now);
        if is_over && debounce.may_be_prolonged(now) && reader.finds_more() {
            debounce.prolong();
            is_over = false;
        }
        if !is_over && (now < next_look || debounce.over_at().is_some()) {
            continue;
        }
        let moved = watching.renew();
        let changed =
            (is_over || moved || reader.looks_different()) && reader.read(&watching, findings);
        if is_over {
            debounce.clear();
        }
        let wait = if changed { looks.after_change } else { looks.every };
        next_look = Instant::now() + wait;
    }
}

/// What was seen and said last.
#[derive(Debug)]
struct Reader<'a> {
    path: &'a Path,
    /// `None`: it could not be looked at.
    look: Option<Look>,
    /// How many files there were.
    files: usize,
    folder: Folder,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, known: Membership) -> Self {
        Self { path, look: None, files: 0, folder: Folder::resuming(known) }
    }

    /// Whether there are more files than when it was asked or read last.
    fn finds_more(&mut self) -> bool {
        let found = disk::look(self.path).ok().map_or(0, |look| look.files());
        found > std::mem::replace(&mut self.files, found)
    }

    fn looks_different(&self) -> bool {
        disk::look(self.path).ok() != self.look
    }

    /// Reads everything and says so if it differs.
    fn read(&mut self, watching: &Watching<'_>, findings: &watch::Sender<Option<Finding>>) -> bool {
        self.look = None;
        let read = disk::look(self.path).and_then(|look| {
            let look = self.look.insert(look);
            self.files = look.files();
            disk::read(self.path, look, &mut self.folder)
        });
        let finding = match read {
            Ok(mut report) => {
                report.warnings.extend(watching.warning());
                Ok(report)
            }
            Err(error) => Err(error.explained()),
        };
        findings.send_if_modified(|last| {
            let differs = last.as_ref() != Some(&finding);
            *last = Some(finding);
            differs
        })
    }
}

/// The watches there are.
#[derive(Debug)]
struct Watching<'a> {
    path: &'a Path,
    bell: &'a Arc<Bell>,
    directories: Vec<(PathBuf, u64, u64)>,
    watcher: notify::Result<RecommendedWatcher>,
}

impl<'a> Watching<'a> {
    fn new(path: &'a Path, bell: &'a Arc<Bell>) -> Self {
        let nothing = Err(notify::Error::generic("not yet"));
        Self { path, bell, directories: Vec::new(), watcher: nothing }
    }

    /// Watches other directories if others are to be watched: one that was removed
    /// and made again is another one. Says whether it did.
    fn renew(&mut self) -> bool {
        let mut has_moved = false;
        // What appeared between looking for the directories and watching them has
        // caused no event, so they are looked for again.
        for _ in 0..3 {
            if !self.renew_once() {
                break;
            }
            has_moved = true;
        }
        has_moved
    }

    fn renew_once(&mut self) -> bool {
        let directories = disk::directories(self.path);
        if directories == self.directories && self.watcher.is_ok() {
            return false;
        }
        self.watcher = watch_all(self.path, &directories, self.bell);
        self.directories = directories;
        self.watcher.is_ok()
    }

    fn warning(&self) -> Option<Warning> {
        let error = self.watcher.as_ref().err()?;
        let text = format!("cannot be watched ({error}): a change is seen seconds later");
        Some(Warning::general(text))
    }
}

fn watch_all(
    path: &Path,
    directories: &[(PathBuf, u64, u64)],
    bell: &Arc<Bell>,
) -> notify::Result<RecommendedWatcher> {
    let bell = Arc::clone(bell);
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let concerns_us = event.is_ok_and(|event| {
            is_change(event.kind)
                && (event.need_rescan() || event.paths.iter().any(|at| is_related(at, &path)))
        });
        if concerns_us {
            bell.event();
        }
    })?;
    for (index, (directory, ..)) in directories.iter().enumerate() {
        let watched = watcher.watch(directory, RecursiveMode::NonRecursive);
        // A folder is worth watching although what is above it may not be read.
        if index == 0 {
            watched?;
        }
    }
    Ok(watcher)
}

/// Reading the files is an event too, and must not cause another reading.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Whether something at `at` can change what `path` shows: it is below or above
/// it, or it is one of the links with two dots that Kubernetes swaps.
fn is_related(at: &Path, path: &Path) -> bool {
    let name = at.file_name().unwrap_or_default();
    at.starts_with(path) || path.starts_with(at) || name.as_encoded_bytes().starts_with(b"..")
}
