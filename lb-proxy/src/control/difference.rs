//! What another configuration would change. Pure.

use std::collections::BTreeMap;

use lb_core::Backend;
use lb_proxy::config::{Config, Setting};

/// What is different in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Difference {
    pub(crate) clusters_added: Vec<String>,
    pub(crate) clusters_removed: Vec<String>,
    /// Of clusters that both have.
    pub(crate) backends: Vec<BackendDifference>,
    /// Whether any request may go another way.
    pub(crate) routes_changed: bool,
    /// Each value that is different; secrets as they are shown.
    pub(crate) settings: Vec<SettingDifference>,
    /// Keys that hold from the next start on only.
    pub(crate) needs_restart: Vec<String>,
}

/// A backend that is different.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BackendDifference {
    pub(crate) cluster: String,
    pub(crate) backend: String,
    /// `added`, `removed` or `changed`.
    pub(crate) what: &'static str,
}

/// A value that is different.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SettingDifference {
    pub(crate) key: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// What begins with these is taken up by a start only.
const AT_START: &[&str] = &["workers", "admin.listen", "admin.socket"];

/// What is different in the second.
pub(crate) fn difference(
    (before, old): (&Config, &[Setting]),
    (after, new): (&Config, &[Setting]),
) -> Difference {
    let settings = settings(old, new);
    let is_at_start = |key: &&String| {
        AT_START.iter().any(|start| {
            key.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let name = |cluster: &lb_proxy::config::Cluster| cluster.name.to_string();
    let has = |config: &Config, name: &str| config.clusters.iter().any(|one| *one.name == *name);
    let only = |one: &Config, other: &Config| -> Vec<String> {
        one.clusters.iter().map(name).filter(|name| !has(other, name)).collect()
    };
    let mut backends = Vec::new();
    for cluster in &after.clusters {
        if let Some(known) = before.clusters.iter().find(|one| one.name == cluster.name) {
            compare(&cluster.name, &known.backends, &cluster.backends, &mut backends);
        }
    }
    Difference {
        clusters_added: only(after, before),
        clusters_removed: only(before, after),
        backends,
        routes_changed: before.routes != after.routes,
        needs_restart: settings.iter().map(|one| &one.key).filter(is_at_start).cloned().collect(),
        settings,
    }
}

fn settings(old: &[Setting], new: &[Setting]) -> Vec<SettingDifference> {
    let by_key = |all: &[Setting]| -> BTreeMap<String, String> {
        all.iter().map(|one| (one.key.clone(), one.value.clone())).collect()
    };
    let (old, new) = (by_key(old), by_key(new));
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let one = |key: &String| SettingDifference {
        key: key.clone(),
        before: old.get(key).cloned(),
        after: new.get(key).cloned(),
    };
    keys.into_iter().map(one).filter(|one| one.before != one.after).collect()
}

fn compare(cluster: &str, old: &[Backend], new: &[Backend], found: &mut Vec<BackendDifference>) {
    let named = |all: &[Backend], name: &str| all.iter().find(|one| one.name() == name).cloned();
    let mut say = |backend: &Backend, what| {
        let (cluster, backend) = (cluster.to_owned(), backend.name().to_owned());
        found.push(BackendDifference { cluster, backend, what });
    };
    for backend in new {
        match named(old, backend.name()) {
            None => say(backend, "added"),
            Some(known) if known != *backend => say(backend, "changed"),
            Some(_) => {}
        }
    }
    old.iter().filter(|one| named(new, one.name()).is_none()).for_each(|one| say(one, "removed"));
}

#[cfg(test)]
mod tests {
    use lb_proxy::config::Pretended;

    use super::*;

    #[test]
    fn everything_that_is_different_is_named_and_nothing_else() {
        let read = |text: &str| {
            let nothing = Pretended::default();
            let (config, found) = Config::parse("lb.toml", text, &nothing);
            let config = config.unwrap_or_else(|| panic!("{}", found.render(false)));
            (config, Config::settings("lb.toml", text, &nothing))
        };
        let one = "workers = 1\n[[route]]\nto = \"web\"\n[cluster.web]\n\
                   backends = [\"a:1\", \"b:1\", \"c:1\"]\n";
        let two = "workers = 2\n[[route]]\npath = \"/x\"\nto = \"web\"\n[[route]]\nto = \"api\"\n\
                   [cluster.web]\nbackends = [\"a:1\", { address = \"b:1\", weight = 2 }, \"d:1\"]\n\
                   [cluster.api]\nbackends = []\n";
        let (one, two) = (read(one), read(two));
        let same = difference((&one.0, &one.1), (&one.0, &one.1));
        assert_eq!(same, Difference::default());
        let found = difference((&one.0, &one.1), (&two.0, &two.1));
        assert_eq!(
            (&*found.clusters_added, found.clusters_removed.len()),
            (&["api".to_owned()][..], 0)
        );
        let backends: Vec<_> = found.backends.iter().map(|one| (&*one.backend, one.what)).collect();
        assert_eq!(backends, [("b:1", "changed"), ("d:1", "added"), ("c:1", "removed")]);
        assert!(found.routes_changed);
        assert_eq!(found.needs_restart, ["workers"]);
    }
}
