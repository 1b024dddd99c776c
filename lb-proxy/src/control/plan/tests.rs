use serde_json::json;

use super::*;
use crate::control::settings::SettingTable;

fn config(text: &str) -> Config {
    let (config, found) = Config::parse("test", text, &lb_proxy::config::Pretended::default());
    config.unwrap_or_else(|| panic!("{}", found.render(false)))
}

fn web() -> Config {
    config(
        "to = []\n[[route]]\nto = \"web\"\npath = \"/web\"\n[cluster.web]\n\
         backends = [{ address = \"127.0.0.1:1\", name = \"w1\" }, \
         { address = \"127.0.0.1:2\", name = \"w2\", weight = 3 }]\n",
    )
}

fn seen(config: &Config, name: &str) -> Seen {
    let found = config.clusters.iter().find(|cluster| *cluster.name == *name).unwrap();
    let reported = Membership::new(found.backends.iter().cloned()).unwrap();
    let cluster = Cluster::builder(name).membership(reported.clone()).build();
    Seen { cluster, reported, passing: Passing::default(), has_checks: found.health.is_some() }
}

fn planned(wishes: &[Wish], force: bool, overrides: &Overrides) -> Result<Plan, Refused> {
    let config = web();
    let sight = Sight {
        config: &config,
        clusters: vec![seen(&config, "web")],
        overrides,
        undone: &BTreeMap::new(),
    };
    plan(wishes, force, &sight)
}

fn patch(backend: &str, patch: BackendPatch) -> Wish {
    Wish::Patch { cluster: "web".to_owned(), backend: backend.to_owned(), patch }
}

fn state(backend: &str, state: WantedState) -> Wish {
    patch(backend, BackendPatch { state: Some(state), ..BackendPatch::default() })
}

fn edits(plan: &Plan) -> Vec<(String, Field, Value)> {
    let edit = |edit: &Edit| (edit.subject.to_string(), edit.field, edit.after.value().clone());
    plan.edits.iter().map(edit).collect()
}

fn no_overrides() -> Overrides {
    Overrides::new()
}

#[test]
fn a_drain_says_which_share_moves_where() {
    let plan =
        planned(&[state("w2", WantedState::Draining { limit: None })], false, &no_overrides());
    let plan = plan.unwrap();
    assert_eq!(edits(&plan), [("web/w2".to_owned(), Field::State, json!("draining"))]);
    assert_eq!(plan.impact.says, "web: 0 requests in flight, share 75 % → w1; 1 usable left");
    assert!((plan.impact.share_moving - 0.75).abs() < 1e-9);
}

#[test]
fn the_last_usable_backend_is_not_taken_out_unless_forced() {
    let both = [state("w1", WantedState::Disabled), state("w2", WantedState::Disabled)];
    let refused = planned(&both, false, &no_overrides()).unwrap_err();
    assert!(matches!(refused, Refused::WouldEmpty { .. }), "{refused:?}");
    let forced = planned(&both, true, &no_overrides()).unwrap();
    assert_eq!((forced.edits.len(), forced.impact.usable_left), (2, 0));
}

#[test]
fn names_that_are_not_there_are_refused_with_the_nearest() {
    let wrong = planned(&[state("w3", WantedState::Enabled)], false, &no_overrides());
    let near = Some("w1".to_owned());
    let (cluster, name) = ("web".to_owned(), "w3".to_owned());
    assert_eq!(wrong.unwrap_err(), Refused::NoSuchBackend { cluster, name, near });
    let strategy = Wish::Strategy { cluster: "wep".to_owned(), strategy: "p2c".into() };
    let wrong = planned(&[strategy], false, &no_overrides()).unwrap_err();
    assert_eq!(wrong.hint().unwrap(), "did you mean `web`?");
}

#[test]
fn who_is_removed_and_added_at_once_does_not_leave() {
    let (cluster, limit) = ("web".to_owned(), Some(Duration::from_secs(9)));
    let remove = Wish::Remove { cluster: cluster.clone(), backend: "w1".to_owned(), drain: limit };
    let backend = NewBackend {
        address: "127.0.0.1:1".to_owned(),
        name: Some("w1".to_owned()),
        ..NewBackend::default()
    };
    let plan = planned(std::slice::from_ref(&remove), false, &no_overrides()).unwrap();
    assert!(plan.removes_later("web", "w1"));
    let plan = planned(&[remove, Wish::Add { cluster, backend }], false, &no_overrides()).unwrap();
    assert!(!plan.removes_later("web", "w1") && plan.impact.usable_left == 2);
}

#[test]
fn what_is_true_already_makes_no_change() {
    let weight = BackendPatch { weight: Some(None), ..BackendPatch::default() };
    let same = BackendPatch { weight: Some(Some(3)), ..BackendPatch::default() };
    let wishes = [state("w1", WantedState::Enabled), patch("w1", weight), patch("w2", same)];
    assert_eq!(planned(&wishes, false, &no_overrides()).unwrap().edits, []);
}

#[test]
fn a_weight_or_a_ceiling_of_nothing_is_refused_with_what_is_meant() {
    let weight = BackendPatch { weight: Some(Some(0)), ..BackendPatch::default() };
    let refused = planned(&[patch("w1", weight)], false, &no_overrides()).unwrap_err();
    assert!(refused.detail().contains("draining"), "{}", refused.detail());
    let most = BackendPatch { max_in_flight: Some(Some(0)), ..BackendPatch::default() };
    assert!(planned(&[patch("w1", most)], false, &no_overrides()).is_err());
}

#[test]
fn wishes_build_on_each_other() {
    let cluster = "web".to_owned();
    let backend = NewBackend {
        address: "127.0.0.1:3".to_owned(),
        name: Some("w3".to_owned()),
        ..NewBackend::default()
    };
    let add = Wish::Add { cluster: cluster.clone(), backend };
    let weight = BackendPatch { weight: Some(Some(9)), ..BackendPatch::default() };
    let remove = Wish::Remove { cluster, backend: "w1".to_owned(), drain: None };
    let plan = planned(&[add.clone(), patch("w3", weight), remove], false, &no_overrides());
    let plan = plan.unwrap();
    let fields: Vec<Field> = plan.edits.iter().map(|edit| edit.field).collect();
    assert_eq!(fields, [Field::Added, Field::Weight, Field::Removed]);
    assert_eq!(plan.impact.usable_left, 2);
    let twice = planned(&[add.clone(), add], false, &no_overrides()).unwrap_err();
    assert!(matches!(twice, Refused::Conflict { .. }));
}

/// Two backends that are checked, of which w1 was removed.
fn checked() -> Config {
    config(
        "to = []\n[[route]]\nto = \"web\"\npath = \"/web\"\n[cluster.web]\n\
         health = { path = \"/h\", interval = \"5s\" }\n\
         backends = [{ address = \"127.0.0.1:1\", name = \"w1\" }, \
         { address = \"127.0.0.1:2\", name = \"w2\" }]\n",
    )
}

fn tombstone_of_w1() -> (Change, Overrides) {
    let (subject, field) = (Subject::of_backend("web", "w1"), Field::Removed);
    let grave = tombstone(&Backend::new("127.0.0.1:1").named("w1"));
    let change = Change {
        id: ChangeId::new(1),
        at: UnixMillis::new(0),
        author: "anna".to_owned(),
        door: "loopback".to_owned(),
        why: None,
        subject: subject.clone(),
        field,
        before: Setting::Configured(Value::Null),
        after: Setting::Override(grave.clone()),
        undoes: None,
        found: ChangeId::ZERO,
        stands: ChangeId::new(1),
    };
    let (basis, seen) = (Value::Null, UnixMillis::new(0));
    let one =
        Override { subject: subject.clone(), field, value: grave, basis, change: change.id, seen };
    (change, Overrides::from([((subject, field), one)]))
}

/// What wishes come to after w1 was removed by change 1.
fn planned_after_removal(wishes: &[Wish]) -> Result<Plan, Refused> {
    let config = checked();
    let (change, overrides) = tombstone_of_w1();
    let undone = BTreeMap::from([(1, change)]);
    let clusters = vec![seen(&config, "web")];
    plan(
        wishes,
        false,
        &Sight { config: &config, clusters, overrides: &overrides, undone: &undone },
    )
}

#[test]
fn whoever_an_undo_brings_back_waits_for_a_check() {
    let plan = planned_after_removal(&[Wish::Undo { change: 1 }]).unwrap();
    assert_eq!(plan.joins, [("web".into(), "w1".into())]);
    assert_eq!(plan.impact.usable_left, 1);
}

#[test]
fn an_undo_brings_nobody_back_whose_address_another_has_by_now() {
    let backend = NewBackend {
        address: "127.0.0.1:1".to_owned(),
        name: Some("other".to_owned()),
        ..NewBackend::default()
    };
    let add = Wish::Add { cluster: "web".to_owned(), backend };
    let refused = planned_after_removal(&[add, Wish::Undo { change: 1 }]).unwrap_err();
    assert!(refused.detail().contains("has the backend `other` at 127.0.0.1:1"), "{refused:?}");
}

#[test]
fn a_field_that_is_changed_and_taken_back_at_once_is_refused_as_a_contradiction() {
    let backend = NewBackend { address: "127.0.0.1:1".to_owned(), ..NewBackend::default() };
    let backend = NewBackend { name: Some("w1".to_owned()), ..backend };
    let add = Wish::Add { cluster: "web".to_owned(), backend };
    let refused = planned_after_removal(&[add, Wish::Undo { change: 1 }]).unwrap_err();
    assert!(matches!(&refused, Refused::Conflict { .. }), "{refused:?}");
    assert!(refused.detail().contains("is changed and taken back at once"), "{refused:?}");
}

fn tune(key: &str, value: Value) -> Wish {
    let set = serde_json::Map::from_iter([(key.to_owned(), value)]);
    Wish::Tune { cluster: "web".to_owned(), table: SettingTable::Health, set }
}

#[test]
fn a_setting_in_another_spelling_is_no_change_and_what_is_set_is_spelt_as_read() {
    let plan = planned_after_removal(&[tune("interval", json!("5000ms"))]).unwrap();
    assert_eq!(plan.edits, []);
    let plan = planned_after_removal(&[tune("interval", json!("90s"))]).unwrap();
    let interval = Field::of_name("health.interval").unwrap();
    assert_eq!(edits(&plan), [("web".to_owned(), interval, json!("1m30s"))]);
    let usual = json!({ "name": "least-conn" });
    let strategy = Wish::Strategy { cluster: "web".to_owned(), strategy: usual };
    assert_eq!(planned_after_removal(&[strategy]).unwrap().edits, []);
}

#[test]
fn checks_without_anything_to_ask_for_are_refused_whichever_wish_leaves_them_so() {
    let refused = planned(&[tune("interval", json!("1s"))], false, &no_overrides()).unwrap_err();
    assert!(refused.hint().unwrap().contains("path"), "{refused:?}");
    let both =
        [tune("path", json!("/h")), tune("interval", json!("1s")), tune("path", Value::Null)];
    assert!(planned(&both, false, &no_overrides()).is_err());
}

#[test]
fn checks_are_switched_off_where_they_are_on() {
    let off = || vec![tune("enabled", json!(false))];
    assert_eq!(planned(&off(), false, &no_overrides()).unwrap().edits, []);
    let plan = planned_after_removal(&off()).unwrap();
    let enabled = Field::of_name("health.enabled").unwrap();
    assert_eq!(edits(&plan), [("web".to_owned(), enabled, json!(false))]);
    let mut both = vec![tune("path", json!("/h"))];
    both.extend(off());
    let plan = planned(&both, false, &no_overrides()).unwrap();
    assert_eq!(plan.edits.len(), 2, "{:?}", plan.edits);
}
