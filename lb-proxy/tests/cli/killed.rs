//! `kill -9` while people change things: what was answered is there after the next start.
//!
//! 2,000 changes in an ordinary run; `LB_CHANGES=10000` for more.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::process::{Lb, PATIENCE, folder, lb};

const CLIENTS: u64 = 4;
const BACKENDS: u64 = 8;
/// In each life of the balancer about so many are made.
const IN_A_LIFE: usize = 200;

/// Numbers that look random and are the same for a seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut draw = self.0;
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (draw ^ (draw >> 31)) % limit
    }
}

/// The status and the body; `None` where the answer did not come whole.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: lb\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// A change that was answered.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    id: u64,
    backend: u64,
    weight: u64,
}

/// Changes weights until nobody answers any more.
fn change(socket: &Path, mut draws: Draws, done: &Mutex<Vec<Acknowledged>>, count: &AtomicUsize) {
    loop {
        let (backend, weight) = (draws.below(BACKENDS), 1 + draws.below(1_000));
        let path = format!("/clusters/web/backends/b{backend}");
        let body = format!("{{\"weight\": {weight}}}");
        let Some((status, told)) = ask(socket, "PATCH", &path, &body) else { return };
        // Too much at once is refused, and changes nothing.
        if status == 503 {
            continue;
        }
        assert_eq!(status, 200, "{told}");
        // It may have been so already.
        if let Some(id) = told["changes"][0]["id"].as_u64() {
            done.lock().expect("no panic").push(Acknowledged { id, backend, weight });
            count.fetch_add(1, Relaxed);
        }
    }
}

/// The whole journal, oldest first.
fn journal(socket: &Path) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let since = all.last().map_or(0, |one| one["id"].as_u64().expect("a number"));
        let path = format!("/changes?since={since}&limit=1000");
        let (_, page) = ask(socket, "GET", &path, "").expect("an answer");
        let page = page.as_array().expect("a list").clone();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn weights(socket: &Path) -> HashMap<String, u64> {
    let (_, cluster) = ask(socket, "GET", "/clusters/web", "").expect("an answer");
    let backends = cluster["backends"].as_array().expect("a list");
    let one = |backend: &Value| {
        let name = backend["name"].as_str().expect("a name").to_owned();
        (name, backend["weight"].as_u64().expect("a weight"))
    };
    backends.iter().map(one).collect()
}

/// Everything that was answered is written down and holds.
fn check(socket: &Path, acknowledged: &[Acknowledged]) {
    let journal = journal(socket);
    let by_id: HashMap<u64, &Value> =
        journal.iter().map(|one| (one["id"].as_u64().expect("a number"), one)).collect();
    assert_eq!(by_id.len(), journal.len(), "no number is given twice");
    for one in acknowledged {
        let written = by_id.get(&one.id).unwrap_or_else(|| panic!("{one:?} is lost"));
        assert_eq!(written["backend"], format!("b{}", one.backend), "{one:?}");
        assert_eq!(written["after"], one.weight, "{one:?}");
    }
    let mut expected: HashMap<String, u64> =
        (0..BACKENDS).map(|number| (format!("b{number}"), 1)).collect();
    for change in &journal {
        let backend = change["backend"].as_str().expect("a name").to_owned();
        expected.insert(backend, change["after"].as_u64().expect("a weight"));
    }
    assert_eq!(weights(socket), expected, "what was written down last holds");
}

/// The last change of a backend, taken back.
fn undo_one(socket: &Path) {
    let journal = journal(socket);
    let last = journal.last().expect("a change");
    let name = last["backend"].as_str().expect("a name");
    let before = last["before"].as_u64().expect("a weight");
    let path = format!("/changes/{}/undo", last["id"]);
    let (status, told) = ask(socket, "POST", &path, "").expect("an answer");
    assert_eq!(status, 200, "{told}");
    assert_eq!(weights(socket)[name], before, "{last}");
}

#[test]
fn no_change_that_was_answered_is_lost_however_often_it_is_killed() {
    let wanted = std::env::var("LB_CHANGES").ok().and_then(|count| count.parse().ok());
    let wanted: usize = wanted.unwrap_or(2_000);
    let seed = std::env::var("LB_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5);
    println!("seed {seed}, {wanted} changes");
    let mut draws = Draws(seed);
    let folder = folder();
    let (socket, config): (PathBuf, PathBuf) = (folder.join("lb.sock"), folder.join("lb.toml"));
    let backends: Vec<String> = (0..BACKENDS)
        .map(|number| format!("{{ address = \"127.0.0.1:{}\", name = \"b{number}\" }}", number + 1))
        .collect();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"web\"\n[admin]\nlisten = \"off\"\n\
         socket = \"{}\"\n[cluster.web]\nstrategy = \"round-robin\"\nbackends = [{}]\n",
        socket.display(),
        backends.join(", ")
    );
    std::fs::write(&config, text).expect("a file");
    let start = || {
        let args = ["run", "--workers", "1", "--config", config.to_str().expect("a path")];
        let mut command = lb(&args);
        Lb::spawn(command.env_remove("LB_ADMIN").env("LB_STATE", folder.join("state.db")))
    };

    let acknowledged = Mutex::new(Vec::new());
    let (count, seeds) = (AtomicUsize::new(0), AtomicU64::new(0));
    let mut lives = 0;
    while count.load(Relaxed) < wanted {
        let mut running = start();
        lives += 1;
        check(&socket, &acknowledged.lock().expect("no panic"));
        // So many more, and then at any moment of what is under way.
        let more = 1 + draws.below(2 * IN_A_LIFE as u64);
        let until = count.load(Relaxed) + usize::try_from(more).expect("few");
        let moment = Duration::from_micros(draws.below(3_000));
        let deadline = Instant::now() + 3 * PATIENCE;
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let draws = Draws(seed ^ (seeds.fetch_add(1, Relaxed) << 32));
                let (socket, acknowledged, count) = (&socket, &acknowledged, &count);
                scope.spawn(move || change(socket, draws, acknowledged, count));
            }
            while count.load(Relaxed) < until && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(moment);
            running.signal(rustix::process::Signal::KILL);
            running.wait();
        });
        assert!(count.load(Relaxed) >= until, "changes are made");
    }
    let running = start();
    let acknowledged = acknowledged.into_inner().expect("no panic");
    check(&socket, &acknowledged);
    undo_one(&socket);
    let all = journal(&socket).len();
    println!("killed {lives} times; {} answered, {all} in the journal", acknowledged.len());
    drop(running);
}
