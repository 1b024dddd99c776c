//! Who is right about a field: a person, the file, or a source. Pure: what the file
//! says is asked for, what is written down is passed in.
//!
//! A person's word holds until the file's value of that field changes. Whoever edits
//! the file later knows better than whoever changed the running balancer earlier, and
//! an edit of another field says nothing about this one. A file that no longer has
//! the subject at all says nothing either: a container that is away for an hour comes
//! back drained as it was, and only after [`KEPT`] is its override given up.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::model::{Field, NewChange, Override, Setting, Subject, UnixMillis};

/// How long an override outlives its subject.
pub(crate) const KEPT: Duration = Duration::from_hours(24);

/// How long sources have after a start to say who is there, before anybody counts as
/// gone: nobody looked while nothing ran.
pub(crate) const PATIENCE: Duration = Duration::from_hours(1);

/// The door of changes that the balancer makes by itself.
pub(crate) const ITSELF: &str = "itself";

/// What is left of the overrides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) kept: Vec<Override>,
    pub(crate) dropped: Vec<Dropped>,
}

/// An override that holds no more.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dropped {
    pub(crate) of: Override,
    pub(crate) cause: DropCause,
}

/// Why an override holds no more.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DropCause {
    /// The file says this now, and said something else when the override was made.
    FileChanged(Value),
    /// The subject has not been there for so long.
    Gone(Duration),
    /// It does not go together with what the file says of something else now, and why.
    Unfit(String),
}

impl Dropped {
    /// As it is written down, so that it is told and can be undone like any change.
    pub(crate) fn to_change(&self, now: UnixMillis) -> NewChange {
        let (says, why) = match &self.cause {
            DropCause::FileChanged(says) => {
                let (now, then) = (words(says), words(&self.of.basis));
                (says, format!("the file says {now} now, and said {then} then"))
            }
            DropCause::Gone(span) => {
                let hours = span.as_secs() / 3600;
                (&self.of.basis, format!("`{}` was last seen {hours} hours ago", self.of.subject))
            }
            DropCause::Unfit(why) => {
                (&self.of.basis, format!("it does not go with the file: {why}"))
            }
        };
        // The word for whoever is removed is his address in the file, which is no removal.
        let after = match self.of.field {
            Field::Removed => Value::Null,
            _ => says.clone(),
        };
        NewChange {
            at: now,
            author: "lb".to_owned(),
            door: ITSELF.to_owned(),
            why: Some(why),
            subject: self.of.subject.clone(),
            field: self.of.field,
            before: Setting::Override(self.of.value.clone()),
            after: Setting::Configured(after),
            basis: says.clone(),
            undoes: None,
        }
    }
}

fn words(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { value.to_string() }
}

/// Drops the overrides of those fields whose value in the file has changed.
///
/// `file` is what the file says of a field now, defaults included; `None` if it does
/// not have the subject.
pub(crate) fn settle(
    overrides: impl IntoIterator<Item = Override>,
    file: impl Fn(&Subject, Field) -> Option<Value>,
) -> Settled {
    let mut settled = Settled { kept: Vec::new(), dropped: Vec::new() };
    for of in overrides {
        match file(&of.subject, of.field).filter(|says| !is_same(says, &of.basis)) {
            None => settled.kept.push(of),
            Some(says) => {
                settled.dropped.push(Dropped { of, cause: DropCause::FileChanged(says) });
            }
        }
    }
    settled
}

/// Drops the overrides whose subject has not been there for [`KEPT`], and notes of the
/// others that they are there. `started` is when this balancer was.
///
/// Whether a subject is there is asked of file, sources and what people added, not of
/// what is left when what they removed is taken away: a tombstone is needed for as
/// long as a source names the one whose it is.
pub(crate) fn expire(
    overrides: impl IntoIterator<Item = Override>,
    now: UnixMillis,
    started: UnixMillis,
    is_there: impl Fn(&Subject) -> bool,
) -> Settled {
    let mut settled = Settled { kept: Vec::new(), dropped: Vec::new() };
    let is_patient = now.since(started) < PATIENCE;
    let overrides: Vec<Override> = overrides.into_iter().collect();
    // Also where that is not heeded, as with `--ignore-state`: nobody else could bring him.
    let added = overrides.iter().filter(|of| of.field == Field::Added).map(|of| &of.subject);
    let is_added = |of: &&Subject| is_there(&Subject::of_cluster(of.cluster()));
    let added: BTreeSet<Subject> = added.filter(is_added).cloned().collect();
    for mut of in overrides {
        let away = now.since(of.seen);
        if added.contains(&of.subject) || is_there(&of.subject) {
            of.seen = now;
            settled.kept.push(of);
        } else if away < KEPT || is_patient {
            settled.kept.push(of);
        } else {
            settled.dropped.push(Dropped { of, cause: DropCause::Gone(away) });
        }
    }
    settled
}

/// Whether two values mean the same. A number is the same however it is written (`1`,
/// `1.0`), and after it was written down and read again, which may move the last bit.
pub(crate) fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let is_close =
                |(a, b): (f64, f64)| (a - b).abs() <= f64::EPSILON * 2.0 * a.abs().max(b.abs());
            a == b || (a.is_f64() || b.is_f64()) && a.as_f64().zip(b.as_f64()).is_some_and(is_close)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let has = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(has)
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::state::model::ChangeId;

    const HOUR: i64 = 3_600_000;

    fn over(backend: &str, field: Field, value: Value, basis: Value) -> Override {
        Override {
            subject: Subject::of_backend("web", backend),
            field,
            value,
            basis,
            change: ChangeId::new(1),
            seen: UnixMillis::new(0),
        }
    }

    /// Values as files have them.
    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            (0..4_u32).prop_map(Value::from),
            prop_oneof![Just("enabled"), Just("draining"), Just("disabled")].prop_map(Value::from),
            (0..3_u32).prop_map(|bound| json!({ "name": "maglev", "bounded_load": bound })),
        ]
    }

    fn field() -> impl Strategy<Value = Field> {
        (0..Field::ALL.len()).prop_map(|index| Field::ALL[index])
    }

    /// Some overrides of few subjects, at most one of each field.
    fn overrides() -> impl Strategy<Value = Vec<Override>> {
        let one = (0..4_u8, field(), value(), value());
        prop::collection::vec(one, 0..12).prop_map(|all| {
            let by_field: BTreeMap<(u8, Field), Override> = all
                .into_iter()
                .map(|(n, field, value, basis)| {
                    ((n, field), over(&format!("w{n}"), field, value, basis))
                })
                .collect();
            by_field.into_values().collect()
        })
    }

    proptest! {
        #[test]
        fn an_override_holds_exactly_until_the_files_value_of_its_field_changes(
            all in overrides(),
            edits in prop::collection::vec((0..4_u8, field(), prop::option::of(value())), 0..6),
        ) {
            // What the file says: what it said, but for the edits.
            let file = |subject: &Subject, field: Field| {
                let edit = edits.iter().rev().find(|(n, edited, _)| {
                    subject.backend() == Some(&format!("w{n}")) && *edited == field
                });
                let of = || all.iter().find(|of| of.subject == *subject && of.field == field);
                match edit {
                    Some((_, _, says)) => says.clone(),
                    None => of().map(|of| of.basis.clone()),
                }
            };
            let settled = settle(all.clone(), file);
            prop_assert_eq!(settled.kept.len() + settled.dropped.len(), all.len());
            for of in &settled.kept {
                prop_assert!(all.contains(of), "kept as it was");
                let says = file(&of.subject, of.field);
                prop_assert!(says.is_none_or(|says| says == of.basis));
            }
            for dropped in &settled.dropped {
                let says = file(&dropped.of.subject, dropped.of.field);
                prop_assert_ne!(says.as_ref(), Some(&dropped.of.basis));
                prop_assert_eq!(Some(dropped.cause.clone()), says.map(DropCause::FileChanged));
                // Written down, it leaves the field to the file.
                let change = dropped.to_change(UnixMillis::new(7));
                prop_assert_eq!(change.before, Setting::Override(dropped.of.value.clone()));
                prop_assert!(!change.after.is_override());
            }
            // Nothing is dropped twice, and the order of what is kept stays.
            let again = settle(settled.kept.clone(), file);
            prop_assert_eq!(&again.kept, &settled.kept);
            prop_assert!(again.dropped.is_empty());
        }

        #[test]
        fn an_override_expires_a_day_after_its_subject_was_last_there(
            seen in 0..100_i64, now in 0..100_i64, started in 0..100_i64, is_there: bool,
        ) {
            let of = Override {
                seen: UnixMillis::new(seen * HOUR),
                ..over("w1", Field::Weight, json!(3), json!(1))
            };
            let (now_at, started_at) = (UnixMillis::new(now * HOUR), UnixMillis::new(started * HOUR));
            let settled = expire([of], now_at, started_at, |_| is_there);
            let is_over = !is_there && now - seen >= 24 && now - started >= 1;
            prop_assert_eq!(settled.dropped.len(), usize::from(is_over));
            if is_there {
                prop_assert_eq!(settled.kept[0].seen, now_at);
            }
        }

        #[test]
        fn a_number_is_the_same_after_it_was_written_down(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let value = json!({ "bounded_load": [number] });
            let read: Value = serde_json::from_str(&value.to_string()).unwrap();
            prop_assert!(is_same(&value, &read), "{} {}", value, read);
        }
    }

    #[test]
    fn who_was_added_is_there_as_long_as_his_cluster_is_whether_that_is_heeded_or_not() {
        let added = || over("x1", Field::Added, json!({ "address": "x:1" }), Value::Null);
        let overrides = || [added(), over("x1", Field::Weight, json!(3), Value::Null)];
        let (now, started) = (UnixMillis::new(30 * HOUR), UnixMillis::new(0));
        let settled = expire(overrides(), now, started, |one| *one == Subject::of_cluster("web"));
        assert!(settled.dropped.is_empty() && settled.kept.iter().all(|of| of.seen == now));
        let settled = expire(overrides(), now, started, |_| false);
        assert_eq!(settled.dropped.len(), 2);
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written_and_another_is_not() {
        assert!(is_same(&json!(1), &json!(1.0)));
        assert!(is_same(&json!({"a": [1.25], "b": 2}), &json!({"b": 2.0, "a": [1.25]})));
        assert!(!is_same(&json!(1.25), &json!(1.26)));
        assert!(!is_same(&json!(1), &json!("1")));
        assert!(!is_same(&json!({"a": 1}), &json!({"a": 1, "b": null})));
        assert!(!is_same(&json!(null), &json!(0)));
        assert!(!is_same(&json!(u64::MAX - 5000), &json!(u64::MAX)));
    }

    #[test]
    fn what_was_dropped_says_why() {
        let of = over("w1", Field::Weight, json!(3), json!(1));
        let file = |_: &Subject, _: Field| Some(json!(5));
        let settled = settle([of.clone()], file);
        let why = settled.dropped[0].to_change(UnixMillis::new(7)).why;
        assert_eq!(why.as_deref(), Some("the file says 5 now, and said 1 then"));
        let new = over("w1", Field::Weight, json!(3), Value::Null);
        let settled = settle([new], file);
        let why = settled.dropped[0].to_change(UnixMillis::new(7)).why;
        assert_eq!(why.as_deref(), Some("the file says 5 now, and said nothing then"));
        let now = UnixMillis::new(30 * HOUR);
        let settled = expire([of], now, UnixMillis::new(0), |_| false);
        let why = settled.dropped[0].to_change(now).why;
        assert_eq!(why.as_deref(), Some("`web/w1` was last seen 30 hours ago"));
    }
}
