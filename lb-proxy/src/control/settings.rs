//! How a cluster works, as people have set it beside the file: its strategy, its checks
//! and its cookie. Pure.
//!
//! The one hard decision: what somebody sets is put into a file of one cluster, beside what
//! the real file says, and read by the reader of files. So it is taken and refused by the
//! same rules and with the same words, alone and together with all the rest, and what
//! `lb check` would refuse cannot come about. Only `enabled` is no key of the file, where
//! a table is there or not.

use lb_proxy::{
    HealthCheck, StickySettings,
    config::{self, Cluster, Config, Diagnostic, Pretended, Severity},
};
use serde_json::{Map, Value};

use super::plan::Overrides;
use crate::state::{DropCause, Dropped, Field, Override, Subject};

/// A table of a cluster whose keys can be changed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingTable {
    Health,
    Sticky,
}

impl SettingTable {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Sticky => "sticky",
        }
    }

    /// The field of a key, or why there is none, with what helps.
    pub(crate) fn field(self, key: &str) -> Result<Field, (String, Option<String>)> {
        let table = self.name();
        if let Some((_, field)) = Field::keys_of(table).find(|(name, _)| *name == key) {
            return Ok(field);
        }
        if self == Self::Sticky && matches!(key, "value" | "key" | "keys") {
            let why = match key {
                "value" => "it goes together with `key`, which only the file has",
                _ => "a secret belongs into the file: what is set here is shown",
            };
            let help = "change it there, then `lb reload`".to_owned();
            return Err((why.to_owned(), Some(help)));
        }
        let known = self.keys();
        let help = match config::did_you_mean(key, self.keys()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("keys: {}", known.collect::<Vec<_>>().join(", ")),
        };
        Err((format!("`{table}` has no key `{key}`"), Some(help)))
    }

    /// Those of its keys that can be changed while it runs.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'static str> + Clone {
        Field::keys_of(self.name()).map(|(key, _)| key)
    }

    /// What holds of it in a cluster, by keys, `enabled` among them. Where it is off nothing
    /// is said, not even that: a key that is set then is meant to switch it on.
    pub(crate) fn said(self, cluster: &Cluster) -> Map<String, Value> {
        let (mut said, is_on) = match self {
            Self::Health => (cluster.health_said(), cluster.health.is_some()),
            Self::Sticky => (cluster.sticky_said(), cluster.sticky.is_some()),
        };
        if is_on {
            said.insert("enabled".to_owned(), true.into());
        }
        said
    }

    const ALL: [Self; 2] = [Self::Health, Self::Sticky];
}

/// Why settings do not go together, as the reader of files says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unfit {
    /// Which key: `health.interval`, or `strategy`.
    pub(crate) field: String,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
}

/// A cluster of the file with what people have set of how it works.
#[derive(Debug, Clone)]
pub(crate) struct Tuned {
    pub(crate) cluster: Cluster,
    /// What is suspicious about it, in sentences.
    pub(crate) warnings: Vec<String>,
}

/// What the file says of how a cluster works; null where it says nothing.
pub(crate) fn setting_in_file(cluster: &Cluster, field: Field) -> Value {
    let Some((table, key)) = field.key() else { return cluster.strategy.said() };
    let table = SettingTable::ALL.into_iter().find(|one| one.name() == table);
    let said = table.map(|table| table.said(cluster)).unwrap_or_default();
    said.get(key).cloned().unwrap_or(Value::Null)
}

/// A cluster of the file with what people have set of how it works.
///
/// # Errors
///
/// They do not go together, with the file or with each other.
pub(crate) fn tune(file: &Cluster, overrides: &Overrides) -> Result<Tuned, Unfit> {
    let strategy = overrides.get(&(Subject::of_cluster(&file.name), Field::Strategy));
    let strategy = strategy.map(|one| one.value.clone());
    let health = Set::of(SettingTable::Health, file.health.is_some(), &file.name, overrides)?;
    let sticky = Set::of(SettingTable::Sticky, file.sticky.is_some(), &file.name, overrides)?;
    let mut cluster = file.clone();
    if strategy.is_none() && !health.is_changed() && !sticky.is_changed() {
        return Ok(Tuned { cluster, warnings: Vec::new() });
    }
    let said = strategy.clone().unwrap_or_else(|| file.strategy.said());
    let mut tables = Map::from_iter([("strategy".to_owned(), said)]);
    if health.is_read() {
        tables.insert("health".to_owned(), health.keys.clone().into());
    }
    if sticky.is_read() {
        tables.insert("sticky".to_owned(), cookie(file, &sticky).into());
    }
    let (read, warnings) = read(&file.name, checks(file), &tables)?;
    if strategy.is_some() {
        cluster.strategy = read.strategy;
    }
    if health.is_changed() {
        cluster.health = read.health.filter(|_| health.is_on());
        cluster.policy.checks = read.policy.checks;
    }
    if sticky.is_changed() {
        let keys = file.sticky.as_ref().map(|sticky| sticky.keys.clone()).unwrap_or_default();
        let sticky = read.sticky.filter(|_| sticky.is_on());
        cluster.sticky = sticky.map(|sticky| StickySettings { keys, ..sticky });
    }
    Ok(Tuned { cluster, warnings })
}

/// Takes out what people have set of how a cluster works and what does not go together with
/// another file, and says why.
pub(crate) fn take_unfit(file: &Cluster, overrides: &mut Overrides) -> Vec<Dropped> {
    let mut dropped = Vec::new();
    while let Err(unfit) = tune(file, overrides) {
        let is_of_it =
            |one: &Override| one.field.is_of_cluster() && *one.subject.cluster() == *file.name;
        let table = unfit.field.split('.').next().unwrap_or_default();
        let is_blamed = |one: &Override| is_of_it(one) && one.field.name() == unfit.field;
        let is_beside = |one: &Override| is_of_it(one) && one.field.name().starts_with(table);
        // The key itself; where it is none that is set, those around it.
        let any = |is_it: &dyn Fn(&Override) -> bool| overrides.values().any(is_it);
        let blamed: &dyn Fn(&Override) -> bool = match (any(&is_blamed), any(&is_beside)) {
            (true, _) => &is_blamed,
            (false, true) => &is_beside,
            (false, false) => &is_of_it,
        };
        let taken: Vec<_> = overrides.extract_if(.., |_, one| blamed(one)).collect();
        if taken.is_empty() {
            // The file says it all by itself.
            return dropped;
        }
        let cause = DropCause::Unfit(unfit.detail);
        dropped.extend(taken.into_iter().map(|(_, of)| Dropped { of, cause: cause.clone() }));
    }
    dropped
}

/// What people have set of one table.
struct Set {
    keys: Map<String, Value>,
    enabled: Option<bool>,
    is_in_file: bool,
}

impl Set {
    fn of(
        table: SettingTable,
        is_in_file: bool,
        cluster: &str,
        overrides: &Overrides,
    ) -> Result<Self, Unfit> {
        let subject = Subject::of_cluster(cluster);
        let keys = Field::keys_of(table.name()).filter_map(|(key, field)| {
            let one = overrides.get(&(subject.clone(), field))?;
            Some((key.to_owned(), one.value.clone()))
        });
        let mut keys: Map<String, Value> = keys.collect();
        let enabled = match keys.remove("enabled") {
            None => None,
            Some(Value::Bool(enabled)) => Some(enabled),
            Some(other) => {
                return Err(Unfit {
                    field: format!("{}.enabled", table.name()),
                    detail: format!("must be true or false, not {other}"),
                    hint: None,
                });
            }
        };
        Ok(Self { keys, enabled, is_in_file })
    }

    fn is_changed(&self) -> bool {
        self.enabled.is_some() || !self.keys.is_empty()
    }

    /// Whoever sets a key of a table that the file does not have means the table.
    fn is_on(&self) -> bool {
        self.enabled.unwrap_or(self.is_in_file || !self.keys.is_empty())
    }

    /// Also what is off must be right: it may be switched on.
    fn is_read(&self) -> bool {
        self.is_on() || !self.keys.is_empty()
    }
}

/// The checks of the file, which keys that are set are read over. A limit that is the usual
/// one gives way to a shorter interval, as it does in a file.
fn checks(file: &Cluster) -> Map<String, Value> {
    let mut said = file.health_said();
    let usual = HealthCheck::default().timeout;
    if file.health.as_ref().is_some_and(|check| check.timeout == usual.min(check.interval)) {
        said.remove("timeout");
    }
    said
}

/// The cookie of the file with the keys that are set.
fn cookie(file: &Cluster, set: &Set) -> Map<String, Value> {
    let mut said = file.sticky_said();
    said.extend(set.keys.clone());
    if file.sticky.as_ref().is_some_and(|sticky| !sticky.keys.is_empty()) {
        // There is one; which one makes no difference here.
        said.insert("key".to_owned(), "AAAAAAAAAAAAAAAAAAAAAA==".into());
    }
    said
}

/// Reads a file of one cluster, and says what is suspicious about it.
fn read(
    name: &str,
    checks: Map<String, Value>,
    tables: &Map<String, Value>,
) -> Result<(Cluster, Vec<String>), Unfit> {
    let as_toml = |key: &str, value: &Value| {
        let unfit = || Unfit {
            field: key.to_owned(),
            detail: "neither a value of the file nor a table of such".to_owned(),
            hint: None,
        };
        Ok(format!("{key} = {}\n", toml_of(value).ok_or_else(unfit)?))
    };
    let name_of = toml_text(name);
    let mut file = format!("[[route]]\nto = {name_of}\n");
    if !checks.is_empty() {
        file += &format!("[defaults]\n{}", as_toml("health", &checks.into())?);
    }
    file += &format!("[cluster.{name_of}]\nbackends = [\"192.0.2.1:1\"]\n");
    for (key, value) in tables {
        file += &as_toml(key, value)?;
    }
    let (config, found) = Config::parse("settings", &file, &Pretended::default());
    let found = found.to_vec();
    let of = |severity| found.iter().filter(move |one| one.severity() == severity);
    if let Some(cluster) = config.and_then(|config| config.clusters.into_iter().next()) {
        return Ok((cluster, of(Severity::Warning).map(sentence).collect()));
    }
    let first = of(Severity::Error).next();
    let path = first.and_then(Diagnostic::key_path).unwrap_or_default();
    let field = path
        .strip_prefix("defaults.")
        .or_else(|| path.strip_prefix("cluster.")?.strip_prefix(name)?.strip_prefix('.'));
    Err(Unfit {
        field: field.unwrap_or(path).to_owned(),
        detail: of(Severity::Error).map(sentence).collect::<Vec<_>>().join("; "),
        hint: first.and_then(|first| first.helps().first().cloned()),
    })
}

fn sentence(found: &Diagnostic) -> String {
    match found.place() {
        Some((_, label)) if !label.is_empty() => format!("{}: {label}", found.message()),
        _ => found.message().to_owned(),
    }
}

/// JSON as an inline value of TOML. Built from values, so no text can break out of it.
fn toml_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => toml_text(text),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(list) => {
            let list: Option<Vec<String>> = list.iter().map(toml_of).collect();
            format!("[{}]", list?.join(", "))
        }
        Value::Object(table) => {
            let pair = |(key, value): (&String, &Value)| {
                Some(format!("{} = {}", toml_text(key), toml_of(value)?))
            };
            let pairs: Option<Vec<String>> = table.iter().map(pair).collect();
            format!("{{ {} }}", pairs?.join(", "))
        }
        Value::Null => return None,
    })
}

/// A string of JSON is one of TOML, but for the escape of a slash, which is not made
/// here, and for a dollar sign, which would begin a variable.
fn toml_text(text: &str) -> String {
    Value::from(text.replace('$', "$$")).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::{ChangeId, UnixMillis};

    fn file(settings: &str) -> Cluster {
        let text = format!(
            "[[route]]\nto = \"web\"\n[cluster.web]\nbackends = [\"127.0.0.1:1\"]\n{settings}\n"
        );
        let (config, found) = Config::parse("test", &text, &Pretended::default());
        let config = config.unwrap_or_else(|| panic!("{}", found.render(false)));
        config.clusters.into_iter().next().unwrap()
    }

    fn set(all: &[(&str, Value)]) -> Overrides {
        let one = |(name, value): &(&str, Value)| {
            let (subject, field) = (Subject::of_cluster("web"), Field::of_name(name).unwrap());
            let one = Override {
                subject: subject.clone(),
                field,
                value: value.clone(),
                basis: Value::Null,
                change: ChangeId::new(1),
                seen: UnixMillis::new(0),
            };
            ((subject, field), one)
        };
        all.iter().map(one).collect()
    }

    fn tuned(settings: &str, all: &[(&str, Value)]) -> Cluster {
        tune(&file(settings), &set(all)).unwrap().cluster
    }

    fn unfit(settings: &str, all: &[(&str, Value)]) -> Unfit {
        tune(&file(settings), &set(all)).unwrap_err()
    }

    #[test]
    fn a_strategy_is_read_as_the_file_would_have_it() {
        let strategy = |value: Value| tune(&file(""), &set(&[("strategy", value)]));
        let p2c = strategy("p2c".into()).unwrap().cluster;
        assert_eq!(p2c.strategy, config::find_strategy("p2c").unwrap());
        let ring = json!({ "name": "maglev", "key": "header:x-user", "bounded_load": 1.5 });
        let ring = strategy(ring).unwrap().cluster.strategy;
        assert_eq!((ring.kind.name(), ring.bound()), ("maglev", Some(1.5)));
        let wrong = strategy("p2d".into()).unwrap_err();
        assert_eq!(wrong.field, "strategy");
        assert!(wrong.detail.contains("p2d"), "{wrong:?}");
        for hostile in ["p2c\"\n[cluster.x]\nbackends = [\"a:1", "${HOME}"] {
            assert!(strategy(hostile.into()).is_err());
        }
    }

    #[test]
    fn a_key_that_is_set_stands_beside_those_of_the_file() {
        let health = "health = { path = \"/h\", interval = \"5s\", fall = 4 }";
        let cluster =
            tuned(health, &[("health.interval", json!("100ms")), ("health.rise", json!(1))]);
        let said = SettingTable::Health.said(&cluster);
        assert_eq!((&said["path"], &said["interval"]), (&json!("/h"), &json!("100ms")));
        assert_eq!((&said["rise"], &said["fall"]), (&json!(1), &json!(4)));
        assert_eq!(said["timeout"], "100ms", "nobody has said that it is longer");
        assert_eq!(cluster.policy.checks.round, std::time::Duration::from_millis(100));
        let tcp = tuned(health, &[("health.tcp", json!(true))]);
        assert_eq!(SettingTable::Health.said(&tcp).get("path"), None);
    }

    #[test]
    fn checks_and_cookies_are_switched_off_and_on_again_as_they_were() {
        let both = "health = { path = \"/h\" }\nsticky = { cookie = \"A\", key = \"MDEyMzQ1Njc4OWFiY2RlZg==\" }";
        let off = [("health.enabled", json!(false)), ("sticky.enabled", json!(false))];
        let cluster = tuned(both, &off);
        assert!(cluster.health.is_none() && cluster.sticky.is_none());
        let with_ttl = tuned(both, &[("sticky.ttl", json!("1h"))]).sticky.unwrap();
        assert_eq!(with_ttl.keys, file(both).sticky.unwrap().keys);
        let on = [("health.path", json!("/h")), ("sticky.cookie", json!("B"))];
        let cluster = tuned("", &on);
        assert!(cluster.health.is_some() && cluster.sticky.is_some());
    }

    #[test]
    fn what_the_file_may_not_have_is_refused_with_its_words_and_its_help() {
        let wrong = unfit("health = { path = \"/h\" }", &[("health.interval", json!("5sec"))]);
        assert_eq!(wrong.field, "health.interval");
        assert!(wrong.detail.contains("write `s`"), "{wrong:?}");
        let lacking = unfit("", &[("health.interval", json!("5s"))]);
        assert!(lacking.hint.unwrap().contains("add `path ="));
        let both = [("health.tcp", json!(true)), ("health.path", json!("/h"))];
        assert!(unfit("", &both).detail.contains("has no use with `tcp = true`"));
        let ignored = unfit("sticky = { cookie = \"A\" }", &[("sticky.same_site", json!("none"))]);
        assert_eq!(ignored.hint.unwrap(), "add `secure = true`");
        let enabled = unfit("", &[("health.enabled", json!("yes"))]);
        assert_eq!(enabled.field, "health.enabled");
    }

    #[test]
    fn what_does_not_go_with_another_file_is_taken_out_and_all_else_stays() {
        let mut overrides = set(&[
            ("health.body", json!("ready")),
            ("health.fall", json!(7)),
            ("strategy", json!("p2c")),
        ]);
        let tcp = file("health = { tcp = true }");
        let dropped = take_unfit(&tcp, &mut overrides);
        let fields: Vec<&str> = dropped.iter().map(|one| one.of.field.name()).collect();
        assert_eq!(fields, ["health.body"]);
        let DropCause::Unfit(why) = &dropped[0].cause else { panic!("{dropped:?}") };
        assert!(why.contains("has no use with `tcp = true`"), "{why}");
        assert_eq!(tune(&tcp, &overrides).unwrap().cluster.policy.checks.fall, 7);
        // Nothing is there to be checked: no key alone is to blame.
        let mut overrides = set(&[("health.fall", json!(7)), ("strategy", json!("p2c"))]);
        assert_eq!(take_unfit(&file(""), &mut overrides).len(), 1);
        assert_eq!(overrides.len(), 1);
    }

    #[test]
    fn a_key_and_a_cookie_together_are_told_whichever_came_last() {
        for (settings, set_last) in [
            ("sticky = { cookie = \"A\" }", ("strategy", json!("maglev"))),
            ("strategy = \"maglev\"", ("sticky.cookie", json!("A"))),
        ] {
            let warnings = tune(&file(settings), &set(&[set_last])).unwrap().warnings;
            assert!(warnings[0].contains("by a cookie and by `maglev`"), "{warnings:?}");
        }
    }

    #[test]
    fn every_key_of_the_file_is_one_that_can_be_set_but_those_for_secrets() {
        let schema: Value = serde_json::from_str(&config::schema()).unwrap();
        for table in SettingTable::ALL {
            let keys = schema["$defs"][table.name()]["properties"].as_object().unwrap();
            for key in keys.keys() {
                match table.field(key) {
                    Ok(field) => assert_eq!(field.key(), Some((table.name(), &**key))),
                    Err((why, _)) => assert!(["value", "key", "keys"].contains(&&**key), "{why}"),
                }
            }
            let more = Field::keys_of(table.name()).filter(|(key, _)| !keys.contains_key(*key));
            assert_eq!(more.map(|(key, _)| key).collect::<Vec<_>>(), ["enabled"]);
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_with_the_nearest() {
        let (why, help) = SettingTable::Health.field("intervall").unwrap_err();
        assert_eq!(why, "`health` has no key `intervall`");
        assert_eq!(help.unwrap(), "did you mean `interval`?");
        let (why, _) = SettingTable::Sticky.field("key").unwrap_err();
        assert!(why.contains("secret"));
    }
}
