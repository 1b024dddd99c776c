//! Files as people, scripts and Kubernetes write them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lb_discovery::{File, Report, Source};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

fn names(report: &Report) -> Vec<&str> {
    report.set.iter().map(|backend| backend.name()).collect()
}

fn warnings(report: &Report) -> Vec<String> {
    report.warnings.iter().map(ToString::to_string).collect()
}

async fn next(source: &mut File) -> Report {
    timeout(DEADLINE, source.next()).await.expect("it says nothing").unwrap()
}

/// What it says when it says what is wanted; errors and other sets may come first.
async fn wait_for(source: &mut File, wanted: impl Fn(&Report) -> bool) -> Report {
    let heard = async {
        loop {
            match source.next().await {
                Ok(report) if wanted(&report) => return report,
                other => println!("{other:?}"),
            }
        }
    };
    timeout(DEADLINE, heard).await.expect("it never says that")
}

fn write(folder: &Path, name: &str, text: &str) {
    let temporary = folder.join(format!(".{name}.new"));
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, folder.join(name)).unwrap();
}

#[tokio::test]
async fn a_thousand_files_are_one_or_two_sets() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = File::new(folder.path());
    assert!(next(&mut source).await.set.is_empty());
    let path = folder.path().to_owned();
    let writer = thread::spawn(move || {
        let start = Instant::now();
        for n in 0..1_000 {
            let text = format!("10.0.{}.{} 80\n", n / 250, n % 250 + 1);
            fs::write(path.join(format!("node{n}")), text).unwrap();
        }
        start.elapsed()
    });
    let mut sets = 1;
    while next(&mut source).await.set.len() < 1_000 {
        sets += 1;
    }
    // A pause of 50 ms ends a burst. A machine that was too busy to write on may have
    // made one.
    let pauses = writer.join().unwrap().as_millis() / 50;
    assert!(sets <= 2 + pauses, "{sets} sets and at most {pauses} pauses");
}

#[tokio::test]
async fn files_that_a_slow_script_writes_are_one_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = File::new(folder.path());
    assert!(next(&mut source).await.set.is_empty());
    let path = folder.path().to_owned();
    let writer = thread::spawn(move || {
        let (mut pauses, mut last) = (0, Instant::now());
        for n in 0..120 {
            fs::write(path.join(format!("node{n}")), format!("10.0.0.{} 80\n", n + 1)).unwrap();
            // How fast the script is.
            thread::sleep(Duration::from_millis(10));
            // A machine that is busy makes pauses, which end a burst.
            pauses += usize::from(last.elapsed() >= Duration::from_millis(40));
            last = Instant::now();
        }
        pauses
    });
    let mut sets = 1;
    while next(&mut source).await.set.len() < 120 {
        sets += 1;
    }
    let pauses = writer.join().unwrap();
    assert!(sets <= 1 + pauses, "{sets} sets and {pauses} pauses");
}

#[tokio::test]
async fn a_node_comes_changes_and_goes_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = File::new(folder.path());
    next(&mut source).await;
    write(folder.path(), "6efae4ff505f", "127.0.0.1 3001");
    assert_eq!(names(&next(&mut source).await), ["6efae4ff505f"]);
    write(folder.path(), "6efae4ff505f", "127.0.0.1 3002 weight=3");
    let report = next(&mut source).await;
    let backend = report.set.iter().next().unwrap();
    assert_eq!((backend.address(), backend.weight().get()), ("127.0.0.1:3002", 3));
    fs::remove_file(folder.path().join("6efae4ff505f")).unwrap();
    assert_eq!(next(&mut source).await, Report::default());
}

#[tokio::test]
async fn junk_keeps_the_node_and_warns_until_it_is_put_right() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", "10.0.0.1 80");
    let mut source = File::new(folder.path());
    next(&mut source).await;
    fs::write(folder.path().join("a"), "").unwrap();
    let report = next(&mut source).await;
    assert_eq!(names(&report), ["a"]);
    assert_eq!(warnings(&report), ["a: it is empty; 10.0.0.1:80 is kept as it was"]);
    fs::write(folder.path().join("a"), "10.0.0.1 80").unwrap();
    assert_eq!(warnings(&next(&mut source).await), [""; 0]);
}

#[tokio::test]
async fn a_folder_may_come_late_go_and_come_back() {
    let above = tempfile::tempdir().unwrap();
    let nodes = above.path().join("not/yet/there");
    let mut source = File::new(&nodes);
    let error = timeout(DEADLINE, source.next()).await.unwrap().unwrap_err();
    assert!(error.explained().contains("cannot read"), "{error}");
    for round in 0..3 {
        fs::create_dir_all(&nodes).unwrap();
        write(&nodes, "a", &format!("10.0.0.{} 80", round + 1));
        let address = format!("10.0.0.{}:80", round + 1);
        let is_there = |report: &Report| report.set.iter().any(|b| b.address() == address);
        wait_for(&mut source, is_there).await;
        // As one rename, so that no moment has an empty folder.
        fs::rename(above.path().join("not"), above.path().join(format!("old{round}"))).unwrap();
        let gone = async { while source.next().await.is_ok() {} };
        timeout(DEADLINE, gone).await.expect("a folder that is gone is an error");
    }
}

#[tokio::test]
async fn the_links_that_kubernetes_swaps_are_followed() {
    let mount = tempfile::tempdir().unwrap();
    let version = |name: &str, nodes: &[(&str, &str)]| {
        let folder = mount.path().join(name);
        fs::create_dir(&folder).unwrap();
        for (node, text) in nodes {
            fs::write(folder.join(node), text).unwrap();
        }
        symlink(name, mount.path().join("..data_tmp")).unwrap();
        fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    };
    let list = r#"["10.0.0.1:80"]"#;
    version("..2026_1", &[("a", "10.0.0.1 80"), ("b", "10.0.0.2 80"), ("list.json", list)]);
    for node in ["a", "b"] {
        symlink(format!("..data/{node}"), mount.path().join(node)).unwrap();
    }
    let mut folder = File::new(mount.path());
    assert_eq!(names(&next(&mut folder).await), ["a", "b"]);
    let lists = tempfile::tempdir().unwrap();
    let link = lists.path().join("list.json");
    symlink(mount.path().join("..data/list.json"), &link).unwrap();
    // Beside the links, as a mounted volume has it.
    symlink("..data/list.json", mount.path().join(".list.json")).unwrap();
    let mut beside = File::new(mount.path().join(".list.json"));
    assert_eq!(next(&mut beside).await.set.len(), 1);
    let list = r#"["10.0.0.1:80", "10.0.0.9:80"]"#;
    version("..2026_2", &[("a", "10.0.0.7 80"), ("b", "10.0.0.2 80"), ("list.json", list)]);
    let moved = |report: &Report| report.set.iter().any(|b| b.address() == "10.0.0.7:80");
    assert_eq!(names(&wait_for(&mut folder, moved).await), ["a", "b"]);
    wait_for(&mut beside, |report| report.set.len() == 2).await;
    fs::remove_dir_all(mount.path().join("..2026_1")).unwrap();
}

#[tokio::test]
async fn a_folder_behind_a_link_may_be_exchanged() {
    let above = tempfile::tempdir().unwrap();
    let path = |name: &str| above.path().join(name);
    for (release, node) in [("release1", "a"), ("release2", "b")] {
        fs::create_dir(path(release)).unwrap();
        write(&path(release), node, "10.0.0.1 80");
    }
    symlink("release1", path("nodes")).unwrap();
    let mut source = File::new(path("nodes"));
    assert_eq!(names(&next(&mut source).await), ["a"]);
    symlink("release2", path("next")).unwrap();
    fs::rename(path("next"), path("nodes")).unwrap();
    wait_for(&mut source, |report| names(report) == ["b"]).await;
    write(&path("release2"), "c", "10.0.0.2 80");
    wait_for(&mut source, |report| names(report) == ["b", "c"]).await;
}

#[tokio::test]
async fn what_is_no_file_of_a_node_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", "10.0.0.1 80");
    write(folder.path(), "large", &"#".repeat(100_000));
    fs::create_dir(folder.path().join("folder")).unwrap();
    symlink("/dev/zero", folder.path().join("device")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    for name in [".a.swp", "a~", "b.tmp"] {
        fs::write(folder.path().join(name), "10.0.0.2 80").unwrap();
    }
    let report = next(&mut File::new(folder.path())).await;
    assert_eq!(names(&report), ["a"]);
    let entries: BTreeSet<_> = report.warnings.iter().filter_map(|w| w.entry.as_deref()).collect();
    assert_eq!(entries, BTreeSet::from(["device", "large"]));
}

#[tokio::test]
async fn a_list_that_is_not_right_keeps_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = File::new(folder.path().join("nodes.toml"));
    write(folder.path(), "nodes.toml", r#"backends = ["10.0.0.1:80"]"#);
    wait_for(&mut source, |report| report.set.len() == 1).await;
    write(folder.path(), "nodes.toml", r#"backends = ["10.0.0.1:80", "10.0.0.2"]"#);
    let error = timeout(DEADLINE, source.next()).await.unwrap().unwrap_err().explained();
    assert!(error.ends_with("nodes.toml has junk: entry 2: the port is missing"), "{error}");
}
