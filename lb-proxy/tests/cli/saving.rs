//! What people have set, written into the file by a real `lb`.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use lb_proxy::demo::{DemoBackend, DemoOptions};
use serde_json::Value;

use crate::{
    client::{get, shares},
    live::{Live, at_home},
    process::Lb,
};

const FARM: &str = r#"# Our farm.
listen = "127.0.0.1:0"

[admin]
listen = "off"

[[route]]
to = "web"

[cluster.web]
strategy = "round-robin" # fair
backends = [
  # the big one
  { address = "127.0.0.1:1", name = "s1", weight = 3 }, # rack 4
  { address = "127.0.0.1:2", name = "s2" }, # rack 5
]
"#;

impl Live {
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).expect("a file")
    }

    fn write_file(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a file");
    }

    fn generation(&self) -> u64 {
        self.json(&["status"])["status"]["config_generation"].as_u64().expect("a number")
    }

    /// One request over the socket: its status, and what it answers.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.folder.join("lb.sock")).expect("it listens");
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\
             Content-Type: application/toml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let json = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        (status.expect("a status"), json)
    }
}

#[test]
fn what_was_set_is_told_and_written_where_it_stands_with_comments_kept() {
    let live = Live::start(FARM);
    assert_eq!(live.done(&["config", "diff"]), "Nothing differs from lb.toml.\n");
    live.done(&["set-weight", "web/s1", "5", "--why", "more memory"]);
    live.done(&["drain", "web/s2"]);
    live.done(&["set-strategy", "web", "p2c", "draws=3"]);
    live.done(&["add", "web", "127.0.0.1:4", "--name", "s4", "--weight", "2"]);
    let diff = live.say(&["config", "diff"]);
    assert_eq!((diff.code, &*diff.stderr), (Some(1), ""));
    let lines: Vec<&str> = diff.stdout.lines().collect();
    assert!(lines.contains(&"web/s1: weight is 5; lb.toml:14 says 3"), "{}", diff.stdout);
    assert!(lines.contains(&"web: strategy is p2c draws=3; lb.toml:11 says round-robin"));
    assert!(lines.iter().any(|line| line.ends_with(": more memory")), "{}", diff.stdout);
    assert!(lines.iter().any(|line| line.starts_with("web/s4: added: 127.0.0.1:4 ")));

    let dry = live.done(&["config", "save", "--dry-run"]);
    assert!(dry.starts_with("--- a/lb.toml\n+++ b/lb.toml\n@@ "), "{dry}");
    assert!(dry.contains("\n+strategy = { name = \"p2c\", draws = 3 } # fair\n"), "{dry}");
    assert_eq!((live.text("lb.toml"), live.generation()), (FARM.to_owned(), 1));

    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(live.folder.join("lb.toml"), mode).expect("it is ours");
    let saved = live.done(&["config", "save"]);
    assert!(saved.contains("saved web/s1: weight 5: lb.toml:14\n"), "{saved}");
    let after = FARM
        .replace("\"round-robin\"", "{ name = \"p2c\", draws = 3 }")
        .replace("weight = 3", "weight = 5")
        .replace("name = \"s2\" }", "name = \"s2\", state = \"draining\" }")
        .replace(
            "# rack 5\n",
            "# rack 5\n  { address = \"127.0.0.1:4\", name = \"s4\", weight = 2 },\n",
        );
    assert_eq!(live.text("lb.toml"), after);
    let meta = fs::metadata(live.folder.join("lb.toml")).expect("a file");
    assert_eq!(meta.permissions().mode() & 0o777, 0o640);

    assert_eq!(live.say(&["config", "diff"]).code, Some(0));
    assert_eq!(live.generation(), 2);
    let status = live.done(&["status", "web"]);
    assert!(!status.contains("set:"), "{status}");
    assert!(status.contains("web/s1   unknown        5"), "{status}");
    assert!(status.contains("web/s2   draining"), "{status}");
    let changes = live.done(&["changes"]);
    assert!(
        changes.contains("weight: 5, by the file\n  why: saved into lb.toml:14\n"),
        "{changes}"
    );
    let undo = live.say(&["undo", "1"]);
    assert_eq!(undo.code, Some(5), "{undo:?}");
    let again = live.done(&["config", "save"]);
    assert_eq!(again, "Nothing was saved: nothing differs from the file.\n");
    live.done(&["reload"]);
    assert_eq!(live.say(&["config", "diff"]).code, Some(0));
    let names = fs::read_dir(&*live.folder).expect("a folder");
    let left: Vec<_> = names.flatten().filter(|one| one.path().ends_with(".new")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_change_is_saved_with_it_and_nothing_else_is() {
    let live = Live::start(FARM);
    live.done(&["set-weight", "web/s2", "9"]);
    let told = live.done(&["set-weight", "web/s1", "7", "--save"]);
    let end = "Undo: lb undo 2\nsaved web/s1: weight 7: lb.toml:14\n\
               What is saved is not undone, but set anew.\n";
    assert!(told.ends_with(end), "{told}");
    live.done(&["remove", "web/s1", "--save"]);
    let text = live.text("lb.toml");
    assert!(!text.contains("s1"), "{text}");
    assert!(text.contains("  # the big one\n") && text.contains("\"s2\" }, # rack 5\n"), "{text}");
    let diff = live.say(&["config", "diff"]).stdout;
    assert!(diff.starts_with("web/s2: weight is 9; the file says 1\n"), "{diff}");
    assert!(!diff.contains("s1"), "{diff}");
    let dry = live.say(&["set-weight", "web/s2", "1", "--save", "--dry-run"]);
    assert_eq!(dry.code, Some(2), "{dry:?}");
}

#[test]
fn what_no_file_can_say_stays_set_and_is_told_with_the_reason() {
    let folder = crate::process::folder();
    let file = format!(
        "{FARM}\n[cluster.more]\nbackends = [\"127.0.0.1:7\"]\ndiscover = {{ env = \"NODES\" }}\n\
         [[route]]\npath = \"/more\"\nto = \"more\"\n"
    );
    fs::write(folder.join("lb.toml"), file).expect("a file");
    let mut command = at_home(&folder, &["run", "--config", "lb.toml"]);
    let lb = Lb::spawn(command.current_dir(&*folder).env("NODES", "192.0.2.8:80"));
    let live = Live { folder, lb };
    live.done(&["set-weight", "more/192.0.2.8:80", "4"]);
    live.done(&["drain", "web/s2", "--for", "1h"]);
    live.done(&["set-weight", "web/s1", "4"]);
    let saved = live.say(&["config", "save"]);
    assert_eq!(saved.code, Some(1), "{saved:?}");
    assert_eq!(saved.stdout, "saved web/s1: weight 4: lb.toml:14\n");
    assert!(saved.stderr.contains(
        "warning: web/s2: state stays set beside the file: it ends at a time, which a file cannot say\n"
    ));
    assert!(saved.stderr.contains(
        "warning: more/192.0.2.8:80: weight stays set beside the file: no file has the backend \
         `192.0.2.8:80`"
    ));
    let status = live.done(&["status"]);
    assert!(status.contains("set: state is draining until"), "{status}");
    assert!(
        status.contains("more/192.0.2.8:80") && status.contains("set: weight is 4"),
        "{status}"
    );
}

#[test]
fn what_is_set_of_a_backend_outlives_its_coming_into_the_file() {
    let live = Live::start(FARM);
    live.done(&["add", "web", "127.0.0.1:4", "--name", "s4"]);
    live.done(&["drain", "web/s4", "--for", "1h"]);
    let saved = live.say(&["config", "save", "web/s4"]);
    assert_eq!((saved.code, &*saved.stdout), (Some(1), "saved web/s4: lb.toml:16\n"), "{saved:?}");
    live.done(&["reload"]);
    let status = live.done(&["status", "web"]);
    assert!(status.contains("web/s4   draining"), "{status}");
    let diff = live.say(&["config", "diff"]).stdout;
    assert_eq!(diff.matches("undo: lb undo").count(), 1, "{diff}");
    assert!(diff.starts_with("web/s4: state is draining until"), "{diff}");
}

#[test]
fn each_value_goes_to_the_file_that_has_it() {
    let folder = crate::process::folder();
    fs::create_dir(folder.join("conf.d")).expect("a folder");
    let main = FARM.split("[cluster.web]").next().expect("a part");
    fs::write(folder.join("lb.toml"), format!("include = \"conf.d/*.toml\"\n{main}")).expect("");
    let web = "[cluster.web]\nbackends = \"127.0.0.1:1 127.0.0.1:2\" # two\n";
    fs::write(folder.join("conf.d/web.toml"), web).expect("a file");
    let lb = Lb::spawn(at_home(&folder, &["run", "--config", "lb.toml"]).current_dir(&*folder));
    let live = Live { folder, lb };
    live.done(&["set-weight", "web/127.0.0.1:2", "4", "--save"]);
    assert_eq!(
        live.text("conf.d/web.toml"),
        "[cluster.web]\nbackends = [\"127.0.0.1:1\", { address = \"127.0.0.1:2\", weight = 4 }] # two\n"
    );
}

#[test]
fn a_file_that_somebody_else_changed_is_not_written_unless_it_says_the_same() {
    let live = Live::start(FARM);
    live.done(&["set-weight", "web/s1", "5"]);
    let others = FARM.replace("name = \"s2\"", "name = \"s3\"");
    live.write_file("lb.toml", &others);
    let refused = live.say(&["config", "save"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert_eq!(
        refused.stderr,
        "error: `lb.toml` was changed since it was read; nothing was written\n  \
         help: `lb reload` takes the file up; then save again\n"
    );
    assert_eq!(live.text("lb.toml"), others);
    let commented = FARM.replace("# rack 5", "# rack 6, since May");
    live.write_file("lb.toml", &commented);
    live.done(&["config", "save"]);
    assert_eq!(live.text("lb.toml"), commented.replace("weight = 3", "weight = 5"));
}

#[test]
fn what_variables_and_flags_say_is_not_written_over() {
    let folder = crate::process::folder();
    let file = FARM
        .replace("\"round-robin\"", "\"${HOW:-random}\"")
        .replace("\"127.0.0.1:2\"", "\"${TWO}\"");
    fs::write(folder.join("lb.toml"), &file).expect("a file");
    let mut command = at_home(&folder, &["run", "--config", "lb.toml"]);
    let lb = Lb::spawn(command.current_dir(&*folder).env("TWO", "127.0.0.1:2").env("HOW", "p2c"));
    let live = Live { folder, lb };
    live.done(&["set-strategy", "web", "maglev"]);
    live.done(&["set-weight", "web/s2", "5"]);
    let saved = live.say(&["config", "save"]);
    assert_eq!((saved.code, &*saved.stdout), (Some(1), "saved web/s2: weight 5: lb.toml:15\n"));
    assert!(saved.stderr.contains("`${HOW:-random}` stands there, so a variable decides it\n"));
    assert!(live.text("lb.toml").contains("{ address = \"${TWO}\", name = \"s2\", weight = 5 }"));

    // Nobody sees what a variable says who does not see the environment, but addresses.
    let config = live.json(&["config", "show"]);
    let value = |key: &str| {
        let mut all = config["settings"].as_array().expect("a list").iter();
        all.find(|one| one["key"] == key).expect(key)["value"].clone()
    };
    assert_eq!(value("cluster.web.strategy"), "\"${HOW:-random}\"");
    let backends = value("cluster.web.backends");
    assert_eq!(
        backends,
        "[{ address = \"127.0.0.1:1\", name = \"s1\", weight = 3 }, \
         { address = \"127.0.0.1:2\", name = \"s2\", weight = 5 }]"
    );

    let Live { folder, lb } = live;
    drop(lb);
    fs::write(folder.join("lb.toml"), FARM).expect("a file");
    let flags = ["run", "--config", "lb.toml", "--strategy", "random"];
    let lb = Lb::spawn(at_home(&folder, &flags).current_dir(&*folder));
    let live = Live { folder, lb };
    live.done(&["set-strategy", "web", "first"]);
    let saved = live.say(&["config", "save"]);
    assert_eq!((saved.code, &*saved.stdout), (Some(1), "Nothing was saved.\n"), "{saved:?}");
    assert!(saved.stderr.contains("a flag or a variable of `lb run` says something else\n"));
    assert_eq!(live.text("lb.toml"), FARM);
}

#[test]
fn without_a_file_there_is_nothing_to_write_into() {
    let folder = crate::process::folder();
    let socket = folder.join("lb.sock").display().to_string();
    let args = ["run", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", &socket];
    let lb = Lb::spawn(&mut at_home(&folder, &args));
    let live = Live { folder, lb };
    live.done(&["set-weight", "default/127.0.0.1:1", "4"]);
    let refused = live.say(&["config", "save"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.starts_with("error: there is no file to write into: --to says what"));
    let diff = live.say(&["config", "diff"]);
    assert_eq!(diff.code, Some(1));
    assert!(diff.stdout.contains("cannot be saved: there is no file"), "{}", diff.stdout);
}

fn farm_of(backends: &[DemoBackend]) -> String {
    FARM.replace("127.0.0.1:1\"", &format!("{}\"", backends[0].address()))
        .replace("127.0.0.1:2\"", &format!("{}\"", backends[1].address()))
}

#[test]
fn saving_and_a_restart_change_nothing_for_clients() {
    let backends = ["a", "b"].map(|name| DemoOptions::named(name).start().expect("a free port"));
    let live = Live::start(&farm_of(&backends));
    live.done(&["set-weight", "web/s1", "1"]);
    let address = live.lb.address();
    let ends = Arc::new(AtomicBool::new(false));
    let (asks, has_ended) = (Arc::clone(&ends), Arc::clone(&ends));
    let client = thread::spawn(move || {
        let mut answers = Vec::new();
        while !asks.load(Ordering::Relaxed) {
            answers.push(get(address, "/").status);
        }
        answers
    });
    for weight in ["2", "1", "4", "1"] {
        live.done(&["set-weight", "web/s2", weight]);
        live.done(&["config", "save"]);
    }
    has_ended.store(true, Ordering::Relaxed);
    let answers = client.join().expect("a client");
    assert!(!answers.is_empty() && answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(shares(address, "/", 20).get("a"), Some(&10));

    let Live { folder, lb } = live;
    drop(lb);
    let lb = Lb::spawn(at_home(&folder, &["run", "--config", "lb.toml"]).current_dir(&*folder));
    let live = Live { folder, lb };
    assert_eq!(live.say(&["config", "diff"]).code, Some(0));
    assert_eq!(shares(live.lb.address(), "/", 20).get("a"), Some(&10));
}

#[test]
fn no_difference_tells_a_secret() {
    let check = "health = { path = \"/\", headers = { authorization = \"hunter2\" } }";
    let live = Live::start(&FARM.replace("strategy =", &format!("{check}\nstrategy =")));
    live.done(&["set-strategy", "web", "first"]);
    let diff = live.done(&["config", "save", "--dry-run"]);
    assert!(
        diff.contains("headers = { authorization = ***") && diff.contains("+strategy"),
        "{diff}"
    );
    let other = live.text("lb.toml").replace("hunter2", "hunter3");
    let (status, answer) = live.ask("PUT", "/config?dry_run=true", &other);
    assert!(status == 200 && !answer.to_string().contains("hunter"), "{answer}");
    live.done(&["config", "save"]);
    assert!(live.text("lb.toml").contains("hunter2"), "it is kept in the file");
}

#[test]
fn who_is_not_there_is_told_with_who_was_meant() {
    let live = Live::start(FARM);
    for (target, error) in [
        ("web/s9", "error: `web` has no backend `s9`\n  help: did you mean `s"),
        ("wbe", "error: there is no cluster `wbe`\n  help: did you mean `web`?\n"),
    ] {
        let said = live.say(&["config", "save", target]);
        assert_eq!(said.code, Some(4), "{said:?}");
        assert!(said.stderr.starts_with(error), "{said:?}");
    }
    // Without a body all is meant.
    live.done(&["set-weight", "web/s1", "5"]);
    let (status, saved) = live.ask("POST", "/config/save?why=for%20good", "");
    assert_eq!((status, saved["items"][0]["line"].as_u64()), (200, Some(14)), "{saved}");
    assert_eq!(saved["changes"][0]["why"], "saved into lb.toml:14: for good");
}

#[test]
fn a_whole_file_is_replaced_when_it_can_be_served_and_the_old_one_kept() {
    let live = Live::start(FARM);
    let other = FARM.replace("weight = 3", "weight = 4").replace("\"s2\"", "\"s3\"")
        + "[cluster.api]\nbackends = []\n[[route]]\npath = \"/api/\"\nto = \"api\"\n";
    let (status, dry) = live.ask("PUT", "/config?dry_run=true", &other);
    assert_eq!(status, 200, "{dry}");
    let found = &dry["difference"];
    assert_eq!(found["clusters_added"][0], "api");
    assert_eq!(found["routes_changed"], true);
    let backends: Vec<String> = found["backends"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| format!("{} {}", one["backend"], one["what"]).replace('"', ""))
        .collect();
    assert_eq!(backends, ["s1 changed", "s3 added", "s2 removed"]);
    assert_eq!((live.text("lb.toml"), live.generation()), (FARM.to_owned(), 1));

    let (status, problem) = live.ask("PUT", "/config", &FARM.replace("weight = 3", "wieght = 3"));
    assert_eq!(status, 422);
    let place = &problem["diagnostics"][0]["place"];
    assert_eq!((place["file"].as_str(), place["line"].as_u64()), (Some("lb.toml"), Some(14)));
    let (status, problem) = live.ask("PUT", "/config", &format!("include = \"x\"\n{FARM}"));
    assert_eq!((status, problem["type"].as_str()), (422, Some("urn:lb:problem:invalid")));
    assert_eq!(live.text("lb.toml"), FARM);

    let (status, done) = live.ask("PUT", "/config", &other);
    assert_eq!((status, done["config_generation"].as_u64()), (200, Some(2)), "{done}");
    assert_eq!((live.text("lb.toml"), live.text("lb.toml.before")), (other, FARM.to_owned()));
    assert!(live.done(&["status", "web"]).contains("web/s3"));
}

#[test]
fn a_refused_reload_tells_what_lb_check_tells() {
    let live = Live::start(FARM);
    live.write_file("lb.toml", &FARM.replace("strategy =", "stratgy ="));
    let refused = live.say(&["reload"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.starts_with("error: unknown key `stratgy`\n"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--> lb.toml:11:1\n"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("a key with a similar name exists: `strategy`")
            || refused.stderr.contains("`strategy`")
    );
    let (status, problem) = live.ask("POST", "/config/reload", "");
    assert_eq!((status, problem["diagnostics"][0]["place"]["line"].as_u64()), (422, Some(11)));
}

#[test]
fn the_configuration_that_runs_is_shown_with_what_was_set() {
    let live = Live::start(FARM);
    live.done(&["set-weight", "web/s1", "5"]);
    let shown = live.done(&["config", "show"]);
    let line = shown.lines().find(|line| line.starts_with("cluster.web.strategy")).expect("a line");
    assert!(line.ends_with("# lb.toml:11"), "{line}");
    assert!(shown.ends_with("# set: web/s1 weight: 5 (lb undo 1)\n"), "{shown}");
    let file = live.folder.join("lb.toml").display().to_string();
    let of_file = live.done(&["config", "show", "--config", &file]);
    assert!(!of_file.contains("# set:") && of_file.contains("cluster.web.strategy"), "{of_file}");
}

#[test]
fn one_that_the_file_cannot_have_keeps_no_other_from_it() {
    let farm =
        FARM.replace("strategy =", "health = { path = \"/h\", interval = \"1h\" }\nstrategy =");
    let live = Live::start(&farm);
    live.done(&["set-weight", "web/s2", "4"]);
    // Laid over the file it takes the place of the path, which in the file it contradicts.
    live.done(&["set-health", "web", "tcp=true", "fall=5"]);
    live.done(&["set-strategy", "web", "p2c"]);
    let saved = live.say(&["config", "save"]);
    assert_eq!(saved.code, Some(1), "{saved:?}");
    assert_eq!(
        saved.stdout,
        "saved web/s2: weight 4: lb.toml:16\nsaved web: strategy p2c: lb.toml:12\n"
    );
    let why = "stays set beside the file: the file could not be used with it: \
               `cluster.web.health.path` has no use with `tcp = true`";
    for key in ["tcp", "fall"] {
        let told = format!("warning: web: health.{key} {why}\n");
        assert!(saved.stderr.contains(&told), "{}", saved.stderr);
    }
    assert!(live.done(&["status"]).contains("set: health.tcp is true"));
}

#[test]
fn what_was_saved_is_passed_over_by_an_undo_without_a_number() {
    let live = Live::start(FARM);
    live.done(&["set-weight", "web/s1", "7"]);
    live.done(&["set-weight", "web/s2", "4", "--save"]);
    live.done(&["remove", "web/s2", "--save"]);
    let changes = live.done(&["changes"]);
    assert!(changes.contains("removed 127.0.0.1:2"), "{changes}");
    for number in ["3", "5"] {
        let refused = live.say(&["undo", number]);
        assert_eq!(refused.code, Some(5), "{refused:?}");
        assert!(refused.stderr.contains("the file says since then"), "{refused:?}");
    }
    let events = live.done(&["events"]);
    assert!(events.lines().any(|line| line.contains("web/s2  weight 4  why: saved into")));
    assert!(!events.contains("lb undo 3"), "{events}");
    let undone = live.done(&["undo"]);
    assert!(undone.starts_with("web/s1 unknown: weight 3"), "{undone}");
    let none = live.say(&["undo"]);
    assert_eq!(none.code, Some(4), "{none:?}");
}
