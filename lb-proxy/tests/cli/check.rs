//! `lb check`, `lb version`, and what is said to somebody who is lost.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::process::{file, finish, finish_with_input, folder, lb, text};

fn broken() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

#[test]
fn a_broken_file_is_explained_on_stderr_and_exits_with_2() {
    let output = finish(lb(&["check", "unknown_keys.toml"]).current_dir(broken()));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let expected = fs::read_to_string(broken().join("unknown_keys.txt")).expect("a kept text");
    assert_eq!(text(&output.stderr), format!("{}; not usable\n", expected.trim_end()));
}

#[test]
fn a_good_file_is_described_on_stdout() {
    let file = file(
        r#"
        listen = ":8080"
        [[route]]
        to = "static"
        [[route]]
        path = "/api/"
        to = "dynamic"
        [cluster.static]
        backends = ["127.0.0.1:9001"]
        [cluster.dynamic]
        strategy = "round-robin"
        backends = ["127.0.0.1:9002", "127.0.0.1:9003"]
        "#,
    );
    let output = finish(&mut lb(&["check", &file]));
    assert!(output.status.success());
    let name = &*file;
    let expected = format!(
        "{name}: ok\n  listen   0.0.0.0:8080\n  \
         route    /api/  to dynamic\n  route    /      to static\n  \
         cluster  static: least-conn, 1 backend\n  \
         cluster  dynamic: round-robin, 2 backends\n"
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn one_broken_file_among_good_ones_fails_them_all() {
    let (good, bad) = (file("to = [\"127.0.0.1:9001\"]"), file("to = 1"));
    let output = finish(&mut lb(&["check", &good, &bad, "/nowhere/lb.toml"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains(&format!("{}: ok", &*good)));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("`to` must be a list"), "{stderr}");
    assert!(stderr.contains("cannot read `/nowhere/lb.toml`: No such file"), "{stderr}");
}

#[test]
fn the_standard_input_can_be_checked() {
    let output = finish_with_input(&mut lb(&["check", "-"]), "to = [\"127.0.0.1:9001\"]");
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("<stdin>: ok\n"));
}

#[test]
fn json_has_every_finding_with_its_place() {
    let output =
        finish_with_input(&mut lb(&["check", "--json", "-"]), "# x\nto = [\n  \"a:1\", \"web\"]\n");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    let file = &report["files"][0];
    assert_eq!((&file["file"], &file["errors"]), (&"<stdin>".into(), &1.into()));
    let finding = &file["diagnostics"][0];
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["key"], "to[1]");
    assert_eq!(finding["place"]["line"], 3);
    assert_eq!(finding["place"]["column"], 10);
    assert_eq!(finding["place"]["end_column"], 15);
}

#[test]
fn json_describes_a_good_file() {
    let output = finish_with_input(&mut lb(&["check", "--json", "-"]), "to = [\"127.0.0.1:9001\"]");
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = serde_json::json!([{
        "name": "default", "strategy": "least-conn", "sticky": null, "checked": false,
        "backends": ["127.0.0.1:9001"], "sources": 0,
    }]);
    assert_eq!(report["files"][0]["clusters"], expected);
}

#[test]
fn without_a_name_the_file_that_run_would_read_is_checked() {
    let here = folder();
    let nothing = finish(lb(&["check"]).current_dir(&*here));
    assert_eq!(nothing.status.code(), Some(2));
    let home = here.join("config/lb");
    fs::create_dir_all(&home).expect("a folder");
    fs::write(home.join("lb.toml"), "to = [\"home:1\"]").expect("a file");
    let found =
        finish(lb(&["check"]).current_dir(&*here).env("XDG_CONFIG_HOME", here.join("config")));
    assert!(text(&found.stdout).contains("config/lb/lb.toml: ok"), "{}", text(&found.stdout));
    fs::write(here.join("lb.toml"), "to = [\"here:1\"]").expect("a file");
    let nearer =
        finish(lb(&["check"]).current_dir(&*here).env("XDG_CONFIG_HOME", here.join("config")));
    assert!(text(&nearer.stdout).starts_with("lb.toml: ok"), "{}", text(&nearer.stdout));
    let named = finish(lb(&["check"]).current_dir(&*here).env("LB_CONFIG", "config/lb/lb.toml"));
    assert!(text(&named.stdout).starts_with("config/lb/lb.toml: ok"), "{}", text(&named.stdout));
}

#[test]
fn json_has_the_same_shape_for_a_file_that_cannot_be_read() {
    let output = finish(&mut lb(&["check", "--json", "/nowhere/lb.toml"]));
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let file = &report["files"][0];
    assert_eq!((&file["ok"], &file["errors"]), (&false.into(), &1.into()));
    let message = file["diagnostics"][0]["message"].as_str().expect("a message");
    assert!(message.starts_with("cannot read `/nowhere/lb.toml`: No such file"), "{message}");
}

#[test]
fn the_standard_input_is_read_once() {
    let output = finish(&mut lb(&["check", "-", "-"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("only once"), "{}", text(&output.stderr));
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let full = || fs::File::create("/dev/full").expect("a device that is always full");
    let file = file("to = [\"127.0.0.1:9001\"]");
    for args in [&["check", &*file][..], &["version"]] {
        let output = lb(args).stdout(full()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("cannot write"), "{}", text(&output.stderr));
    }
}

#[test]
fn help_is_a_command_too() {
    let output = finish(&mut lb(&["help", "run"]));
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("HUP  "), "{}", text(&output.stdout));
}

#[test]
fn the_version_is_told_in_words_and_in_json() {
    let version = env!("CARGO_PKG_VERSION");
    let output = finish(&mut lb(&["version"]));
    assert_eq!(text(&output.stdout), format!("lb {version}\n"));
    let output = finish(&mut lb(&["version", "--json"]));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["version"], version);
}

#[test]
fn lb_alone_names_the_three_commands_most_needed() {
    let output = finish(&mut lb(&[]));
    assert_eq!(output.status.code(), Some(2));
    let help = text(&output.stderr);
    assert!(["lb demo", "lb run", "lb check"].iter().all(|name| help.contains(name)), "{help}");
}

#[test]
fn exit_codes_are_documented_in_the_help() {
    let output = finish(&mut lb(&["--help"]));
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("Exit codes:"));
}

#[test]
fn effective_values_are_part_of_the_json() {
    let file = file("to = [\"10.0.0.1:3000\"]\nworkers = 2\n");
    let output = finish(&mut lb(&["check", "--json", "--print-effective", &file]));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let settings = told["files"][0]["settings"].as_array().expect("a list");
    let workers = settings.iter().find(|setting| setting["key"] == "workers").expect("workers");
    assert_eq!((&workers["value"], &workers["line"]), (&"2".into(), &2.into()));
}
