//! Who may know whom, checked on the sources themselves.
//!
//! The rules are those of ARCHITECTURE.md. They live in a test, because a rule
//! that is only written down holds until the first deadline.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// All that `lb-core` may pull in. Nothing here does I/O.
const CORE_MAY_USE: &[&str] = &[
    "arc-swap",
    "cfg-if",
    "crc32fast",
    "lb-core",
    "proc-macro2",
    "quote",
    "rustversion",
    "siphasher",
    "syn",
    "thiserror",
    "thiserror-impl",
    "twox-hash",
    "unicode-ident",
];

/// What serves requests, and what it must not know: where its settings come from
/// and who changes them.
const REQUEST_PATH: &[&str] = &["http", "listen", "observe", "probe", "runtime", "upstream"];
const NOT_FOR_THE_REQUEST_PATH: &[&str] =
    &["admin", "app", "cli", "config", "control", "demo", "lb_discovery", "state", "traffic"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn lb_core_depends_on_nothing_that_does_io() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "lb-core", "-e", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let used: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(used.contains("lb-core"), "{tree}");
    let allowed: BTreeSet<&str> = CORE_MAY_USE.iter().copied().collect();
    let others: Vec<_> = used.difference(&allowed).collect();
    assert!(others.is_empty(), "lb-core must not depend on {others:?}");
}

/// The modules of this crate, and the crates, that a file names in its imports
/// and paths.
fn known_to(text: &str) -> BTreeSet<&str> {
    let mut known = BTreeSet::new();
    for (index, _) in text.match_indices("crate::") {
        let rest = &text[index + "crate::".len()..];
        // `crate::{a::b, c}` names a and c (and b, which does no harm).
        let group = rest.strip_prefix('{').map(|rest| rest.split("};").next().unwrap_or(rest));
        let named =
            group.unwrap_or_else(|| rest.split([':', ';', ' ', '(']).next().unwrap_or(rest));
        known.extend(named.split(|c: char| !c.is_alphanumeric() && c != '_'));
    }
    if text.contains("lb_discovery") {
        known.insert("lb_discovery");
    }
    known
}

#[test]
fn the_request_path_knows_neither_configuration_nor_control() {
    let source = root().join("lb-proxy/src");
    let mut seen = 0;
    for folder in REQUEST_PATH {
        for file in sources(&source.join(folder)) {
            seen += 1;
            let text = fs::read_to_string(&file).unwrap();
            let known = known_to(&text);
            for forbidden in NOT_FOR_THE_REQUEST_PATH {
                assert!(!known.contains(forbidden), "{} uses {forbidden}", file.display());
            }
        }
    }
    assert!(seen > 10, "the rule looked at {seen} files");
}

#[test]
fn the_rule_sees_single_and_grouped_imports() {
    for text in ["use crate::config::Model;", "use crate::{http::x, config};", "crate::config::f()"]
    {
        assert!(known_to(text).contains("config"), "{text}");
    }
    assert!(!known_to("use crate::http::config_like;").contains("config"));
}

#[test]
fn no_file_is_longer_than_400_lines_without_a_reason_or_than_800_at_all() {
    let mut seen = 0;
    for folder in ["lb-core", "lb-discovery", "lb-proxy", "examples", "benches", "fuzz"] {
        for file in sources(&root().join(folder)) {
            if file.components().any(|part| part.as_os_str() == "tests")
                || file.ends_with("tests.rs")
            {
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(&file).unwrap();
            let is_test =
                |line: &str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
            let lines = text.lines().take_while(|line| !is_test(line)).count();
            let reason = text.lines().take(20).any(|line| line.contains("longer than 400 lines"));
            assert!(lines <= 400 || reason, "{} has {lines} lines", file.display());
            assert!(lines <= 800, "{} has {lines} lines", file.display());
        }
    }
    assert!(seen > 50, "the rule looked at {seen} files");
}
