//! The printed text of every kind of mistake, kept beside the files that make
//! them. `UPDATE_EXPECTED=1 cargo test -p lb-proxy` writes the texts anew; read
//! the difference before you commit it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_core::{
    cluster::Passive,
    strategy::{StrategyKind, StrategyOption},
};
use toml::de::DeValue;

use super::{
    keys::{Section, Shape},
    *,
};

fn parse_good(text: &str) -> Config {
    let (config, diagnostics) = Config::parse("good.toml", text, &Pretended::default());
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config.expect("a file without errors has a configuration")
}

pub(super) fn broken_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of broken files")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_broken_file_prints_what_is_kept_beside_it() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let files = broken_files();
    assert!(files.len() >= 10, "only {} broken files were found", files.len());
    let mut differing = Vec::new();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a printable name");
        let text = fs::read_to_string(&file).expect(name);
        let (config, diagnostics) = Config::parse(name, &text, &Pretended::default());
        assert!(config.is_none(), "{name} was taken");
        let printed = format!("{}{}\n", diagnostics.render(false), diagnostics.summary());
        let beside = file.with_extension("txt");
        if update {
            fs::write(&beside, &printed).expect(name);
        } else if fs::read_to_string(&beside).ok().as_deref() != Some(&printed) {
            differing.push(format!("{name} now prints:\n{printed}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Files whose findings may be about no key.
const SYNTAX: [&str; 5] =
    ["yaml.toml", "syntax.toml", "unclosed_table.toml", "unclosed_list.toml", "quotes.toml"];

const ANNOUNCE_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A world with the variables and files of the shipped files.
fn world() -> Pretended {
    let key = "AAECAwQFBgcICQoLDA0ODw==";
    let variables = [
        ("LIST", "10.0.1.1:80, 10.0.1.2:80"),
        ("KEY", key),
        ("LB_ANNOUNCE_KEY", ANNOUNCE_KEY),
        ("DYNAMIC_KEY", ANNOUNCE_KEY),
        ("OTHER_KEY", "Dx4tPEtaaXiHlqW0w9Lh8A8eLTxLWml4h5altMPS4fA="),
        ("STATIC_APP_1", "10.0.0.1:3000"),
        ("STATIC_APP_2", "10.0.0.2:3000"),
        ("DYNAMIC_APP_1", "10.0.0.3:3000"),
        ("DYNAMIC_APP_2", "10.0.0.4:3000"),
        ("SESSION_KEY", key),
        ("ADMIN_TOKEN", "0123456789abcdef-admin"),
    ];
    let viewer = "0123456789abcdef-viewer\n";
    let files =
        [("web.key", key), ("viewer.token", viewer), ("conf.d/extra.toml", ""), ("nodes/n1", "")];
    Pretended {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        files: files.map(|(name, text)| (name.into(), text.to_owned())).into(),
    }
}

pub(super) fn full() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/full.toml");
    fs::read_to_string(file).expect("the file with every key")
}

pub(super) fn strategies() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strategies.toml");
    fs::read_to_string(file).expect("the file with every strategy")
}

#[test]
fn a_file_with_every_strategy_has_every_option_of_each() {
    let text = strategies();
    let (document, _) = DeTable::parse_recoverable(&text);
    let clusters = document.get_ref().get("cluster").and_then(|all| all.get_ref().as_table());
    let strategies = clusters.into_iter().flat_map(DeTable::values);
    let strategies: Vec<&DeValue<'_>> = strategies
        .filter_map(|cluster| Some(cluster.get_ref().get("strategy")?.get_ref()))
        .collect();
    let mut missing = BTreeSet::new();
    for kind in StrategyKind::ALL {
        let is_named = |strategy: &&&DeValue<'_>| {
            let name = strategy.get("name").and_then(|name| name.get_ref().as_str());
            strategy.as_str().or(name) == Some(kind.name())
        };
        let own: Vec<_> = strategies.iter().filter(is_named).collect();
        if own.is_empty() {
            missing.insert(kind.name().to_owned());
        }
        for option in kind.options() {
            if own.iter().all(|strategy| strategy.get(option.name()).is_none()) {
                missing.insert(format!("{kind}.{}", option.name()));
            }
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn a_file_with_every_key_is_read_without_a_word() {
    let text = full();
    let (config, found) = Config::parse("full.toml", &text, &world());
    assert_eq!(found.count(Severity::Error), 0, "{}", found.render(false));
    let config = config.expect("no errors");
    let [short, api, web] = &*config.clusters else { panic!("three clusters") };
    assert_eq!(short.backends.len(), 2);
    assert_eq!(
        api.policy.passive,
        Passive::Windowed { max_fails: 5, fail_timeout: Duration::from_secs(300) }
    );
    assert_eq!((api.policy.panic_threshold, api.retry.attempts), (30, 3));
    assert_eq!(web.sticky.as_ref().map(|sticky| sticky.keys.len()), Some(2));
    let intervals = [api, web].map(|cluster| cluster.health.as_ref().map(|one| one.interval));
    assert_eq!(intervals, [Some(Duration::from_secs(5)); 2]);
    assert!(short.health.is_none(), "a part of a check checks nobody");
    assert_eq!(web.discover.len(), 6);
    assert_eq!(config.log.access.as_ref().map(|log| log.sample), Some(12.5));
}

/// Every field of what a file comes to, so that no key can lose its meaning unseen.
#[test]
fn what_every_key_means_is_kept_beside_its_file() {
    for name in ["full", "sparse"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let text = fs::read_to_string(folder.join(format!("{name}.toml"))).expect(name);
        let (config, found) = Config::parse("x.toml", &text, &world());
        let config = config.unwrap_or_else(|| panic!("{}", found.render(false)));
        is_as_kept(name, &format!("{config:#?}\n"));
    }
}

/// A line for each of the strategies that have a file of their own.
#[test]
fn every_strategy_is_documented_with_its_options() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(file).expect("the reference");
    for kind in StrategyKind::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let row = row.unwrap_or_else(|| panic!("{kind} has no row"));
        let (_, options) = row.trim_end_matches(" |").rsplit_once('|').expect("three columns");
        for option in StrategyOption::ALL {
            let is_there = options.contains(&format!("`{}`", option.name()));
            assert_eq!(is_there, kind.options().contains(option), "{kind}: {option:?}");
        }
    }
}

#[test]
fn every_strategy_has_a_page_and_is_in_the_readme() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(docs.join(path)).expect(path);
    let (readme, list) = (read("README.md"), read("docs/strategies/README.md"));
    for kind in StrategyKind::ALL {
        let mut rows = readme.lines().filter_map(|line| line.split('|').nth(1));
        assert!(rows.any(|row| row.contains(&format!("`{kind}`"))), "{kind} has no row");
        assert!(list.contains(&format!("[`{kind}`]({kind}.md)")), "no link to {kind}");
        let page = read(&format!("docs/strategies/{kind}.md"));
        assert!(page.starts_with(&format!("# {kind}\n")), "{kind}");
        for option in kind.options() {
            let is_told = page.contains(&format!("`{}", option.name()));
            assert!(is_told, "{kind}.md says nothing of {option:?}");
        }
    }
}

#[test]
fn what_every_option_means_is_kept_beside_its_file() {
    let (config, found) = Config::parse("x.toml", &strategies(), &world());
    let config = config.unwrap_or_else(|| panic!("{}", found.render(false)));
    let line = |cluster: &Cluster| format!("{}: {:?}\n", cluster.name, cluster.strategy);
    is_as_kept("strategies", &config.clusters.iter().map(line).collect::<String>());
}

fn is_as_kept(name: &str, now: &str) {
    let beside =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format!("{name}.expected"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&beside, now).expect(name);
    }
    let kept = fs::read_to_string(&beside).unwrap_or_default();
    let differs = kept.lines().zip(now.lines()).find(|(kept, now)| kept != now);
    assert!(kept == now, "{name}: {differs:?}; UPDATE_EXPECTED=1 writes it anew");
}

#[test]
fn the_values_that_are_shown_are_those_that_hold() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sparse.toml");
    let text = fs::read_to_string(file).expect("a readable file");
    let settings = Config::settings("x.toml", &text, &world());
    let value = |key: &str| {
        settings.iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
    };
    for (key, shown) in [
        ("limits.target", Some("\"8KiB\"")),
        ("cluster.checked.health.timeout", Some("\"500ms\"")),
        ("cluster.checked.health.path", Some("\"/healthz\"")),
        ("cluster.sources.health.timeout", Some("\"1s\"")),
        ("cluster.sources.health.expect", None),
        ("cluster.bound.strategy", Some("\"maglev\"")),
        ("cluster.bound.strategy.bounded_load", Some("1.25")),
        ("cluster.plain.strategy.bounded_load", None),
        ("cluster.plain.retry", None),
        ("cluster.plain.retry.attempts", Some("2")),
        ("route[0].path", Some("\"/\"")),
        ("route[2].path", None),
        ("route[3].path", None),
        ("route[2].name", Some("\"*.example.org= /checked\"")),
    ] {
        assert_eq!(value(key), shown, "{key}");
    }
    for (strategy, option, shown) in [
        ("\"p2c\"", "draws", Some("2")),
        ("\"reported-load\"", "draws", Some("5")),
        ("{ name = \"p2c\", draws = 4 }", "draws", Some("4")),
        ("{ name = \"haproxy-hash\", key = \"uri\" }", "function", Some("\"sdbm\"")),
        ("\"haproxy-hash\"", "function", None),
        ("\"haproxy-hash\"", "avalanche", Some("false")),
        ("{ name = \"haproxy-hash\", type = \"consistent\" }", "avalanche", Some("true")),
        ("\"ip-hash\"", "bounded_load", None),
    ] {
        let text = format!(
            "[[route]]\nto = \"a\"\n[cluster.a]\nbackends = \"a:1\"\nstrategy = {strategy}\n"
        );
        let settings = Config::settings("x.toml", &text, &world());
        let key = format!("cluster.a.strategy.{option}");
        let found = settings.iter().find(|setting| setting.key == key);
        assert_eq!(found.map(|one| one.value.as_str()), shown, "{strategy} {option}");
    }
    let text = "to = \"a:1\"\n[defaults]\nstrategy = \"p2c\"\n";
    let settings = Config::settings("x.toml", text, &world());
    let draws = settings.iter().find(|setting| setting.key == "defaults.strategy.draws");
    assert_eq!(draws.map(|setting| &*setting.value), Some("2"));
    let settings = Config::settings("x.toml", "to = [\"a:1\"]", &world());
    assert!(settings.iter().any(|setting| setting.key == "defaults.timeout.connect"));
    assert!(settings.iter().all(|setting| setting.value != "{}"), "{settings:?}");
}

#[test]
fn keys_of_a_file_are_those_that_are_used() {
    let key = |byte: u8| [byte; 16];
    let world = Pretended {
        variables: [("ONE", "AQEBAQEBAQEBAQEBAQEBAQ=="), ("TWO", "AgICAgICAgICAgICAgICAg==")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Pretended::default()
    };
    let text = "[[route]]\nto = \"a\"\n[cluster.a]\nbackends = []\n\
                strategy = { name = \"maglev\", secret = { env = \"TWO\" } }\n\
                sticky = { cookie = \"A\", keys = [{ env = \"TWO\" }, { env = \"ONE\" }] }\n";
    let (config, found) = Config::parse("x.toml", text, &world);
    let cluster = &config.unwrap_or_else(|| panic!("{}", found.render(false))).clusters[0];
    assert_eq!(cluster.sticky.as_ref().map(|one| &*one.keys), Some(&[key(2), key(1)][..]));
    assert_eq!(cluster.strategy.options.secret, Some(lb_core::hash::Secret::new(key(2))));
}

#[test]
fn a_listener_has_request_ids_unless_it_or_the_file_says_no() {
    let ids = |text: &str| {
        let (config, _) = Config::parse("ids.toml", text, &world());
        let listeners = config.expect("no errors").listeners;
        listeners.iter().map(|listener| listener.request_id).collect::<Vec<_>>()
    };
    assert_eq!(ids("to = \"a:1\""), [true]);
    assert_eq!(ids("to = \"a:1\"\nrequest_id = false"), [false]);
    let two = "[[listener]]\nbind = \":1\"\nrequest_id = true\n[[listener]]\nbind = \":2\"";
    assert_eq!(ids(&format!("to = \"a:1\"\nrequest_id = false\n{two}")), [true, false]);
}

#[test]
fn a_file_with_every_key_has_every_key() {
    let mut seen = BTreeSet::new();
    for text in [full(), strategies()] {
        let (document, _) = DeTable::parse_recoverable(&text);
        see(&TOP, document.get_ref(), &mut seen);
    }
    // They exclude others that are there.
    seen.extend([("file", "listen"), ("sticky", "key")]);
    let mut missing = Vec::new();
    for (section, key) in schema::every_key() {
        if !seen.contains(&(section.name, key.name)) {
            missing.push(format!("{}.{}", section.name, key.name));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Every key of a table, with the section that describes it.
fn see(
    section: &'static Section,
    table: &DeTable<'_>,
    seen: &mut BTreeSet<(&'static str, &'static str)>,
) {
    for (name, value) in table {
        let key = section.key(name.get_ref());
        if let Some(key) = key {
            let is_own = section.keys.iter().any(|own| own.name == key.name);
            let owner = if is_own { Some(section) } else { section.also };
            seen.extend(owner.map(|owner| (owner.name, key.name)));
        }
        let Some(shape) = key.map(|key| key.shape).or(section.any_key) else { continue };
        see_value(shape, value.get_ref(), seen);
    }
}

fn see_value(shape: Shape, value: &DeValue<'_>, seen: &mut BTreeSet<(&'static str, &'static str)>) {
    match value {
        DeValue::Table(table) => {
            if let Some(section) = shape.table() {
                see(section, table, seen);
            }
        }
        DeValue::Array(items) => {
            for item in items {
                if let Some(shape) = shape.of_items() {
                    see_value(shape, item.get_ref(), seen);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_key_is_documented() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(file).expect("the reference");
    let missing: BTreeSet<&str> = schema::every_key()
        .into_iter()
        .map(|(_, key)| key.name)
        .filter(|name| {
            let in_code =
                |before: &str, after: &str| text.contains(&format!("{before}{name}{after}"));
            !["`", ".", "[", "{ ", ", "]
                .iter()
                .any(|before| ["`", " =", "]", "."].iter().any(|after| in_code(before, after)))
        })
        .collect();
    assert_eq!(missing, BTreeSet::new());
}

pub(super) fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs");
    let files = fs::read_dir(folder).expect("the examples");
    let files = files.map(|entry| entry.expect("a readable entry").path());
    let files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    assert!(files.len() >= 5, "only {} examples were found", files.len());
    files
}

#[test]
fn every_example_is_taken_without_a_warning() {
    for file in examples() {
        let text = fs::read_to_string(&file).expect("a readable example");
        let name = file.file_name().and_then(|name| name.to_str()).expect("a printable name");
        let (config, found) = Config::parse(name, &text, &world());
        assert_eq!(found.count(Severity::Warning), 0, "{}", found.render(false));
        assert!(config.is_some(), "{}", found.render(false));
    }
}

#[test]
fn every_finding_with_a_place_names_its_key() {
    for file in broken_files().iter().filter(|file| !SYNTAX.iter().any(|name| file.ends_with(name)))
    {
        let text = fs::read_to_string(file).expect("a readable file");
        let (_, diagnostics) = Config::parse("x.toml", &text, &Pretended::default());
        for found in diagnostics.to_vec() {
            assert!(
                found.place().is_none() || found.key_path().is_some(),
                "{}: {}",
                file.display(),
                found.message()
            );
        }
    }
}

#[test]
fn two_lines_make_a_balancer() {
    let config =
        parse_good("listen = \"127.0.0.1:0\"\nto = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]");
    assert_eq!(config.routes, [Route::everything(0)]);
    assert_eq!(&*config.clusters[0].name, "default");
    let addresses: Vec<&str> = config.clusters[0].backends.iter().map(Backend::address).collect();
    assert_eq!(addresses, ["127.0.0.1:9001", "127.0.0.1:9002"]);
    assert_eq!(config.workers, None);
}

#[test]
fn without_listen_only_this_machine_is_served() {
    let config = parse_good("to = [\"127.0.0.1:9001\"]");
    assert_eq!(config.listeners[0].bind.to_string(), "127.0.0.1:8080");
}

#[test]
fn inner_tables_win_over_outer_ones_key_by_key() {
    let config = parse_good(
        r#"
        timeout = { header = "1s", keep_alive = "2s" }
        [defaults]
        strategy = "first"
        timeout = { connect = "3s", idle = "4s" }
        [[listener]]
        bind = ":8001"
        [[listener]]
        bind = ":8002"
        timeout = { header = "5s" }
        [[route]]
        to = "a"
        [[route]]
        path = "/b"
        to = "b"
        [cluster.a]
        backends = []
        [cluster.b]
        strategy = "p2c"
        backends = []
        timeout = { connect = "6s" }
        "#,
    );
    let seconds = Duration::from_secs;
    let [outer, own] = &*config.listeners else { panic!("two listeners") };
    assert_eq!((outer.timeouts.header, outer.timeouts.keep_alive), (seconds(1), seconds(2)));
    assert_eq!((own.timeouts.header, own.timeouts.keep_alive), (seconds(5), seconds(2)));
    let [a, b] = &*config.clusters else { panic!("two clusters") };
    assert_eq!((a.timeouts.connect, a.timeouts.idle), (seconds(3), seconds(4)));
    assert_eq!((b.timeouts.connect, b.timeouts.idle), (seconds(6), seconds(4)));
    assert_eq!((a.strategy.kind, b.strategy.kind), (StrategyKind::First, StrategyKind::P2c));
}

#[test]
fn clusters_and_backends_keep_the_order_of_the_file() {
    let config = parse_good(
        r#"
        [[route]]
        to = "z"
        [[route]]
        path = "/a"
        to = "a"
        [cluster.z]
        backends = ["b:1", "a:1",
          { address = "c:1", name = "0", weight = 7, tier = 1, max_in_flight = 9 }]
        [cluster.a]
        backends = ["x:1"]
        "#,
    );
    let names: Vec<&str> = config.clusters.iter().map(|cluster| &*cluster.name).collect();
    assert_eq!(names, ["z", "a"]);
    let names: Vec<&str> = config.clusters[0].backends.iter().map(Backend::name).collect();
    assert_eq!(names, ["b:1", "a:1", "0"]);
    let last = &config.clusters[0].backends[2];
    assert_eq!((last.weight().get(), last.tier()), (7, 1));
    assert_eq!(last.max_in_flight().map(std::num::NonZero::get), Some(9));
}

#[test]
fn an_empty_list_of_backends_is_a_warning() {
    let (config, diagnostics) = Config::parse("x.toml", "to = []", &Pretended::default());
    assert!(config.is_some());
    assert_eq!(diagnostics.summary(), "x.toml: 1 warning");
}

#[test]
fn only_so_many_findings_are_printed() {
    let text: String = (0..60).map(|number| format!("x{number} = 1\n")).collect();
    let (_, diagnostics) =
        Config::parse("x.toml", &format!("to = [\"a:1\"]\n{text}"), &Pretended::default());
    let printed = diagnostics.render(false);
    assert_eq!(printed.matches("error: ").count(), 50);
    assert!(printed.ends_with("and 10 more\n\n"), "{printed}");
    assert_eq!(diagnostics.summary(), "x.toml: 60 errors");
}

#[test]
fn a_backend_that_is_a_listener_is_found_whoever_put_them_together() {
    let mut config = parse_good("to = [\"127.0.0.1:9001\"]");
    assert_eq!(config.loops(), Vec::<String>::new());
    config.listeners[0].bind = Bind::parse(":9001").expect("an address");
    assert_eq!(config.loops().len(), 1);
}

#[test]
fn positions_count_characters_from_one() {
    let (_, diagnostics) = Config::parse("x.toml", "#\n#öö = 1\n", &Pretended::default());
    let position = |byte| {
        let Position { line, column, .. } = diagnostics.position(byte);
        (line, column)
    };
    assert_eq!(position(0), (1, 1));
    assert_eq!(position("#\n#öö".len()), (2, 4));
    assert_eq!(position(10_000), (3, 1));
}

#[test]
fn no_text_makes_the_reader_panic() {
    // Every prefix of every broken file: cut-off strings, tables and arrays.
    for file in broken_files() {
        let text = fs::read_to_string(&file).expect("a readable file");
        for (end, _) in text.char_indices() {
            let (_, diagnostics) = Config::parse("cut.toml", &text[..end], &Pretended::default());
            let _ = diagnostics.render(false);
        }
    }
}

/// What is found in a file of these included ones.
fn found_with(text: &str, files: &[(&str, &str)]) -> (Option<Config>, String) {
    let mut world = world();
    world.files = files.iter().map(|(name, text)| (name.into(), (*text).to_owned())).collect();
    let (config, found) = Config::parse("etc/lb.toml", text, &world);
    (config, found.render(false))
}

#[test]
fn included_files_are_read_beside_the_one_that_names_them() {
    let (config, found) = found_with(
        "include = [\"conf.d/*.toml\", \"../common/one.toml\"]",
        &[
            ("etc/conf.d/b.toml", "include = \"more/x.toml\"\n[cluster.b]\nbackends = []\n"),
            ("etc/conf.d/a.toml", "[[route]]\nto = \"a\"\n[[listener]]\nbind = \":81\"\n"),
            ("etc/conf.d/more/x.toml", "[cluster.a]\nbackends = [\"a:1\"]\n"),
            ("etc/conf.d/ignored.txt", "nonsense"),
            ("common/one.toml", "[[route]]\npath = \"/b\"\nto = \"b\"\n"),
        ],
    );
    let config = config.expect(&found);
    assert_eq!(config.clusters.len(), 2, "{found}");
    assert_eq!((config.routes.len(), config.listeners.len()), (2, 1));
    assert!(found.contains("--> etc/conf.d/b.toml:3:12"), "{found}");
}

#[test]
fn a_file_is_included_once_and_never_by_itself() {
    for (files, message, places) in [
        (
            &[("etc/a.toml", "include = \"../etc/lb.toml\"\n")][..],
            "`etc/lb.toml` includes itself",
            &["etc/a.toml:1:11"][..],
        ),
        (
            &[("etc/a.toml", "include = \"b.toml\"\n"), ("etc/b.toml", "include = \"./a.toml\"\n")],
            "`etc/a.toml` includes itself",
            &["etc/b.toml:1:11", "etc/lb.toml:1:11"],
        ),
        (
            &[
                ("etc/a.toml", "include = \"b*.toml\"\n"),
                ("etc/b.toml", "include = \"c.toml\"\n"),
                ("etc/c.toml", "include = \"b.toml\"\n"),
            ],
            "`etc/b.toml` includes itself",
            &["etc/c.toml:1:11", "etc/a.toml:1:11"],
        ),
    ] {
        let (config, found) = found_with("include = \"a.toml\"\nto = []", files);
        assert!(config.is_none());
        assert!(found.contains(message), "{found}");
        assert!(places.iter().all(|place| found.contains(place)), "{found}");
    }
    let (_, found) = found_with(
        "include = [\"a.toml\", \"*.toml\"]\nto = []",
        &[("etc/a.toml", ""), ("etc/other.txt", "")],
    );
    assert!(found.contains("`etc/a.toml` is included twice"), "{found}");
}

#[test]
fn a_key_of_the_top_level_stands_in_one_file() {
    let (config, found) = found_with(
        "include = \"a.toml\"\nworkers = 1\nto = []",
        &[("etc/a.toml", "# a comment\nworkers = 2\n")],
    );
    assert!(config.is_none());
    assert!(found.contains("`workers` is given in two files"), "{found}");
    assert!(found.contains("etc/a.toml:2:1") && found.contains("etc/lb.toml:2:1"), "{found}");
}

#[test]
fn a_broken_included_file_is_named_and_the_others_are_judged() {
    let (config, found) =
        found_with("include = \"a.toml\"\nto = [\"a:0\"]", &[("etc/a.toml", "[[route]\nto = 1\n")]);
    assert!(config.is_none());
    assert!(found.contains("this is not TOML") && found.contains("etc/a.toml:1"), "{found}");
    assert!(found.contains("etc/lb.toml:2:7"), "{found}");
}

#[test]
fn a_value_of_a_variable_cannot_add_keys() {
    let mut world = world();
    world.variables.insert("EVIL".into(), "a:1\"]\nworkers = 2\n#".into());
    let (config, found) = Config::parse("x.toml", "to = [\"${EVIL}\"]", &world);
    assert!(config.is_none());
    assert!(found.render(false).contains("is not the address of a backend"));
}

#[test]
fn suspicious_settings_are_warned_of() {
    for (text, warning) in [
        (
            "to = []\n[defaults]\nhealth = { tcp = true, timeout = \"5s\" }",
            "longer than `interval`",
        ),
        (
            "to = [\"a:1\"]\n[defaults]\nstrategy = \"ip-hash\"\nsticky = { cookie = \"A\" }",
            "by a cookie and by `ip-hash`",
        ),
        (
            "[[route]]\nto = \"a\"\n[[route]]\npath = \"/b\"\nto = \"b\"\n[cluster]\n\
             a = { backends = [\"a:1\"], sticky = { cookie = \"A\" } }\n\
             b = { backends = [\"a:1\"], sticky = { cookie = \"A\" } }\n",
            "two clusters use the cookie `A`",
        ),
        ("to = []\n[cluster.a]\ndiscover = { file = \"node/\" }", "there is no `node/`"),
        ("to = []\n[cluster.a]\ndiscover = { env = \"NODE\" }", "`NODE` is not set"),
        (
            "to = []\n[cluster.a]\ndiscover = { env = \"KEY\" }",
            "in `KEY` is not the address of a backend",
        ),
        ("include = \"conf.d/*.conf\"\nto = [\"a:1\"]", "includes nothing"),
        (
            "[[route]]\nto = \"a\"\n[cluster]\na.backends = [\"a:1\"]\nb.backends = [\"b:1\"]",
            "cluster `b` gets no requests",
        ),
    ] {
        let (_, found) = Config::parse("x.toml", text, &world());
        assert!(found.render(false).contains(warning), "{warning}: {}", found.render(false));
        found.make_strict();
        assert!(found.has_errors(), "{warning}");
    }
}

#[test]
fn what_defaults_switch_on_a_cluster_switches_off() {
    let config = parse_good(
        r#"
        [defaults]
        sticky = { cookie = "A", ttl = "1h" }
        health = { tcp = true, interval = "7s" }
        slow_start = "10s"
        timeout = { total = "60s", per_try = "40s" }
        [[route]]
        to = "off"
        [[route]]
        path = "/asked"
        to = "asked"
        [cluster.off]
        sticky = "off"
        health = "off"
        slow_start = "off"
        timeout = { total = "off", per_try = "off" }
        backends = []
        [cluster.asked]
        sticky = { cookie = "B", ttl = "off" }
        health = { path = "/healthz" }
        backends = []
        "#,
    );
    let [off, asked] = &*config.clusters else { panic!("two clusters") };
    assert!(off.sticky.is_none() && off.health.is_none() && off.policy.slow_start.is_none());
    assert_eq!((off.timeouts.total, off.timeouts.per_try), (None, None));
    assert!(asked.policy.slow_start.is_some());
    assert_eq!(asked.sticky.as_ref().and_then(|sticky| sticky.ttl), None);
    let health = asked.health.as_ref().expect("a check");
    assert!(matches!(health.kind, crate::CheckKind::Http(_)), "the cluster's own word counts");
    assert_eq!(health.interval, Duration::from_secs(7));
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let key = "AAECAwQFBgcICQoLDA0ODw==";
    let (config, found) = found_with(
        "include = \"sub/a.toml\"",
        &[
            (
                "etc/sub/a.toml",
                "log.access.to = \"./a.log\"\n[[route]]\nto = \"a\"\n[cluster.a]\n\
                 sticky = { cookie = \"A\", key = { file = \"a.key\" } }\n\
                 discover = { file = \"nodes\" }\n",
            ),
            ("etc/sub/a.key", key),
            ("etc/sub/nodes/n1", ""),
        ],
    );
    let config = config.expect(&found);
    let to = config.log.access.map(|access| access.to);
    assert_eq!(to, Some(crate::LogTarget::File("etc/sub/./a.log".into())));
    assert_eq!(config.clusters[0].discover[0].from, DiscoverFrom::File("etc/sub/nodes".into()));
}

#[test]
fn backends_start_from_what_their_cluster_says_of_failures() {
    let config = parse_good(
        "[defaults]\nfail_timeout = \"30s\"\n[[route]]\nto = \"a\"\n[cluster.a]\nmax_fails = 5\n\
         backends = [\"a:1\", { address = \"b:1\", max_fails = 2 }, { address = \"c:1\", max_fails = 0 }]",
    );
    let window = |max_fails| Passive::Windowed { max_fails, fail_timeout: Duration::from_secs(30) };
    let [cluster] = &*config.clusters else { panic!("one cluster") };
    assert_eq!(cluster.policy.passive, window(5));
    let own: Vec<_> = cluster.backends.iter().map(Backend::passive).collect();
    assert_eq!(own, [None, Some(window(2)), Some(Passive::Off)]);
}

/// The defaults of a section, as the inside of a table.
fn defaults_of(name: &str) -> String {
    let keys = schema::every_key();
    let own = keys.iter().filter(|(section, _)| section.name == name);
    let default = |key: &super::keys::Key| Some((key.name, key.default?));
    let defaults = own.filter_map(|(_, key)| default(key));
    defaults.map(|(name, value)| format!("{name} = {value}, ")).collect()
}

#[test]
fn defaults_are_what_their_description_says() {
    let text = |defaults: &dyn Fn(&str) -> String| {
        let of = |name| defaults(name);
        format!(
            "timeout = {{ {} }}\nlimits = {{ {} }}\nlog.access = {{ {} }}\n\
             route = [{{ to = \"web\", path = \"/\" }}]\n[cluster.web]\n\
             timeout = {{ {} }}\nretry = {{ {} }}\nsticky = {{ {} cookie = \"A\" }}\n\
             health = {{ {} path = \"/\" }}\nslow_start = {{ {} window = \"1s\" }}\n\
             outlier = {{ {} }}\n\
             backends = [{{ {} address = \"a:1\" }}]\n\
             panic_threshold = {panic}\n{fail_timeout}",
            of("listener_timeout"),
            of("limits"),
            of("access_log"),
            of("cluster_timeout"),
            of("retry"),
            of("sticky"),
            of("health"),
            of("slow_start"),
            of("outlier"),
            of("backend"),
            panic = "\"0%\"",
            fail_timeout = if of("retry").is_empty() { "" } else { "fail_timeout = \"10s\"\n" },
        )
    };
    let silent = parse_good(&text(&|_| String::new()));
    let explicit = text(&defaults_of);
    assert!(explicit.contains("keep_alive = \"1m\""), "{explicit}");
    assert_eq!(format!("{silent:?}"), format!("{:?}", parse_good(&explicit)));
}

#[test]
fn defaults_of_strategies_are_what_their_description_says() {
    for kind in StrategyKind::ALL {
        // What has no default, and has to be there.
        let probes = "probes = { path = \"/load\" }, ";
        let needed = if *kind == StrategyKind::Prequal { probes } else { "" };
        let cluster = |options: &str| {
            let strategy = format!("{{ {needed}{options}name = \"{kind}\" }}");
            let config = parse_good(&format!("to = [\"a:1\"]\ndefaults.strategy = {strategy}"));
            config.clusters[0].strategy.clone()
        };
        let described = |option: &StrategyOption| {
            let value = keys::STRATEGY.key(option.name())?.default?;
            Some(format!("{} = {value}, ", option.name()))
        };
        let explicit: String = kind.options().iter().filter_map(described).collect();
        assert_eq!(cluster(&explicit), cluster(""), "{explicit}");
        let probes = cluster("").probes;
        assert_eq!(probes.is_some(), !needed.is_empty());
        assert_eq!(cluster(""), Strategy { probes, ..Strategy::from(*kind) });
    }
}

#[test]
fn there_is_an_end_to_how_many_files_are_included() {
    let names: Vec<String> = (0..1100).map(|number| format!("etc/d/{number}.toml")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let (config, found) = found_with("include = \"d/*.toml\"\nto = []", &files);
    assert!(config.is_none());
    assert_eq!(found.matches("more than 1000 files are included").count(), 1, "{found}");
}

#[test]
fn a_log_line_may_be_in_words_of_ones_own() {
    // A `$$` of the file is one `$` of the template, where two are a dollar sign.
    let config = parse_good("to = []\nlog.access.format = \"$client $$$$ $status\"");
    let format = config.log.access.map(|access| access.format);
    let template = "$client $$ $status".parse().expect("a template");
    assert_eq!(format, Some(crate::LogFormat::Template(template)));
}

#[test]
fn every_variable_of_log_lines_is_documented() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(file).expect("the reference");
    for name in crate::Template::VARIABLES {
        assert!(text.contains(&format!("`${name}`")), "{name}");
    }
}
