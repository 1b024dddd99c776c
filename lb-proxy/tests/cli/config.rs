//! Variables, included files, `lb config`, and what `lb check` says of them.

use std::fs;

use crate::process::{file, finish, finish_with_input, folder, lb, text};

const TWO: &str = "to = [\"${STATIC_APP_1}\", \"${STATIC_APP_2:-10.0.0.2:80}\"]";

#[test]
fn a_variable_that_is_not_set_is_named_with_its_line() {
    let output = finish_with_input(&mut lb(&["check", "-"]), &format!("\n{TWO}"));
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("the variable `STATIC_APP_1` is not set"), "{stderr}");
    assert!(stderr.contains("<stdin>:2:8"), "{stderr}");
    assert!(stderr.ends_with("1 error; not usable\n"), "{stderr}");
}

#[test]
fn effective_values_are_shown_with_variables_expanded() {
    let file = file(TWO);
    let output =
        finish(lb(&["check", "--print-effective", &file]).env("STATIC_APP_1", "10.0.0.1:80"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let line = stdout.lines().find(|line| line.starts_with("to = ")).expect("its line");
    assert!(line.starts_with("to = [\"10.0.0.1:80\", \"10.0.0.2:80\"]"), "{line}");
    assert!(line.ends_with(&format!("# {}:1", &*file)), "{line}");
    let line = stdout.lines().find(|line| line.starts_with("listen = ")).expect("its line");
    assert!(line.ends_with("# default"), "{line}");
}

#[test]
fn one_variable_may_hold_several_backends() {
    for (list, backends) in
        [("127.0.0.1:1 127.0.0.1:2", 2), ("127.0.0.1:1,127.0.0.1:2\n127.0.0.1:3", 3), ("", 0)]
    {
        let output = finish_with_input(
            lb(&["check", "--json", "-"]).env("LIST", list),
            "to = [\"${LIST}\"]",
        );
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = report["files"][0]["clusters"][0]["backends"].as_array().map(Vec::len);
        assert_eq!(found, Some(backends), "{list:?}: {report}");
    }
}

#[test]
fn included_files_say_where_their_values_stand() {
    let here = folder();
    fs::create_dir(here.join("conf.d")).expect("a folder");
    let write = |name: &str, text: &str| fs::write(here.join(name), text).expect("a file");
    write("lb.toml", "include = \"conf.d/*.toml\"\n");
    write("conf.d/20-web.toml", "[cluster.web]\nbackends = [\"10.0.0.1:80\"]\n");
    write("conf.d/10-routes.toml", "[[route]]\nto = \"web\"\n");
    write("conf.d/.hidden.toml", "nonsense");
    let output = finish(lb(&["config", "show"]).current_dir(&*here));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    for (value, place) in [
        ("route[0].to = \"web\"", "# conf.d/10-routes.toml:2"),
        ("cluster.web.backends = [\"10.0.0.1:80\"]", "# conf.d/20-web.toml:2"),
        ("cluster.web.timeout.connect = \"2s\"", "# default"),
    ] {
        let line = stdout.lines().find(|line| line.starts_with(value)).expect(value);
        assert!(line.ends_with(place), "{line}");
    }
    write("conf.d/30-more.toml", "[cluster.web]\nbackends = []\n[[route]]\nto = \"wbe\"\n");
    let output = finish(lb(&["check"]).current_dir(&*here));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("two clusters are called `web`"), "{stderr}");
    assert!(stderr.contains("conf.d/20-web.toml:1:10"), "{stderr}");
    assert!(stderr.contains("conf.d/30-more.toml:4:6"), "{stderr}");
}

#[test]
fn warnings_are_errors_when_asked() {
    let empty = file("to = []");
    assert!(finish(&mut lb(&["check", &empty])).status.success());
    let strict = finish(&mut lb(&["check", "--strict", &empty]));
    assert_eq!(strict.status.code(), Some(2));
    assert!(text(&strict.stderr).contains("error: cluster `default` has no backends"));
}

#[test]
fn secrets_are_used_and_never_shown() {
    let key = "AAECAwQFBgcICQoLDA0ODw==";
    let here = folder();
    fs::write(here.join("key"), format!("{key}\n")).expect("a file");
    let toml = |key: &str| {
        format!(
            "[[route]]\nto = \"web\"\n[cluster.web]\nbackends = []\n\
             sticky = {{ cookie = \"A\", value = \"sealed\", keys = [{key}] }}\n"
        )
    };
    for place in ["{ file = \"key\" }", "{ env = \"KEY\" }", "\"${KEY}\"", &format!("{key:?}")] {
        fs::write(here.join("lb.toml"), toml(place)).expect("a file");
        for args in [&["check", "--print-effective"][..], &["config", "show", "--json"]] {
            let output = finish(lb(args).current_dir(&*here).env("KEY", key));
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert!(!text(&output.stdout).contains(key), "{}", text(&output.stdout));
            assert!(text(&output.stdout).contains("cluster.web.sticky.keys"));
        }
    }
}

#[test]
fn what_a_check_is_let_in_by_is_not_shown() {
    let here = folder();
    let toml = "to = []\n[defaults]\n\
                health = { path = \"/\", headers = { authorization = \"Bearer ${TOKEN}\" } }\n";
    fs::write(here.join("lb.toml"), toml).expect("a file");
    for args in [&["check", "--print-effective"][..], &["config", "show", "--json"]] {
        let output = finish(lb(args).current_dir(&*here).env("TOKEN", "s3cr3t"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let shown = text(&output.stdout);
        assert!(shown.contains("headers.authorization") && !shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn a_secret_in_the_file_is_not_in_what_is_said_about_it() {
    let output = finish_with_input(
        &mut lb(&["check", "-"]),
        "to = []\n[defaults]\nsticky = { cookie = \"A\", key = \"c2hvcnQ=\", ttl = 1 }\n",
    );
    let stderr = text(&output.stderr);
    assert!(stderr.contains("`defaults.sticky.key` is not a key"), "{stderr}");
    assert!(stderr.contains("key = **********, ttl"), "{stderr}");
}

#[test]
fn the_schema_is_printed() {
    let output = finish(&mut lb(&["config", "schema"]));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(schema["properties"]["listen"]["default"], "127.0.0.1:8080");
}
