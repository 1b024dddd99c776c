//! What is written, on files before and after.

use serde_json::json;

use super::*;
use crate::config::{Config, Pretended};

fn world() -> Pretended {
    let files = [("conf.d/web.toml", INCLUDED)];
    let variables = [("ONE", "10.0.0.1:80"), ("MANY", "10.0.0.1:80 10.0.0.2:80")];
    Pretended {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        files: files.map(|(name, text)| (name.into(), text.to_owned())).into(),
    }
}

fn of(cluster: &str, backend: &str, what: Wording) -> Alteration {
    let backend = Some(backend.to_owned()).filter(|name| !name.is_empty());
    Alteration { cluster: cluster.to_owned(), backend, what }
}

fn key(backend: &str, key: &'static [&'static str], value: Value) -> Alteration {
    of("web", backend, Wording::Key(key.to_vec(), value))
}

fn added(name: &str, value: Value) -> Alteration {
    of("web", name, Wording::Backend(value))
}

fn gone(name: &str) -> Alteration {
    of("web", name, Wording::Nothing)
}

/// The text with these written into it, which can be read and says so.
#[track_caller]
fn written(before: &str, alterations: &[Alteration]) -> String {
    let world = world();
    let mut written = Written::read("lb.toml", before, &world);
    for alteration in alterations {
        written.alter(alteration).unwrap_or_else(|why| panic!("{alteration:?}: {why}"));
    }
    let altered = written.altered();
    let after = altered.iter().find(|file| file.name == "lb.toml");
    let after = after.map_or_else(|| before.to_owned(), |file| file.after.clone());
    let (config, found) = Config::parse("lb.toml", &after, &world);
    assert!(config.is_some(), "{}\n{after}", found.render(false));
    after
}

#[track_caller]
fn refused(before: &str, alteration: &Alteration) -> String {
    let world = world();
    let mut written = Written::read("lb.toml", before, &world);
    let why = written.alter(alteration).expect_err("it was written");
    assert!(written.altered().is_empty(), "something of it was written");
    why
}

const ROUTE: &str = "[[route]]\nto = \"web\"\n\n";

const LONG: &str = r#"# The farm of the third floor.
[cluster.web]
strategy = "round-robin"   # fair
backends = [
  # the big one
  { address = "10.0.0.1:80", name = "s1", weight = 3 },  # rack 4
  { address = "10.0.0.2:80", name = "s2" }, # rack 5
  "10.0.0.3:80",
]

[cluster.web.timeout] # as ever
connect = "1s"
"#;

#[test]
fn a_value_is_written_where_it_stands_and_all_else_stays() {
    let after = written(
        &(ROUTE.to_owned() + LONG),
        &[
            key("s1", &["weight"], json!(5)),
            key("s2", &["state"], json!("draining")),
            key("10.0.0.3:80", &["max_in_flight"], json!(64)),
            key("", &["strategy"], json!("p2c")),
            key("", &["timeout", "connect"], json!("3s")),
        ],
    );
    assert_eq!(
        after,
        ROUTE.to_owned()
            + r#"# The farm of the third floor.
[cluster.web]
strategy = "p2c"   # fair
backends = [
  # the big one
  { address = "10.0.0.1:80", name = "s1", weight = 5 },  # rack 4
  { address = "10.0.0.2:80", name = "s2", state = "draining" }, # rack 5
  { address = "10.0.0.3:80", max_in_flight = 64 },
]

[cluster.web.timeout] # as ever
connect = "3s"
"#
    );
}

#[test]
fn a_backend_is_added_as_the_others_are_written() {
    let four = json!({ "address": "10.0.0.4:80", "name": "s4", "weight": 2 });
    let after = written(&(ROUTE.to_owned() + LONG), &[added("s4", four.clone())]);
    assert!(
        after.contains(
            "  \"10.0.0.3:80\",\n  { address = \"10.0.0.4:80\", name = \"s4\", weight = 2 },\n]\n"
        ),
        "{after}"
    );
    let plain = json!({ "address": "10.0.0.4:80" });
    for (list, one, more) in [
        ("[]", r#"["10.0.0.4:80"]"#, r#"[{ address = "10.0.0.4:80", name = "s4", weight = 2 }]"#),
        (
            r#"["10.0.0.1:80"] # x"#,
            r#"["10.0.0.1:80", "10.0.0.4:80"] # x"#,
            r#"["10.0.0.1:80", { address = "10.0.0.4:80", name = "s4", weight = 2 }] # x"#,
        ),
        (
            "[\n  \"10.0.0.1:80\" # last\n]",
            "[\n  \"10.0.0.1:80\", # last\n  \"10.0.0.4:80\"\n]",
            "[\n  \"10.0.0.1:80\", # last\n  { address = \"10.0.0.4:80\", name = \"s4\", weight = 2 }\n]",
        ),
        (
            r#"[ "10.0.0.1:80" ]"#,
            r#"[ "10.0.0.1:80", "10.0.0.4:80" ]"#,
            r#"[ "10.0.0.1:80", { address = "10.0.0.4:80", name = "s4", weight = 2 } ]"#,
        ),
        (
            r#""10.0.0.1:80, 10.0.0.2:80" # two"#,
            r#"["10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80"] # two"#,
            r#"["10.0.0.1:80", "10.0.0.2:80", { address = "10.0.0.4:80", name = "s4", weight = 2 }] # two"#,
        ),
    ] {
        let file = |list: &str| format!("{ROUTE}[cluster.web]\nbackends = {list}\n");
        assert_eq!(written(&file(list), &[added("10.0.0.4:80", plain.clone())]), file(one));
        assert_eq!(written(&file(list), &[added("s4", four.clone())]), file(more));
    }
}

const BLOCKS: &str = r#"[[cluster.web.backends]]
address = "10.0.0.1:80"
name = "s1" # the first

# the second
[[cluster.web.backends]]
address = "10.0.0.2:80"
name = "s2"

[cluster.web.health]
path = "/health"
"#;

#[test]
fn tables_with_headers_stay_so() {
    let four = json!({ "address": "10.0.0.4:80", "name": "s4" });
    let after = written(
        &(ROUTE.to_owned() + BLOCKS),
        &[added("s4", four), key("s1", &["weight"], json!(7)), gone("s2")],
    );
    assert_eq!(
        after,
        ROUTE.to_owned()
            + r#"[[cluster.web.backends]]
address = "10.0.0.1:80"
name = "s1" # the first
weight = 7

# the second
[[cluster.web.backends]]
address = "10.0.0.4:80"
name = "s4"

[cluster.web.health]
path = "/health"
"#
    );
}

#[test]
fn a_removed_backend_takes_the_comment_on_its_line_along_and_no_other() {
    let file = ROUTE.to_owned() + LONG;
    let first = written(&file, &[gone("s1")]);
    assert!(
        first.contains(
            "[\n  # the big one\n  { address = \"10.0.0.2:80\", name = \"s2\" }, # rack 5\n"
        ),
        "{first}"
    );
    let last = written(&file, &[gone("10.0.0.3:80"), gone("s2")]);
    assert!(last.contains("weight = 3 },  # rack 4\n]\n"), "{last}");
    let nobody = written(&file, &[gone("10.0.0.3:80"), gone("s2"), gone("s1")]);
    assert!(nobody.contains("backends = [\n  # the big one\n]\n"), "{nobody}");
    for (list, name, after) in [
        (r#"["10.0.0.1:80", "10.0.0.2:80"]"#, "10.0.0.1:80", r#"["10.0.0.2:80"]"#),
        (r#"[ "10.0.0.1:80", "10.0.0.2:80" ]"#, "10.0.0.2:80", r#"[ "10.0.0.1:80" ]"#),
        (r#""10.0.0.1:80 10.0.0.2:80""#, "10.0.0.1:80", r#"["10.0.0.2:80"]"#),
        (
            r#"["10.0.0.1:80 10.0.0.2:80", "10.0.0.3:80"]"#,
            "10.0.0.1:80",
            r#"["10.0.0.2:80", "10.0.0.3:80"]"#,
        ),
    ] {
        let file = |list: &str| format!("{ROUTE}[cluster.web]\nbackends = {list}\n");
        assert_eq!(written(&file(list), &[gone(name)]), file(after));
    }
}

#[test]
fn a_strategy_keeps_the_form_it_has_where_that_can_say_it() {
    let ring = json!({ "name": "maglev", "key": "header:x-user" });
    for (before, wanted, after) in [
        (
            "strategy = \"random\" # why not\n",
            ring.clone(),
            "strategy = { name = \"maglev\", key = \"header:x-user\" } # why not\n",
        ),
        (
            "strategy = { name = \"p2c\", draws = 3 }\n",
            ring.clone(),
            "strategy = { name = \"maglev\", key = \"header:x-user\" }\n",
        ),
        ("", ring, "strategy = { name = \"maglev\", key = \"header:x-user\" }\n"),
        (
            "strategy = { name = \"p2c\", draws = 3 } # x\n",
            json!("random"),
            "strategy = \"random\" # x\n",
        ),
    ] {
        let file = |text: &str| format!("{ROUTE}[cluster.web]\nbackends = \"a:1\"\n{text}");
        assert_eq!(written(&file(before), &[key("", &["strategy"], wanted)]), file(after));
    }
    let block = format!(
        "{ROUTE}[cluster.web]\nbackends = \"a:1\"\n[cluster.web.strategy]\n# ours\nname = \"p2c\"\ndraws = 3\n"
    );
    let after = written(&block, &[key("", &["strategy"], json!({ "name": "p2c", "draws": 4 }))]);
    assert_eq!(after, block.replace('3', "4"));
}

#[test]
fn a_table_that_is_not_there_is_made() {
    let file = |text: &str| format!("{ROUTE}[cluster.web]\nbackends = \"a:1\"\n{text}");
    let interval = key("", &["health", "interval"], json!("1s"));
    let inherited = format!("[defaults]\nhealth = {{ path = \"/\" }}\n{}", file(""));
    assert!(
        written(&inherited, std::slice::from_ref(&interval))
            .ends_with("health = { interval = \"1s\" }\n")
    );
    let why = refused(&file("health = \"off\"\n"), &interval);
    assert_eq!(why, "`health` is \"off\" there, not a table");
}

const INCLUDED: &str = r#"# in a file of its own
[cluster.web]
backends = ["10.0.0.1:80"]
"#;

#[test]
fn each_value_goes_to_the_file_that_has_it() {
    let world = world();
    let main = format!("include = \"conf.d/*.toml\"\n{ROUTE}[cluster.api]\nbackends = \"b:1\"\n");
    let mut written = Written::read("lb.toml", &main, &world);
    written.alter(&key("10.0.0.1:80", &["weight"], json!(2))).unwrap();
    written.alter(&of("api", "b:1", Wording::Key(vec!["weight"], json!(3)))).unwrap();
    let altered = written.altered();
    assert_eq!(altered.len(), 2);
    assert!(altered[0].after.ends_with("backends = [{ address = \"b:1\", weight = 3 }]\n"));
    assert_eq!(
        altered[1].diff(),
        "--- a/conf.d/web.toml\n+++ b/conf.d/web.toml\n@@ -1,3 +1,3 @@\n # in a file of its own\n \
         [cluster.web]\n-backends = [\"10.0.0.1:80\"]\n\
         +backends = [{ address = \"10.0.0.1:80\", weight = 2 }]\n"
    );
    let spot = written.spot("web", Some("10.0.0.1:80"), &["weight"]).unwrap();
    assert_eq!(spot.to_string(), "conf.d/web.toml:3");
}

#[test]
fn what_a_variable_says_is_not_written_over() {
    let file = |text: &str| format!("{ROUTE}[cluster.web]\n{text}\n");
    let weight = |name| key(name, &["weight"], json!(2));
    for (text, alteration, form) in [
        ("backends = \"${MANY}\"", weight("10.0.0.2:80"), "${MANY}"),
        ("backends = \"${MANY}\"", added("c:1", json!({ "address": "c:1" })), "${MANY}"),
        ("backends = [\"${ONE}\", \"c:1\"]", weight("10.0.0.1:80"), "${ONE}"),
        ("backends = [\"${ONE}\", \"c:1\"]", gone("10.0.0.1:80"), "${ONE}"),
        ("backends = [{ address = \"${ONE}\", name = \"s\" }]", gone("s"), "${ONE}"),
        (
            "backends = []\nstrategy = \"${NONE:-random}\"",
            key("", &["strategy"], json!("p2c")),
            "${NONE:-random}",
        ),
    ] {
        let why = refused(&file(text), &alteration);
        assert_eq!(why, format!("`{form}` stands there, so a variable decides it"), "{text}");
    }
    // What is beside one can be.
    let beside = file("backends = [{ address = \"${ONE}\", name = \"s\" }, \"c:1\"]");
    let after = written(&beside, &[weight("s"), weight("c:1")]);
    assert!(after.contains("{ address = \"${ONE}\", name = \"s\", weight = 2 }"), "{after}");
    let written = Written::read("lb.toml", &beside, &Pretended::default()).variable();
    assert_eq!(written.as_deref(), Some("${ONE}"));
}

#[test]
fn a_text_that_looks_like_a_variable_is_written_as_a_text() {
    let file = format!("{ROUTE}[cluster.web]\nbackends = []\n");
    let zone = json!({ "address": "a:1", "zone": "${HOME} \"x\"" });
    let after = written(&file, &[added("a:1", zone)]);
    let (config, _) = Config::parse("lb.toml", &after, &Pretended::default());
    assert_eq!(config.unwrap().clusters[0].backends[0].zone(), Some("${HOME} \"x\""));
}

#[test]
fn the_short_form_has_no_table_for_its_cluster() {
    let weight = of("default", "10.0.0.1:80", Wording::Key(vec!["weight"], json!(2)));
    let strategy = of("default", "", Wording::Key(vec!["strategy"], json!("p2c")));
    let short = "to = [\"10.0.0.1:80\"] # one\n";
    let after = written(short, &[weight, strategy.clone()]);
    assert_eq!(
        after,
        "to = [{ address = \"10.0.0.1:80\", weight = 2 }] # one\n\n[defaults]\nstrategy = \"p2c\"\n"
    );
    let both = format!("{short}{ROUTE}[cluster.web]\nbackends = []\n");
    assert!(refused(&both, &strategy).contains("list its backends in `[cluster.default]`"));
}

#[test]
fn who_is_in_no_file_is_not_written() {
    let file = ROUTE.to_owned() + LONG;
    assert!(refused(&file, &gone("s9")).starts_with("no file has the backend `s9`"));
    assert!(refused(&file, &of("wbe", "s1", Wording::Nothing)).contains("no file has the cluster"));
}

#[test]
fn every_value_is_found_with_its_line() {
    let world = world();
    let text = format!("[defaults]\nretry = {{ attempts = 3 }}\n{ROUTE}{LONG}");
    let written = Written::read("lb.toml", &text, &world);
    let line = |backend, path: &[&str]| written.spot("web", backend, path).map(|spot| spot.line);
    assert_eq!(line(None, &["strategy"]), Some(8));
    assert_eq!(line(None, &["timeout", "connect"]), Some(17));
    assert_eq!(line(None, &["retry", "attempts"]), Some(2));
    assert_eq!(line(Some("s1"), &["weight"]), Some(11));
    assert_eq!(line(Some("s2"), &[]), Some(12));
    assert_eq!(line(Some("10.0.0.3:80"), &[]), Some(13));
    assert_eq!(line(Some("s2"), &["weight"]), None);
    let blocks = format!("{ROUTE}{BLOCKS}");
    let written = Written::read("lb.toml", &blocks, &world);
    assert_eq!(written.spot("web", Some("s2"), &["name"]).unwrap().line, 11);
}
