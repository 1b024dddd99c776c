//! Undo against a naive model: of every change, the state before and the state after.

use proptest::prelude::*;
use serde_json::json;

use super::{NOW, configured, memory, overridden, weight};
use crate::state::{Change, ChangeId, Field, NewChange, Setting, Store, Subject, Undoer, undo};

/// Something that people do, in one of two fields.
#[derive(Debug, Clone)]
enum Act {
    Set(u8, u32),
    /// Back to what the file says.
    Release(u8),
    /// Undo the change before the last one by so many.
    Undo(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..2_u8, 0..9_u32).prop_map(|(field, weight)| Act::Set(field, weight)),
        1 => (0..2_u8).prop_map(Act::Release),
        4 => (0..6_usize).prop_map(Act::Undo),
    ]
}

fn subject(field: u8) -> Subject {
    Subject::of_backend("web", &format!("w{field}"))
}

/// What the overrides say: what a start would restore.
fn present(store: &Store, subject: &Subject) -> Setting {
    let overrides = store.overrides().unwrap();
    let found = overrides.into_iter().find(|of| of.subject == *subject);
    found.map_or_else(|| configured(1), |of| Setting::Override(of.value))
}

fn undoing(store: &Store, id: ChangeId) -> Option<NewChange> {
    let change = store.change(id).unwrap();
    let last = store.last_of(&change.subject, change.field).unwrap().unwrap();
    let by = Undoer { at: NOW, author: "bob".to_owned(), door: "token".to_owned(), why: None };
    undo(&change, &last, by, &json!(1), json!(1)).ok()
}

/// A state of a field in the model, and which change made it.
#[derive(Debug, Clone)]
struct State {
    setting: Setting,
    made_by: u64,
}

proptest! {
    #[test]
    fn an_undo_restores_the_state_before_or_is_refused(acts in prop::collection::vec(act(), 0..30)) {
        let mut store = memory();
        let start = State { setting: configured(1), made_by: 0 };
        let mut fields = [start.clone(), start];
        // Of each change: its field, the state before and the state after.
        let mut line: Vec<(usize, State, State)> = Vec::new();
        for act in acts {
            let number = line.len() as u64 + 1;
            match act {
                Act::Set(field, _) | Act::Release(field) => {
                    let after = match act {
                        Act::Set(_, weight) => overridden(weight),
                        _ => configured(1),
                    };
                    let was = fields[usize::from(field)].clone();
                    let new = NewChange {
                        subject: subject(field),
                        after: after.clone(),
                        ..weight(was.setting.clone(), 0)
                    };
                    prop_assert_eq!(store.record(&[new]).unwrap()[0].get(), number);
                    let is = State { setting: after, made_by: number };
                    fields[usize::from(field)] = is.clone();
                    line.push((usize::from(field), was, is));
                }
                Act::Undo(back) => {
                    let Some(index) = line.len().checked_sub(back + 1) else { continue };
                    let (field, was, is) = line[index].clone();
                    let found = undoing(&store, ChangeId::new(index as u64 + 1));
                    // Possible exactly while the state that the change made is the present one.
                    let now = fields[field].clone();
                    prop_assert_eq!(found.is_some(), now.made_by == is.made_by);
                    let Some(new) = found else { continue };
                    prop_assert_eq!(&new.before, &now.setting);
                    prop_assert_eq!(&new.after, &was.setting);
                    store.record(&[new]).unwrap();
                    fields[field] = was.clone();
                    line.push((field, now, was));
                }
            }
            for (field, state) in (0..).zip(&fields) {
                prop_assert_eq!(&present(&store, &subject(field)), &state.setting);
            }
        }
        // `undo` and nothing else, again and again, ends where it began.
        let mut left = line.len();
        while let Some(change) = store.last_standing().unwrap() {
            prop_assert!(left > 0, "it walks back only");
            left -= 1;
            let new = undoing(&store, change.id).unwrap();
            store.record(&[new]).unwrap();
        }
        prop_assert!(store.overrides().unwrap().is_empty());
    }
}

fn last(store: &Store) -> Change {
    let subject = Subject::of_backend("web", "w1");
    store.last_of(&subject, Field::Weight).unwrap().unwrap()
}

#[test]
fn an_undo_says_why_it_is_refused() {
    let mut store = memory();
    let refusal = |store: &Store, id: u64| {
        let change = store.change(ChangeId::new(id)).unwrap();
        let by = Undoer { at: NOW, author: "bob".to_owned(), door: "token".to_owned(), why: None };
        undo(&change, &last(store), by, &json!(1), json!(1)).unwrap_err().to_string()
    };
    store.record(&[weight(configured(1), 3)]).unwrap();
    store.record(&[weight(overridden(3), 5)]).unwrap();
    assert_eq!(
        refusal(&store, 1),
        "weight of `web/w1` has been changed since: by change 2, ann, to 5"
    );
    let undo = undoing(&store, ChangeId::new(2)).unwrap();
    store.record(std::slice::from_ref(&undo)).unwrap();
    assert_eq!(refusal(&store, 2), "change 2 has been undone already, by change 3");
    // Two who press the button at once: the second is told by the store itself.
    let late = store.record(&[undo]).unwrap_err();
    assert_eq!(late.to_string(), "change 2 has been undone already, by change 3");
}

#[test]
fn an_undo_can_be_undone() {
    let mut store = memory();
    store.record(&[weight(configured(1), 3)]).unwrap();
    for (undone, expected) in [(1, configured(1)), (2, overridden(3)), (3, configured(1))] {
        let undo = undoing(&store, ChangeId::new(undone)).unwrap();
        store.record(&[undo]).unwrap();
        assert_eq!(present(&store, &Subject::of_backend("web", "w1")), expected);
    }
}

#[test]
fn an_undo_gives_the_field_back_to_the_file_as_it_is_by_then() {
    let mut store = memory();
    store.record(&[weight(configured(1), 3)]).unwrap();
    let change = last(&store);
    let by = Undoer { at: NOW, author: "bob".to_owned(), door: "token".to_owned(), why: None };
    // Only a source can have changed its mind without the override being dropped.
    let undo = undo(&change, &change, by, &json!(7), json!(null)).unwrap();
    assert_eq!(undo.after, configured(7));
}
