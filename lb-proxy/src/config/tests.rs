//! The printed text of every kind of mistake, kept beside the files that make
//! them. `UPDATE_EXPECTED=1 cargo test -p lb-proxy` writes the texts anew; read
//! the difference before you commit it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;

fn parse_good(text: &str) -> Config {
    let (config, diagnostics) = Config::parse("good.toml", text);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config.expect("a file without errors has a configuration")
}

fn broken_files() -> Vec<PathBuf> {
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
        let (config, diagnostics) = Config::parse(name, &text);
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
const SYNTAX: [&str; 4] =
    ["syntax.toml", "unclosed_table.toml", "unclosed_list.toml", "quotes.toml"];

#[test]
fn every_finding_with_a_place_names_its_key() {
    for file in broken_files().iter().filter(|file| !SYNTAX.iter().any(|name| file.ends_with(name)))
    {
        let text = fs::read_to_string(file).expect("a readable file");
        let (_, diagnostics) = Config::parse("x.toml", &text);
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
    assert_eq!(config.routes, [Route { path: "/".into(), cluster: 0 }]);
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
    assert_eq!(config.strategy, Some(StrategyKind::First));
    assert_eq!((a.strategy, b.strategy), (None, Some(StrategyKind::P2c)));
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
    let (config, diagnostics) = Config::parse("x.toml", "to = []");
    assert!(config.is_some());
    assert_eq!(diagnostics.summary(), "x.toml: 1 warning");
}

#[test]
fn only_so_many_findings_are_printed() {
    let text: String = (0..60).map(|number| format!("x{number} = 1\n")).collect();
    let (_, diagnostics) = Config::parse("x.toml", &format!("to = [\"a:1\"]\n{text}"));
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
    let diagnostics = Diagnostics::new("x.toml", "a\nöö = 1\n");
    assert_eq!(diagnostics.position(0), (1, 1));
    assert_eq!(diagnostics.position("a\nöö".len()), (2, 3));
    assert_eq!(diagnostics.position(10_000), (3, 1));
}

#[test]
fn no_text_makes_the_reader_panic() {
    // Every prefix of every broken file: cut-off strings, tables and arrays.
    for file in broken_files() {
        let text = fs::read_to_string(&file).expect("a readable file");
        for (end, _) in text.char_indices() {
            let (_, diagnostics) = Config::parse("cut.toml", &text[..end]);
            let _ = diagnostics.render(false);
        }
    }
}
