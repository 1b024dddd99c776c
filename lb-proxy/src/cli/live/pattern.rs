//! `cluster/backend`, as it is typed: by name, or with `*` and `?` for several.

use lb_proxy::config::did_you_mean;

use super::failure::Failure;
use crate::{admin::dto::Cluster, cli::exit::Exit};

/// A backend that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) cluster: String,
    pub(super) backend: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.cluster, self.backend)
    }
}

/// Whom these mean, each once, in the order in which they were typed.
///
/// # Errors
///
/// Whoever is not there; and everybody, unless that is forced: a `*` that means all
/// backends of a cluster is typed too easily.
pub(super) fn resolve(
    typed: &[String],
    clusters: &[Cluster],
    is_forced: bool,
) -> Result<Vec<Target>, Failure> {
    let mut targets: Vec<Target> = Vec::new();
    let mut by_wildcard = Vec::new();
    for text in typed {
        let found = resolve_one(text, clusters)?;
        if has_wildcard(text) {
            by_wildcard.extend(found.iter().map(|target| target.cluster.clone()));
        }
        for target in found {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    let is_whole = |cluster: &&Cluster| {
        let meant = targets.iter().filter(|target| target.cluster == cluster.name).count();
        by_wildcard.contains(&cluster.name) && meant == cluster.backends.len()
    };
    match clusters.iter().find(is_whole).filter(|_| !is_forced) {
        Some(whole) => {
            let all = whole.backends.len();
            let text = format!("{} means all {all} backends of `{}`", typed.join(" "), whole.name);
            Err(Failure::new(Exit::Refused, text).help("repeat with `--force` if they are meant"))
        }
        None => Ok(targets),
    }
}

fn resolve_one(text: &str, clusters: &[Cluster]) -> Result<Vec<Target>, Failure> {
    let all = || {
        clusters.iter().flat_map(|cluster| {
            cluster.backends.iter().map(|backend| Target {
                cluster: cluster.name.clone(),
                backend: backend.name.clone(),
            })
        })
    };
    let Some((cluster, backend)) = text.split_once('/') else {
        return Err(no_slash(text, clusters, all()));
    };
    let matches: Vec<Target> = match has_wildcard(text) {
        true => {
            all().filter(|one| glob(cluster, &one.cluster) && glob(backend, &one.backend)).collect()
        }
        false => all().filter(|one| one.cluster == cluster && one.backend == backend).collect(),
    };
    if !matches.is_empty() {
        return Ok(matches);
    }
    if has_wildcard(text) {
        return Err(nobody(format!("no backend is meant by `{text}`"), None));
    }
    let Some(found) = clusters.iter().find(|one| one.name == cluster) else {
        let near = did_you_mean(cluster, clusters.iter().map(|one| &*one.name));
        let near = near.map(|near| format!("{near}/{backend}"));
        return Err(nobody(format!("there is no cluster `{cluster}`"), near));
    };
    let near = did_you_mean(backend, found.backends.iter().map(|one| &*one.name));
    let near = near.map(|near| format!("{cluster}/{near}"));
    Err(nobody(format!("`{cluster}` has no backend `{backend}`"), near))
}

/// A name alone: of a cluster, or of a backend whose cluster was left out.
fn no_slash(text: &str, clusters: &[Cluster], all: impl Iterator<Item = Target>) -> Failure {
    if clusters.iter().any(|cluster| cluster.name == text) {
        return Failure::new(Exit::Usage, format!("`{text}` is a cluster, not a backend"))
            .help(format!("its backends are `{text}/NAME`; all of them are `'{text}/*'`"));
    }
    let near = all.filter(|one| one.backend == text).map(|one| one.to_string()).next();
    nobody(format!("`{text}` says no cluster: a backend is `CLUSTER/BACKEND`"), near)
}

fn nobody(text: String, near: Option<String>) -> Failure {
    Failure::new(Exit::NoTarget, text).help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`lb status` lists all backends".to_owned(),
    })
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// `*` is any text, `?` any character. Neither can stand in a name.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and what it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(one) if *one == '?' || *one == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clusters() -> Vec<Cluster> {
        let backend = |cluster: &str, name: &str| {
            json!({
                "cluster": cluster, "name": name, "address": "a:1", "state": "up",
                "admin": "enabled", "health": "up", "takes_requests": true, "weight": 1,
                "weight_now": 1.0, "share": 0.5, "tier": 0, "spare": false, "in_flight": 0,
                "held": 0,
            })
        };
        let cluster = |name: &str, backends: [&str; 2]| {
            serde_json::from_value(json!({
                "name": name, "strategy": "random", "checked": false, "generation": "1",
                "etag": "", "usable": 2, "degraded": false, "in_flight": 0, "routes": [],
                "backends": backends.map(|one| backend(name, one)), "overrides": [],
            }))
            .unwrap()
        };
        vec![cluster("web", ["s1", "s2"]), cluster("api", ["unix:/run/a", "b:1"])]
    }

    fn meant(typed: &[&str], is_forced: bool) -> Result<String, (Exit, String)> {
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        match resolve(&typed, &clusters(), is_forced) {
            Ok(targets) => Ok(targets.iter().map(|one| format!("{one} ")).collect()),
            Err(failure) => Err((failure.exit, format!("{failure:?}"))),
        }
    }

    #[test]
    fn names_and_wildcards_mean_backends_each_once() {
        assert_eq!(meant(&["web/s2", "web/?2"], false).unwrap(), "web/s2 ");
        assert_eq!(meant(&["*/?1", "api/unix:*"], false).unwrap(), "web/s1 api/unix:/run/a ");
        assert_eq!(meant(&["api/unix:/run/a"], false).unwrap(), "api/unix:/run/a ");
    }

    #[test]
    fn everybody_by_a_wildcard_must_be_forced() {
        for typed in [&["web/*"][..], &["web/s1", "web/*2"], &["*/*"]] {
            assert_eq!(meant(typed, false).unwrap_err().0, Exit::Refused, "{typed:?}");
            assert!(meant(typed, true).is_ok());
        }
        assert_eq!(meant(&["web/s1", "web/s2"], false).unwrap(), "web/s1 web/s2 ");
    }

    #[test]
    fn who_is_not_there_is_told_with_who_is() {
        for (typed, exit, help) in [
            ("web/s9", Exit::NoTarget, "did you mean `web/s"),
            ("wbe/s1", Exit::NoTarget, "did you mean `web/s1`"),
            ("s2", Exit::NoTarget, "did you mean `web/s2`"),
            ("web/x*", Exit::NoTarget, "lb status"),
            ("web", Exit::Usage, "'web/*'"),
        ] {
            let (code, text) = meant(&[typed], false).unwrap_err();
            assert!(code == exit && text.contains(help), "{typed}: {text}");
        }
    }

    #[test]
    fn a_star_takes_as_much_as_it_must() {
        assert!(glob("a*b*c", "axxbxbyc") && glob("*", "") && glob("s?*", "s1"));
        assert!(!glob("a*b", "abc") && !glob("?", "") && !glob("s?*", "s"));
    }
}
