//! What is there again, in which order, and what is let go.

use rusqlite::Connection;
use serde_json::json;

use super::{NOW, configured, memory, open, overridden, weight};
use crate::state::{
    Change, ChangeId, DropCause, Field, ITSELF, NewChange, Setting, Store, StoreError, Subject,
    Undoer, UnixMillis, precedence, quota::Quota, undo,
};

const HOUR: i64 = 3_600_000;

fn later(hours: i64) -> UnixMillis {
    UnixMillis::new(NOW.get() + hours * HOUR)
}

fn undoer() -> Undoer {
    Undoer { at: later(1), author: "bob".to_owned(), door: "token".to_owned(), why: None }
}

/// Undoes a change where file and sources say 1.
fn take_back(store: &mut Store, id: ChangeId) -> Result<ChangeId, StoreError> {
    let change = store.change(id)?;
    let last = store.last_of(&change.subject, change.field)?.unwrap();
    let undo = undo(&change, &last, undoer(), &json!(1), json!(1))?;
    Ok(store.record(&[undo])?[0])
}

#[test]
fn a_restart_shows_the_same_overrides_and_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = open(&path);
    let strategy = NewChange {
        subject: Subject::of_cluster("web"),
        field: Field::Strategy,
        after: overridden(json!({ "name": "maglev", "bounded_load": 1.25 })),
        before: configured("least-conn"),
        basis: json!("least-conn"),
        why: None,
        ..weight(configured(1), 0)
    };
    store.record(&[weight(configured(1), 3), strategy]).unwrap();
    store.record(&[weight(overridden(3), 5)]).unwrap();
    let before = (store.overrides().unwrap(), store.latest(10).unwrap());
    drop(store);
    let store = open(&path);
    assert_eq!((store.overrides().unwrap(), store.latest(10).unwrap()), before);
    let (overrides, changes) = before;
    let told: Vec<_> =
        overrides.iter().map(|of| (of.subject.to_string(), of.change.get())).collect();
    assert_eq!(told, [("web".to_owned(), 2), ("web/w1".to_owned(), 3)]);
    assert_eq!(overrides[1].value, json!(5));
    assert_eq!(overrides[1].basis, json!(1));
    let found: Vec<u64> = changes.iter().map(|change| change.found.get()).collect();
    assert_eq!(found, [0, 0, 1]);
    assert_eq!(store.changes(ChangeId::new(1), 1).unwrap(), changes[1..2]);
}

#[test]
fn a_change_can_be_undone_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let first = open(&path).record(&[weight(configured(1), 3)]).unwrap()[0];
    let second = open(&path).record(&[weight(overridden(3), 5)]).unwrap()[0];
    let mut store = open(&path);
    assert_eq!(store.last_standing().unwrap().map(|change| change.id), Some(second));
    let undone = take_back(&mut store, second).unwrap();
    assert_eq!(store.overrides().unwrap()[0].value, json!(3));
    drop(store);
    let mut store = open(&path);
    assert_eq!(store.last_standing().unwrap().map(|change| change.id), Some(first));
    let change = store.change(undone).unwrap();
    assert_eq!((change.undoes, change.author.as_str()), (Some(second), "bob"));
    take_back(&mut store, first).unwrap();
    assert!(store.overrides().unwrap().is_empty());
    assert_eq!(store.last_standing().unwrap(), None);
}

#[test]
fn changes_that_belong_together_are_written_all_or_none() {
    let mut store = memory();
    let mut wrong = weight(configured(1), 4);
    wrong.undoes = Some(ChangeId::new(77));
    let refused = store.record(&[weight(configured(1), 3), wrong]).unwrap_err();
    assert!(matches!(refused, StoreError::NoSuchChange(id) if id.get() == 77), "{refused}");
    assert!(store.overrides().unwrap().is_empty());
    assert!(store.latest(9).unwrap().is_empty());
    let mut long = weight(configured(1), 4);
    long.why = Some("x".repeat(20_000));
    let refused = store.record(&[weight(configured(1), 3), long]).unwrap_err();
    assert_eq!(refused.to_string(), "`why` has 20000 bytes; at most 16384 are kept");
    assert!(store.latest(9).unwrap().is_empty());
    // Numbers are not skipped by what failed.
    assert_eq!(store.record(&[weight(configured(1), 3)]).unwrap(), [ChangeId::new(1)]);
}

#[test]
fn an_edit_of_the_file_takes_an_override_away_and_that_can_be_undone() {
    let mut store = memory();
    let first = store.record(&[weight(configured(1), 3)]).unwrap()[0];
    let settled = precedence::settle(store.overrides().unwrap(), |_, _| Some(json!(9)));
    assert_eq!(settled.dropped[0].cause, DropCause::FileChanged(json!(9)));
    let dropped = store.record(&[settled.dropped[0].to_change(later(1))]).unwrap()[0];
    assert!(store.overrides().unwrap().is_empty());
    let refused = take_back(&mut store, first).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "weight of `web/w1` has been changed since: by change 2, lb, to 9"
    );
    // It is told who did it; without a number, `undo` does not mean this one.
    assert_eq!(store.change(dropped).unwrap().door, ITSELF);
    assert_eq!(store.last_standing().unwrap(), None);
    let change = store.change(dropped).unwrap();
    let undo = undo(&change, &change, undoer(), &json!(9), json!(9)).unwrap();
    store.record(&[undo]).unwrap();
    let of = &store.overrides().unwrap()[0];
    assert_eq!((&of.value, &of.basis), (&json!(3), &json!(9)));
}

#[test]
fn an_override_outlives_its_backend_by_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = open(&path);
    store.record(&[weight(configured(1), 3)]).unwrap();
    assert_eq!(store.expire(later(10), |_| true).unwrap(), []);
    assert_eq!(store.overrides().unwrap()[0].seen, later(10));
    assert_eq!(store.expire(later(33), |_| false).unwrap(), []);
    // A clock that ran ahead and was set back does not keep it for ever.
    assert_eq!(store.expire(later(9000), |_| true).unwrap(), []);
    assert_eq!(store.expire(later(10), |_| true).unwrap(), []);
    drop(store);
    // Nobody looked while nothing ran: after a start there is an hour to come back.
    let mut store = Store::open(&path, later(90)).unwrap();
    assert_eq!(store.overrides().unwrap()[0].seen, later(10));
    assert_eq!(store.expire(later(90), |_| false).unwrap(), []);
    let gone = store.expire(later(91), |_| false).unwrap();
    assert_eq!(gone.len(), 1);
    assert!(store.overrides().unwrap().is_empty());
    let told = store.latest(1).unwrap();
    assert_eq!(told[0].why.as_deref(), Some("`web/w1` was last seen 81 hours ago"));
    assert_eq!(told[0].before, overridden(3));
}

#[test]
fn a_tombstone_is_kept_with_the_incarnation_that_it_is_for() {
    let mut store = memory();
    let removed = NewChange {
        field: Field::Removed,
        before: configured(json!(null)),
        after: overridden(json!({ "address": "10.0.0.1:80", "instance": "c0ffee" })),
        basis: json!(null),
        ..weight(configured(1), 0)
    };
    store.record(&[removed]).unwrap();
    // Its source still names it: it is there, and kept out.
    assert_eq!(store.expire(later(100), |_| true).unwrap(), []);
    let of = &store.overrides().unwrap()[0];
    assert_eq!((of.field, &of.value["instance"]), (Field::Removed, &json!("c0ffee")));
}

fn with_quota(quota: Quota) -> Store {
    Store::new(Connection::open_in_memory().unwrap(), None, quota, NOW).unwrap()
}

fn numbers(changes: &[Change]) -> Vec<u64> {
    changes.iter().map(|change| change.id.get()).collect()
}

#[test]
fn the_oldest_changes_go_and_what_made_an_override_stays() {
    let mut store = with_quota(Quota { changes: 5, ..Quota::DEFAULT });
    store.record(&[weight(configured(1), 3)]).unwrap();
    for n in 0..20 {
        let mut change = weight(overridden(n), n + 1);
        change.subject = Subject::of_backend("web", "w2");
        store.record(&[change]).unwrap();
    }
    assert_eq!(numbers(&store.latest(100).unwrap()), [1, 17, 18, 19, 20, 21]);
    let overrides = store.overrides().unwrap();
    assert_eq!(overrides.len(), 2);
    assert_eq!(overrides[0].value, json!(3));
    let refused = take_back(&mut store, ChangeId::new(5)).unwrap_err();
    assert!(refused.to_string().starts_with("there is no change 5"), "{refused}");
    // The override can be undone however old it is; then its change goes, too.
    take_back(&mut store, ChangeId::new(1)).unwrap();
    assert_eq!(numbers(&store.latest(100).unwrap()), [18, 19, 20, 21, 22]);
}

#[test]
fn the_file_does_not_grow_beyond_its_quota() {
    let quota = Quota { bytes: 1 << 20, ..Quota::DEFAULT };
    let mut store = with_quota(quota);
    // One that stays, however old.
    let mut pinned = weight(configured(1), 3);
    pinned.subject = Subject::of_backend("web", "w2");
    store.record(&[pinned]).unwrap();
    for n in 0..1000 {
        let mut change = weight(configured(1), n);
        change.why = Some("x".repeat(8000));
        store.record(&[change]).unwrap();
    }
    let pages: i64 =
        store.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    assert!(pages * 4096 < quota.bytes + (1 << 17), "{pages} pages");
    let kept = numbers(&store.latest(1000).unwrap());
    assert_eq!((kept.first(), kept.last()), (Some(&1), Some(&1001)));
    // 8 KB each: what fits a MiB is 100 or so, less the eighth that goes at once.
    assert!((80..140).contains(&kept.len()), "{} changes", kept.len());
    assert_eq!(store.overrides().unwrap()[0].value, json!(999));
}

#[test]
fn a_store_may_be_given_to_the_thread_that_waits_for_the_disk() {
    const fn sent<T: Send>() {}
    sent::<Store>();
    sent::<StoreError>();
    assert!(matches!(configured(1), Setting::Configured(_)));
}
