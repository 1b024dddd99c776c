//! The pure half: nodes, lists and folders from bytes.

use std::{fs, io, num::NonZeroU32, time::Duration};

use lb_core::{Backend, Weight};
use proptest::{prelude::*, test_runner::RngSeed};

use super::{
    folder::{Folder, is_node_file},
    *,
};

fn node(text: &str) -> Result<Backend, String> {
    read_node("n1", text.as_bytes()).map_err(|junk| junk.to_string())
}

#[test]
fn a_node_may_be_written_as_a_line_as_json_or_as_toml() {
    let plain = Backend::new("10.0.0.1:3000").named("n1");
    for text in [
        "10.0.0.1 3000",
        "10.0.0.1:3000\n",
        "\u{feff}# made by a script\n\n  10.0.0.1\t3000  \r\n",
        r#"{"address": "10.0.0.1:3000"}"#,
        r#"{"ip": "10.0.0.1", "port": 3000}"#,
        r#"{"address": "10.0.0.1", "port": 3000}"#,
        "address = \"10.0.0.1:3000\"",
        "# toml\nip = \"10.0.0.1\"\nport=3000\n",
    ] {
        assert_eq!(node(text), Ok(plain.clone()), "{text}");
    }
    let rich = plain
        .weighted(Weight::new(3).unwrap())
        .in_tier(1)
        .with_max_in_flight(NonZeroU32::new(7).unwrap())
        .in_zone("eu-1a")
        .spare(true);
    for text in [
        "10.0.0.1 3000 weight=3 tier=1 max_in_flight=7 zone=eu-1a spare=true",
        "10.0.0.1:3000 zone=eu-1a spare=true max_in_flight=7 tier=1 weight=3",
        r#"{"address": "10.0.0.1:3000", "weight": 3, "tier": 1, "max_in_flight": 7,
            "zone": "eu-1a", "spare": true}"#,
        "address = '10.0.0.1:3000'\nweight = 3\ntier = 1\nmax_in_flight = 7\nzone = 'eu-1a'\nspare = true",
    ] {
        assert_eq!(node(text), Ok(rich.clone()), "{text}");
    }
    assert_eq!(node("[::1] 80").unwrap().address(), "[::1]:80");
    assert_eq!(node("::1 80").unwrap().address(), "[::1]:80");
    assert_eq!(node("[::1]:80 weight=2").unwrap().address(), "[::1]:80");
    assert_eq!(node("web 80").unwrap().address(), "web:80");
}

#[test]
fn a_node_is_called_like_its_file_without_a_known_extension() {
    for (file, name) in [
        ("6efae4ff505f", "6efae4ff505f"),
        ("web.example.org", "web.example.org"),
        ("web.node", "web"),
        ("web.txt", "web"),
    ] {
        assert_eq!(read_node(file, b"10.0.0.1 80").unwrap().name(), name);
    }
    assert_eq!(read_node("w.json", br#"{"address": "a:1"}"#).unwrap().name(), "w");
    assert_eq!(read_node("w.toml", br#"address = "a:1""#).unwrap().name(), "w");
    assert!(read_node("w.json", b"10.0.0.1 80").is_err(), "an extension is a promise");
    let junk = read_node("w b", b"10.0.0.1 80").unwrap_err();
    assert_eq!(junk.to_string(), "` ` cannot stand in a name");
}

#[test]
fn junk_is_refused_whole_with_its_reason() {
    for (text, reason) in [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("# nothing", "only comments"),
        ("10.0.0.1", "port is missing"),
        ("10.0.0.1 3000\n10.0.0.2 3000", "more than one line"),
        ("10.0.0.1 70000", "`70000` is not a port"),
        ("10.0.0.1 30a0", "`30a0` is not a port"),
        ("10.0.0.1 3000 weight", "not `key=value`"),
        ("10.0.0.1 3000 weigth=3", "no key `weigth`"),
        ("10.0.0.1 3000 weight=0", "to take a node out, remove it"),
        ("10.0.0.1 3000 weight=-1", "1 to 65535, not `-1`"),
        ("10.0.0.1 3000 weight=1 weight=2", "`weight` is said twice"),
        ("10.0.0.1 3000 name=web", "called like its file"),
        ("10.0.0.1 3000 address=10.0.0.2:80", "exclude each other"),
        ("10.0.0.1:80 port=3000", "two ports"),
        ("10.0.0.1 3000 tier=256", "tier is 0 to 255"),
        ("10.0.0.1 3000 max_in_flight=0", "max_in_flight is 1 to"),
        ("{", "not JSON"),
        ("{}", "address is missing"),
        (r#"{"address": "a:1", "weight": "3"}"#, "without quotes"),
        (r#"{"address": 3}"#, "in quotes"),
        ("10.0.0.1 3000 zone=", "the zone is empty"),
        ("10.0.0.1 3000 spare=1", "spare is true or false, not `1`"),
        (r#"{"address": "a:1", "spare": "true"}"#, "without quotes"),
        (r#"{"address": "a:1", "zone": 1}"#, "in quotes"),
        (r#"{"address": "a:1", "zone": true}"#, "must be a text or a number"),
        (r#"{"address": ["a:1"]}"#, "must be a text or a number"),
        ("address = ", "not TOML: line 1"),
        ("weight = 3\naddress = a\n", "not TOML: line 2"),
    ] {
        let junk = node(text).unwrap_err();
        assert!(junk.contains(reason), "{text:?}: {junk}");
    }
    assert_eq!(read_node("n1", b"\xff\xfe").unwrap_err().to_string(), "it is not UTF-8");
}

#[test]
fn a_list_is_written_as_in_the_configuration() {
    let toml = r#"backends = ["10.0.0.2:80", { address = "10.0.0.1:80", name = "a", weight = 2 }]"#;
    let json = r#"["10.0.0.2:80", {"address": "10.0.0.1:80", "name": "a", "weight": 2}]"#;
    let set = read_list(Syntax::Toml, toml.as_bytes()).unwrap();
    let names: Vec<_> = set.iter().map(|backend| backend.name()).collect();
    assert_eq!(names, ["10.0.0.2:80", "a"], "in its order");
    for (syntax, text) in [
        (Syntax::Json, json.to_owned()),
        (Syntax::Unknown, json.to_owned()),
        (Syntax::Unknown, format!("{{\"backends\": {json}}}")),
        (Syntax::Unknown, toml.to_owned()),
    ] {
        assert_eq!(read_list(syntax, text.as_bytes()).as_ref(), Ok(&set), "{text}");
    }
    let tables = b"[[backends]]\naddress = \"a:1\"\n[[backends]]\naddress = \"b:1\"";
    assert_eq!(read_list(Syntax::Unknown, tables).unwrap().len(), 2);
    assert!(read_list(Syntax::Toml, b"backends = []").unwrap().is_empty());
}

#[test]
fn a_list_is_refused_whole_with_all_reasons() {
    for (text, reason) in [
        ("", "it is empty"),
        ("# later", "it has no list `backends`"),
        ("backends = 3", "must be a list"),
        ("backend = []", "no key `backend`"),
        ("backends = [3]", "entry 1: it must be an address or a table"),
        (r#"["a:1", "a", "a:1"]"#, "entry 2: the port is missing; entry 3: `a:1` is there already"),
        (r#"["a:1", {"address": "a:1", "name": "b"}]"#, "entry 2: `a:1` has the same address"),
    ] {
        let junk = read_list(Syntax::Unknown, text.as_bytes()).unwrap_err().to_string();
        assert!(junk.contains(reason), "{text:?}: {junk}");
    }
}

fn update(folder: &mut Folder, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), Ok(text.as_bytes().to_vec())));
    let report = folder.update(files);
    let backends = report.set.iter().map(|b| format!("{}={}", b.name(), b.address())).collect();
    (backends, report.warnings.iter().map(ToString::to_string).collect())
}

#[test]
fn junk_keeps_the_last_good_entry_and_a_vanished_file_removes_it() {
    let mut folder = Folder::default();
    let (backends, warnings) = update(&mut folder, &[("b", "10.0.0.2 80"), ("a", "10.0.0.1 80")]);
    assert_eq!(backends, ["a=10.0.0.1:80", "b=10.0.0.2:80"], "in the order of names");
    assert!(warnings.is_empty());
    let (backends, warnings) = update(&mut folder, &[("a", "10.0.0.1 80"), ("b", "")]);
    assert_eq!(backends, ["a=10.0.0.1:80", "b=10.0.0.2:80"]);
    assert_eq!(warnings, ["b: it is empty; 10.0.0.2:80 is kept as it was"]);
    let (backends, warnings) = update(&mut folder, &[("a", "10.0.0.1 80")]);
    assert_eq!((backends.as_slice(), warnings.len()), (&["a=10.0.0.1:80".to_owned()][..], 0));
    let (backends, warnings) = update(&mut folder, &[("a", "10.0.0.1 80"), ("b", "")]);
    assert_eq!(backends, ["a=10.0.0.1:80"], "what was gone has no last good entry");
    assert_eq!(warnings, ["b: it is empty"]);
}

#[test]
fn junk_keeps_an_entry_that_somebody_else_has_read() {
    let set = Membership::new([Backend::new("10.0.0.2:80").named("b")]).unwrap();
    let mut folder = Folder::resuming(set);
    let files = [("a", "10.0.0.1 80"), ("b.json", "{"), ("c", "")];
    let (backends, warnings) = update(&mut folder, &files);
    assert_eq!(backends, ["a=10.0.0.1:80", "b=10.0.0.2:80"]);
    assert!(warnings[0].ends_with("10.0.0.2:80 is kept as it was"), "{warnings:?}");
    assert_eq!(warnings[1], "c: it is empty");
    update(&mut folder, &[("a", "10.0.0.1 80")]);
    let (backends, _) = update(&mut folder, &files);
    assert_eq!(backends, ["a=10.0.0.1:80"], "what was gone has no last good entry");
}

#[test]
fn a_new_file_displaces_nobody_who_is_there() {
    let mut folder = Folder::default();
    let there = ("b", "10.0.0.1 80");
    update(&mut folder, &[there]);
    let (backends, warnings) = update(&mut folder, &[("a", "10.0.0.1 80"), there]);
    assert_eq!(backends, ["b=10.0.0.1:80"]);
    assert_eq!(warnings, ["a: `b` has the same address 10.0.0.1:80"]);
    let moved = ("b", "10.0.0.2 80");
    let (backends, warnings) = update(&mut folder, &[("a", "10.0.0.1 80"), moved]);
    assert_eq!(backends, ["a=10.0.0.1:80", "b=10.0.0.2:80"]);
    assert!(warnings.is_empty());
}

#[tokio::test]
async fn a_source_that_follows_another_keeps_what_that_one_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "10.0.0.1 80").unwrap();
    fs::write(folder.path().join("b"), "").unwrap();
    let known = [("a", "10.0.0.1:80"), ("b", "10.0.0.2:80")];
    let known = Membership::new(known.map(|(name, at)| Backend::new(at).named(name))).unwrap();
    let mut source = File::new(folder.path());
    source.resume(&known);
    assert_eq!(source.next().await.unwrap().set, known);
}

#[test]
fn a_file_that_cannot_be_read_is_junk_and_not_gone() {
    let mut folder = Folder::default();
    update(&mut folder, &[("a", "10.0.0.1 80")]);
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let report = folder.update([("a".to_owned(), Err(denied))]);
    assert_eq!(report.set.len(), 1);
    assert!(report.warnings[0].text.contains("permission denied"), "{:?}", report.warnings);
}

#[test]
fn two_files_for_one_node_are_one_node_and_a_warning() {
    let json = r#"{"address": "10.0.0.9:80"}"#;
    let files = [("a", "10.0.0.1 80"), ("a.json", json), ("b", "10.0.0.1 80")];
    let (backends, warnings) = update(&mut Folder::default(), &files);
    assert_eq!(backends, ["a=10.0.0.1:80"]);
    assert_eq!(
        warnings,
        ["a.json: `a` is there already", "b: `a` has the same address 10.0.0.1:80"]
    );
}

#[test]
fn what_is_written_beside_a_file_is_no_node() {
    for name in [".a.swp", "..data", "..2026_11_20", ".hidden", "a~", "a.tmp", "a.swp", "#a#"] {
        assert!(!is_node_file(name), "{name}");
    }
    for name in ["a", "a.json", "6efae4ff505f", "web.example.org"] {
        assert!(is_node_file(name), "{name}");
    }
}

#[tokio::test]
async fn a_change_without_an_event_is_seen_by_looking() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hidden = elsewhere.path().join("a");
    fs::write(&hidden, "10.0.0.1 80").unwrap();
    fs::hard_link(&hidden, folder.path().join("a")).unwrap();
    let every = Duration::from_millis(100);
    let mut source = File::looking(folder.path(), Looks { every, after_change: every });
    assert_eq!(source.next().await.unwrap().set.len(), 1);
    // The watched folder hears nothing of what is written under the other name.
    fs::write(&hidden, "10.0.0.1 8080").unwrap();
    let limit = Duration::from_secs(30);
    let has_moved = async {
        while source.next().await.unwrap().set.iter().all(|b| b.address() != "10.0.0.1:8080") {}
    };
    tokio::time::timeout(limit, has_moved).await.expect("nobody looked");
}

#[tokio::test]
async fn a_folder_that_comes_back_is_watched_again() {
    let above = tempfile::tempdir().unwrap();
    let nodes = above.path().join("a/nodes");
    // Nobody looks: only events tell.
    let every = Duration::from_secs(3_600);
    let mut source = File::looking(&nodes, Looks { every, after_change: every });
    let mut step = async |wanted: Option<usize>| {
        let heard =
            async { while source.next().await.ok().map(|report| report.set.len()) != wanted {} };
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, heard).await.expect("the event was missed");
    };
    step(None).await;
    for round in 0..3 {
        fs::create_dir_all(&nodes).unwrap();
        step(Some(0)).await;
        fs::write(nodes.join("a"), "10.0.0.1 80").unwrap();
        step(Some(1)).await;
        fs::rename(nodes.join("a"), nodes.join("a.tmp")).unwrap();
        step(Some(0)).await;
        fs::rename(&nodes, above.path().join(format!("old{round}"))).unwrap();
        step(None).await;
    }
}

fn some_backend() -> impl Strategy<Value = Backend> {
    let host =
        prop_oneof!["[a-z][a-z0-9-]{0,8}", "10\\.0\\.[1-9]\\.[1-9]", Just("[::1]".to_owned())];
    (host, 1_u16.., 1_u32..65_536, any::<u8>(), proptest::option::of(1_u32..)).prop_map(
        |(host, port, weight, tier, most)| {
            let backend = Backend::new(format!("{host}:{port}"))
                .named("n1")
                .weighted(Weight::new(weight).unwrap())
                .in_tier(tier);
            match most {
                Some(most) => backend.with_max_in_flight(NonZeroU32::new(most).unwrap()),
                None => backend,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_back(backend in some_backend()) {
        let (host, port) = backend.address().rsplit_once(':').unwrap();
        let (weight, tier) = (backend.weight(), backend.tier());
        let most = backend.max_in_flight();
        let line = |extra: &str| format!("{host} {port} weight={weight} tier={tier}{extra}");
        let json = |extra: &str| format!(
            r#"{{"address": "{host}:{port}", "weight": {weight}, "tier": {tier}{extra}}}"#
        );
        let (line, json) = match most {
            Some(most) => (
                line(&format!(" max_in_flight={most}")),
                json(&format!(r#", "max_in_flight": {most}"#)),
            ),
            None => (line(""), json("")),
        };
        prop_assert_eq!(node(&line), Ok(backend.clone()));
        prop_assert_eq!(node(&json), Ok(backend));
    }

    #[test]
    fn any_text_is_a_node_or_explained(
        name in "[a-z.]{0,6}(\\.json|\\.toml)?",
        text in "([a-z0-9.:=\\[\\]{}\" ,\n#-]|\\PC){0,80}",
    ) {
        crate::fuzz::node_file(format!("{name}\n{text}").as_bytes());
        crate::fuzz::node_list(format!("{name}\n{text}").as_bytes());
    }
}
