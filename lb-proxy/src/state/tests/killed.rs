//! `kill -9` while changes are written: those that were acknowledged are there.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::json;

use super::{NOW, configured, open, weight};
use crate::state::{ChangeId, Problem, Store, Subject};

const FILE: &str = "LB_TEST_STATE_FILE";

/// Not a test: the process that is killed. It writes changes one by one, for ever, and
/// says which as soon as it is told that they are written.
#[test]
#[ignore = "started by other tests"]
fn child_that_writes() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let mut store = open(&path);
    let mut out = std::io::stdout().lock();
    for n in 0.. {
        let mut change = weight(configured(1), n);
        change.subject = Subject::of_backend("web", &format!("w{}", n % 7));
        let ids = store.record(&[change]).unwrap();
        writeln!(out, "written {} {n}", ids[0]).unwrap();
        out.flush().unwrap();
    }
}

/// Another process that writes, and what it acknowledges.
struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("state::tests::killed::child_that_writes")
            .env(FILE, path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next change that it acknowledges: its number and its value.
    fn acknowledged(&mut self) -> Option<(u64, u32)> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| {
            // The first one stands behind what the test harness prints, the last one
            // may be cut off: then it was not acknowledged.
            let (_, numbers) = line.split_once("written ")?;
            let (id, n) = numbers.split_once(' ')?;
            Some((id.parse().ok()?, n.parse().ok()?))
        })
    }

    /// Kills it while it writes, and reads what it said until then.
    fn kill(mut self) -> Vec<(u64, u32)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.acknowledged()).collect()
    }
}

#[test]
fn no_change_that_was_acknowledged_is_lost_by_kills_during_ten_thousand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (mut kills, mut acknowledged, mut written) = (0, 0, 0);
    // Xorshift with a fixed seed; where in a transaction the kill falls is chance.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    while written < 10_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut writer = Writer::start(&path);
        let mut told: Vec<_> =
            (0..=random % 800).map(|_| writer.acknowledged().expect("it writes")).collect();
        told.extend(writer.kill());
        let store = open(&path);
        let changes = store.changes(ChangeId::new(written), u32::MAX).unwrap();
        // No gap, and at most one more than was told.
        assert!(
            changes
                .iter()
                .map(|change| change.id.get())
                .eq(written + 1..=written + changes.len() as u64)
        );
        assert!((told.len()..=told.len() + 1).contains(&changes.len()), "{}", changes.len());
        for ((id, n), change) in told.iter().zip(&changes) {
            assert_eq!((*id, &json!(n)), (change.id.get(), change.after.value()));
        }
        overrides_are_what_the_changes_left(&store);
        kills += 1;
        acknowledged += told.len();
        written += changes.len() as u64;
    }
    println!("{kills} kills, {acknowledged} changes acknowledged, {written} found, none lost");
}

fn overrides_are_what_the_changes_left(store: &Store) {
    let mut last = BTreeMap::new();
    for change in store.changes(ChangeId::ZERO, u32::MAX).unwrap() {
        last.insert(change.subject.clone(), change);
    }
    let overrides = store.overrides().unwrap();
    assert_eq!(overrides.len(), last.len());
    for (of, change) in overrides.iter().zip(last.values()) {
        assert_eq!((of.change, &of.value), (change.id, change.after.value()));
        assert_eq!((&of.subject, of.seen), (&change.subject, NOW));
    }
}

#[test]
fn a_file_is_locked_for_other_processes_until_its_own_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut writer = Writer::start(&path);
    assert_eq!(writer.acknowledged(), Some((1, 0)));
    assert_eq!(Store::open(&path, NOW).unwrap_err().problem, Problem::Locked);
    writer.kill();
    assert!(!open(&path).overrides().unwrap().is_empty());
}
