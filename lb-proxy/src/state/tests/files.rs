//! Files that cannot be used are told apart, by name, and left as they were.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{NOW, configured, open, weight};
use crate::state::{Problem, Store, StoreError, schema};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    (folder, path)
}

/// What is said of a file that cannot be used; it is named.
fn refused(path: &Path) -> Problem {
    let error = Store::open(path, NOW).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("`{}`", path.display())), "{text}");
    assert!(text.contains("\n  help: "), "{text}");
    assert!(!text.contains("rusqlite"), "{text}");
    println!("{text}\n");
    error.problem
}

#[test]
fn a_file_that_is_in_use_is_refused_until_it_is_not() {
    let (_folder, path) = folder();
    let store = open(&path);
    assert_eq!(refused(&path), Problem::Locked);
    drop(store);
    drop(open(&path));
}

#[test]
fn of_two_that_create_a_file_at_once_one_has_it() {
    for _ in 0..5 {
        let (_folder, path) = folder();
        let both = Barrier::new(2);
        let open = || {
            both.wait();
            let store = Store::open(&path, NOW);
            both.wait();
            store.map(|_| ()).map_err(|error| error.problem)
        };
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(open);
            (open(), other.join().unwrap())
        });
        let won = [&one, &other].into_iter().filter(|opened| opened.is_ok()).count();
        assert_eq!(won, 1, "{one:?} {other:?}");
        assert!([one, other].contains(&Err(Problem::Locked)));
    }
}

#[test]
fn a_file_that_is_no_database_is_damaged_and_not_touched() {
    let (_folder, path) = folder();
    fs::write(&path, "listen = \"127.0.0.1:8080\"\n".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(refused(&path), Problem::Corrupt(_)));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_with_a_torn_page_is_damaged() {
    let (_folder, path) = folder();
    let mut store = open(&path);
    let changes: Vec<_> = (0..500).map(|n| weight(configured(1), n)).collect();
    store.record(&changes).unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(refused(&path), Problem::Corrupt(_)));
}

#[test]
fn a_file_that_was_cut_short_is_damaged() {
    let (_folder, path) = folder();
    let mut store = open(&path);
    let changes: Vec<_> = (0..500).map(|n| weight(configured(1), n)).collect();
    store.record(&changes).unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(refused(&path), Problem::Corrupt(_)));
}

#[test]
fn a_value_that_is_no_json_is_damage_that_is_found_at_the_start() {
    let (_folder, path) = folder();
    let mut store = open(&path);
    store.record(&[weight(configured(1), 3)]).unwrap();
    store.connection().execute("UPDATE override SET value = '{'", []).unwrap();
    drop(store);
    assert!(matches!(refused(&path), Problem::Corrupt(_)));
}

#[test]
fn a_file_of_a_newer_version_is_not_touched() {
    let (_folder, path) = folder();
    let mut store = open(&path);
    store.record(&[weight(configured(1), 3)]).unwrap();
    let newer = i64::try_from(schema::STEPS.len()).unwrap() + 1;
    store.connection().pragma_update(None, "user_version", newer).unwrap();
    drop(store);
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path), Problem::Newer { found: newer, known: newer - 1 });
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let (_folder, path) = folder();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE cookies (name TEXT)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path), Problem::Foreign);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_cannot_be_written_is_refused_at_the_start() {
    // Not even root may write this one, or create one there.
    for path in ["/proc/sys/kernel/version", "/proc/lb/state.db"] {
        assert!(matches!(refused(Path::new(path)), Problem::NotWritable(_)), "{path}");
    }
    let (folder, path) = folder();
    assert!(matches!(refused(folder.path()), Problem::NotWritable(_)), "a folder");
    fs::write(&path, "").unwrap();
    assert!(matches!(refused(&path.join("state.db")), Problem::NotWritable(_)), "in a file");
    drop(open(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert!(matches!(refused(&path), Problem::NotWritable(_)), "read-only");
    }
}

#[test]
fn a_new_file_is_for_its_user_only_and_so_is_its_folder() {
    let (folder, _) = folder();
    let path = folder.path().join("lb/deep/state.db");
    let mut store = open(&path);
    store.record(&[weight(configured(1), 3)]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("lb/deep/state.db-wal")), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert!(!folder.path().join("lb/deep/state.db-shm").exists());
}

#[test]
fn a_file_that_was_removed_while_in_use_takes_nothing_more() {
    let (_folder, path) = folder();
    let mut store = open(&path);
    fs::remove_file(&path).unwrap();
    let lost = store.record(&[weight(configured(1), 3)]).unwrap_err();
    assert!(matches!(&lost, StoreError::Replaced(name) if *name == path), "{lost}");
    fs::write(&path, "").unwrap();
    store.record(&[weight(configured(1), 3)]).unwrap_err();
}

#[test]
fn a_full_disk_is_told_and_what_was_written_stays() {
    let (_folder, path) = folder();
    let mut store = open(&path);
    store.record(&[weight(configured(1), 3)]).unwrap();
    let full = |store: &Store, pages: i64| {
        store
            .connection()
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    };
    full(&store, 1);
    let many: Vec<_> = (0..1000).map(|n| weight(configured(1), n)).collect();
    let error = store.record(&many).unwrap_err();
    let is_full = |problem: &Problem| matches!(problem, Problem::NotWritable(_));
    assert!(matches!(&error, StoreError::Failed { problem, .. } if is_full(problem)), "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(store.latest(9).unwrap().len(), 1);
    full(&store, 10_000);
    store.record(&many).unwrap();
    assert_eq!(store.latest(2000).unwrap().len(), 1001);
}
