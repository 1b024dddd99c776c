//! The API over sockets: who is let in, and what is read and changed.

mod guard;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use lb_proxy::config::{Admin as Settings, AdminSocket, Bind, Config, Pretended, Token};
use serde_json::{Value, json};

use super::{
    RunningConfig, bind,
    router::openapi,
    server::{Admin, Process},
};
use crate::control::{
    Ask, ChangeRecord, Desk, Done, Door, Event, EventKind, Events, Impact, LogLevel, Overview,
    Page, Refused, Wish,
};

const ADMIN: &str = "0123456789abcdef-admin";
const VIEWER: &str = "0123456789abcdef-viewer";
const PATIENCE: Duration = Duration::from_secs(20);

const FILE: &str = r#"
listen = "127.0.0.1:8080"

[[route]]
host = "www.example.org"
path = "/api/"
strip = true
to = "api"

[[route]]
to = "web"

[cluster.web]
sticky = { cookie = "WEB" }
backends = [
  { address = "10.0.0.1:3000", name = "s1", weight = 3 },
]

[cluster.api]
strategy = "round-robin"
backends = ["10.0.0.3:3000", { address = "10.0.0.4:3000", name = "d2", state = "draining" }]
"#;

/// The API over two clusters, and what was asked of the desk.
struct Api {
    admin: Admin,
    events: Events,
    asked: mpsc::Receiver<Ask>,
    /// What the next wishes are answered with.
    refuse: Arc<Mutex<Option<Refused>>>,
    /// The line with the link that leads in once.
    link: Option<String>,
    /// What was logged by, one after the other.
    levels: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn start() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let (config, found) = Config::parse("lb.toml", FILE, &Pretended::default());
        let mut config = config.unwrap_or_else(|| panic!("{}", found.render(false)));
        // As a source may call one.
        let odd = lb_core::Backend::new("10.0.0.2:3000").named("a/b ö");
        config.clusters[0].backends.push(odd);
        let token = |text| Some(Token::new(text).unwrap());
        config.admin = Settings {
            listen: Some(Bind::parse("127.0.0.1:0").unwrap()),
            is_listen_asked: true,
            socket: AdminSocket::Off,
            token: token(ADMIN),
            read_token: token(VIEWER),
            hosts: vec!["lb.internal".into()],
        };
        change(&mut config.admin);
        let (send, asked) = mpsc::channel();
        let refuse: Arc<Mutex<Option<Refused>>> = Arc::default();
        let refusing = Arc::clone(&refuse);
        let events = Events::new();
        let journal = |page, limit| {
            let ids: Vec<u64> = match page {
                Page::After(id) => (id + 1..id + 3).collect(),
                Page::Before(id) => (1..id.min(9)).rev().collect(),
            };
            Ok(ids.into_iter().take(limit).map(record).collect::<Vec<_>>())
        };
        let (desk, mut inbox) =
            Desk::new(Overview::of(config.clone()), events.clone(), Arc::new(journal));
        thread::spawn(move || {
            while let Some(asked) = inbox.blocking_recv() {
                let dry_run = asked.ask.dry_run;
                let _ = send.send(asked.ask);
                let refused = refusing.lock().unwrap().clone();
                let changes = if dry_run { Vec::new() } else { vec![record(7)] };
                let impact = Impact { says: "nothing moves".to_owned(), ..Impact::default() };
                let done = Done { changes, impact, effective: true, saving: None };
                let _ = asked.answer.send(refused.map_or(Ok(done), Err));
            }
        });
        let running = RunningConfig::default();
        running.read(Config::settings("lb.toml", FILE, &Pretended::default()));
        running.served();
        let bound = bind(&config).unwrap();
        let link = bound.lines(&config.admin).pop().filter(|line| line.contains("once="));
        let levels = Arc::<Mutex<Vec<String>>>::default();
        let set = Arc::clone(&levels);
        let log = LogLevel::new("info", false, move |level| {
            set.lock().unwrap().push(level.to_owned());
        });
        let process = Process { log, say: |_| () };
        let admin = bound.serve(&config.admin, desk, running, process).unwrap();
        Self { admin, events, asked, refuse, link, levels }
    }

    fn address(&self) -> SocketAddr {
        self.admin.places().0.unwrap()
    }

    /// One request with the admin's token.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut headers = vec![format!("Authorization: Bearer {ADMIN}")];
        if body.is_some() {
            headers.push("Content-Type: application/json".to_owned());
        }
        self.send(method, path, &headers, &body.map_or_else(String::new, |body| body.to_string()))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    fn send(&self, method: &str, path: &str, headers: &[String], body: &str) -> Answer {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let has_host = headers.iter().any(|header| header.starts_with("Host:"));
        let host = if has_host { String::new() } else { format!("Host: {}\r\n", self.address()) };
        exchange(stream, method, path, &(host + &lines(headers)), body)
    }

    fn asked(&self) -> Ask {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }
}

fn record(id: u64) -> ChangeRecord {
    ChangeRecord {
        id,
        at: 1_790_000_000_000,
        author: "ann".to_owned(),
        door: "loopback".to_owned(),
        why: None,
        cluster: "web".to_owned(),
        backend: Some("s1".to_owned()),
        field: "weight".to_owned(),
        before: json!(3),
        after: json!(5),
        is_override: true,
        undoes: None,
    }
}

fn lines(headers: &[String]) -> String {
    headers.iter().map(|header| format!("{header}\r\n")).collect()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.to_lowercase().starts_with(&format!("{name}: "));
        Some(self.head.lines().find(|one| line(one))?.split_once(": ")?.1)
    }
}

fn exchange(
    mut stream: impl std::io::Read + std::io::Write,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let length = match body.is_empty() {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // It may be refused before it was read.
    let _ = stream.write_all(body.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let answer = String::from_utf8(bytes).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn every_answer_says_that_it_is_nobody_elses_to_keep() {
    let api = Api::start();
    for path in ["/api/v1/status", "/nowhere"] {
        let answer = api.ask("GET", path, None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn a_name_that_is_not_ours_is_misdirected() {
    let api = Api::start();
    let ask = |host: &str| {
        let headers = [bearer(ADMIN), format!("Host: {host}")];
        api.send("GET", "/api/v1/status", &headers, "").status
    };
    for ours in ["localhost:9900", "127.0.0.1", "[::1]:1", "LB.internal:9900", "127.9.9.9"] {
        assert_eq!(ask(ours), 200, "{ours}");
    }
    for foreign in ["evil.example", "evil.example:9900", "10.0.0.9", "lb.internal.evil.example"] {
        assert_eq!(ask(foreign), 421, "{foreign}");
    }
    let two = [bearer(ADMIN), "Host: localhost".to_owned(), "Host: evil.example".to_owned()];
    assert!(api.send("GET", "/api/v1/status", &two, "").status >= 400);
    // Nobody learns anything before: not even whether a token is right.
    let wrong = [bearer("wrong-wrong-wrong"), "Host: evil.example".to_owned()];
    assert_eq!(api.send("GET", "/api/v1/status", &wrong, "").status, 421);
}

#[test]
fn another_sites_page_changes_nothing() {
    let api = Api::start();
    let path = "/api/v1/clusters/web/backends/s1";
    let body = r#"{"state": "disabled"}"#;
    let json = || "Content-Type: application/json".to_owned();
    let ask = |more: &str| api.send("PATCH", path, &[bearer(ADMIN), json(), more.to_owned()], body);
    for foreign in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://127.0.0.1:1",
    ] {
        let answer = ask(foreign);
        assert_eq!(answer.status, 403, "{foreign}: {}", answer.body);
    }
    let form = "Content-Type: application/x-www-form-urlencoded".to_owned();
    let form = api.send("POST", "/api/v1/changes", &[bearer(ADMIN), form], "state=disabled");
    assert_eq!((form.status, form.header("content-type")), (415, Some("application/problem+json")));
    let plain = [bearer(ADMIN), "Content-Type: text/plain".to_owned()];
    assert_eq!(api.send("PATCH", path, &plain, body).status, 415);
    assert!(api.asked.try_recv().is_err(), "nothing reached the desk");
    let own = format!("Origin: http://{}", api.address());
    for own in [own.as_str(), "Sec-Fetch-Site: same-origin", "X-Nothing: 1"] {
        assert_eq!(ask(own).status, 200, "{own}");
    }
}

#[test]
fn the_sixth_wrong_token_is_not_even_looked_at() {
    let api = Api::start();
    let ask = |headers: &[String]| api.send("GET", "/api/v1/status", headers, "");
    let without = ask(&[]);
    assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")));
    for _ in 0..5 {
        assert_eq!(ask(&[bearer("wrong-wrong-wrong")]).status, 401);
    }
    let sixth = ask(&[bearer("wrong-wrong-wrong")]);
    assert_eq!(sixth.status, 429);
    let wait: u64 = sixth.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(ask(&[bearer(ADMIN)]).status, 429, "a right one would be told from a wrong one");
}

#[test]
fn whoever_guesses_keeps_nobody_out_whose_token_cannot_be_guessed() {
    let long = "0123456789abcdef0123456789abcdef";
    let api = Api::with(|settings| settings.token = Some(Token::new(long).unwrap()));
    let ask = |token: &str| api.send("GET", "/api/v1/status", &[bearer(token)], "").status;
    for _ in 0..6 {
        ask("wrong-wrong-wrong");
    }
    assert_eq!([ask("wrong-wrong-wrong"), ask(long)], [429, 200]);
}

#[test]
fn what_a_balancer_has_passed_on_is_for_nobody_here() {
    let api = Api::start();
    let ask = |via: &str| {
        let headers = [bearer("wrong-wrong-wrong"), format!("Via: {via}")];
        api.send("GET", "/api/v1/status", &headers, "").status
    };
    assert_eq!([ask("1.1 lb-0123abcd"), ask("1.0 cache, 1.1 lb-ffffffff (x)")], [421, 421]);
    assert_eq!([ask("1.1 cache"), ask("1.1 lb-office")], [401, 401]);
}

#[test]
fn who_may_only_see_changes_nothing() {
    let api = Api::start();
    let json = "Content-Type: application/json".to_owned();
    let headers = [bearer(VIEWER), json];
    for (method, path, status) in [
        ("GET", "/api/v1/status", 200),
        ("GET", "/api/v1/config", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/api/v1/clusters/web/backends/s1/checks", 200),
        ("POST", "/api/v1/explain", 200),
        ("PATCH", "/api/v1/clusters/web/backends/s1", 403),
        ("PATCH", "/api/v1/clusters/web/backends/s1?dry_run=true", 403),
        ("POST", "/api/v1/clusters/web/backends", 403),
        ("DELETE", "/api/v1/clusters/web/backends/s1", 403),
        ("PUT", "/api/v1/clusters/web/strategy", 403),
        ("PATCH", "/api/v1/clusters/web/health", 403),
        ("PATCH", "/api/v1/clusters/web/sticky", 403),
        ("POST", "/api/v1/clusters/web/backends/s1/check", 403),
        ("POST", "/api/v1/changes", 403),
        ("POST", "/api/v1/changes/1/undo", 403),
        ("POST", "/api/v1/config/reload", 403),
    ] {
        let body = if method == "GET" { "" } else { r#"{"target": "/"}"# };
        assert_eq!(api.send(method, path, &headers, body).status, status, "{method} {path}");
    }
    assert!(api.asked.try_recv().is_err(), "nothing reached the desk");
}

#[test]
fn tokens_and_hosts_are_taken_up_by_a_reload() {
    let api = Api::start();
    let other = "another-token-of-an-admin";
    let token = Some(Token::new(other).unwrap());
    api.admin.set(&Settings { token, ..Settings::default() });
    let ask = |token: &str, host: &str| {
        let headers = [bearer(token), format!("Host: {host}")];
        api.send("GET", "/api/v1/status", &headers, "").status
    };
    let found = [ask(ADMIN, "localhost"), ask(other, "localhost"), ask(other, "lb.internal")];
    assert_eq!(found, [401, 200, 421]);
}

#[test]
fn over_the_unix_socket_the_system_says_who_it_is() {
    let path = std::env::temp_dir().join(format!("lb-admin-{}.sock", std::process::id()));
    let at: PathBuf = path.clone();
    let api = Api::with(|admin| admin.socket = AdminSocket::At(at));
    let ask = |method, path_: &str, body: &str| {
        let stream = UnixStream::connect(&path).unwrap();
        let headers = "Host: anything\r\nContent-Type: application/json\r\n";
        exchange(stream, method, path_, headers, body)
    };
    assert_eq!(ask("GET", "/api/v1/status", "").status, 200);
    let changed = ask("PATCH", "/api/v1/clusters/web/backends/s1", r#"{"weight": 5}"#);
    assert_eq!(changed.status, 200, "{}", changed.body);
    let author = api.asked().author;
    assert_eq!(author.door, Door::Socket { uid: rustix::process::getuid().as_raw() });
    drop(api);
    assert!(!path.exists(), "the file goes with it");
}

#[test]
fn what_is_too_large_or_no_json_is_refused() {
    let api = Api::start();
    let path = "/api/v1/clusters/web/backends/s1";
    let headers = [bearer(ADMIN), "Content-Type: application/json".to_owned()];
    assert_eq!(api.send("PATCH", path, &headers, &" ".repeat((1 << 20) + 1)).status, 413);
    assert_eq!(api.send("PATCH", path, &headers, "{").status, 400);
    for (wrong, word) in [
        (r#"{"weight": "banana"}"#, "banana"),
        (r#"{"wieght": 3}"#, "wieght"),
        (r#"{"state": "asleep"}"#, "asleep"),
        ("{}", "nothing"),
    ] {
        let answer = api.send("PATCH", path, &headers, wrong);
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{}", answer.body);
    }
    let unknown = format!("{path}?forced=true");
    assert_eq!(api.send("PATCH", &unknown, &headers, r#"{"weight": 3}"#).status, 400);
    assert!(api.asked.try_recv().is_err(), "nothing reached the desk");
}

#[test]
fn what_runs_is_read_by_names() {
    let api = Api::start();
    let status = api.get("/api/v1/status");
    assert_eq!((&status["origin"], &status["degraded"]), (&json!("test"), &json!(false)));
    assert_eq!(status["clusters"][1]["usable"], 1);
    assert_eq!(
        status["clusters"][1]["problems"],
        json!(["d2 draining: no new clients; nothing is in flight"])
    );
    let web = api.get("/api/v1/clusters/web");
    assert_eq!((&web["strategy"], &web["sticky"]), (&json!("least-conn"), &json!("WEB")));
    let s1 = &web["backends"][0];
    assert_eq!(
        (&s1["name"], &s1["state"], &s1["share"]),
        (&json!("s1"), &json!("unknown"), &json!(0.75))
    );
    let d2 = api.get("/api/v1/clusters/api/backends/d2");
    assert_eq!((&d2["admin"], &d2["takes_requests"]), (&json!("draining"), &json!(false)));
    assert_eq!(api.get("/api/v1/clusters/api/backends/10.0.0.3:3000")["address"], "10.0.0.3:3000");
    assert_eq!(api.get("/api/v1/clusters/web/backends/a%2Fb%20%C3%B6")["name"], "a/b ö");
    let routes = api.get("/api/v1/routes");
    assert_eq!((&routes[0]["to"], &routes[0]["strip"]), (&json!("api"), &json!(true)));
    let generations = api.get("/api/v1/generations?cluster=web");
    assert_eq!(generations[0]["causes"][0]["kind"], "start");
    assert_eq!(api.get("/api/v1/changes?since=4&limit=1")[0]["id"], 5);
    let newest = api.get("/api/v1/changes?order=newest&limit=2");
    assert_eq!((&newest[0]["id"], &newest[1]["id"]), (&json!(8), &json!(7)));
    assert_eq!(api.get("/api/v1/changes?order=newest&before=5")[0]["id"], 4);
    assert_eq!(api.ask("GET", "/api/v1/changes?before=5", None).status, 422);
    assert_eq!(api.get("/api/v1/sources"), json!([]));
    let config = api.get("/api/v1/config");
    let settings = config["settings"].as_array().unwrap();
    let strategy = settings.iter().find(|one| one["key"] == "cluster.api.strategy").unwrap();
    assert_eq!((&strategy["value"], &strategy["line"]), (&json!("\"round-robin\""), &json!(20)));
}

#[test]
fn what_is_not_there_is_named_with_what_is_near() {
    let api = Api::start();
    for (path, hint) in [
        ("/api/v1/clusters/wep", "did you mean `web`?"),
        ("/api/v1/clusters/web/backends/s2", "did you mean `s1`?"),
        ("/api/v1/generations?cluster=wep", "did you mean `web`?"),
        ("/api/v2/status", "`GET /openapi.json` says what there is"),
    ] {
        let answer = api.ask("GET", path, None);
        assert_eq!((answer.status, &answer.json()["hint"]), (404, &json!(hint)), "{path}");
    }
    let answer = api.ask("DELETE", "/api/v1/status", None);
    assert_eq!((answer.status, &answer.json()["type"]), (405, &json!("urn:lb:problem:not-so")));
}

#[test]
fn a_change_goes_to_the_desk_and_comes_back_with_what_is_true() {
    let api = Api::start();
    let path = "/api/v1/clusters/web/backends/s1?why=disk%20is%20full&force=true";
    let answer = api.ask("PATCH", path, Some(json!({ "state": "draining", "drain": "30s" })));
    let told = answer.json();
    assert_eq!((answer.status, &told["changes"][0]["id"]), (200, &json!(7)));
    assert_eq!((&told["backend"]["name"], &told["effective"]), (&json!("s1"), &json!(true)));
    let ask = api.asked();
    assert_eq!((ask.why.as_deref(), ask.force, ask.dry_run), (Some("disk is full"), true, false));
    assert_eq!(ask.author.door, Door::Token { name: "admin".to_owned() });
    assert!(matches!(&*ask.wishes, [Wish::Patch { cluster, .. }] if cluster == "web"));

    let new = json!({ "address": "10.0.0.9:80", "name": "n/9" });
    let added = api.ask("POST", "/api/v1/clusters/web/backends", Some(new.clone()));
    let place = added.header("location");
    assert_eq!((added.status, place), (201, Some("/api/v1/clusters/web/backends/n%2F9")));
    let dry = api.ask("POST", "/api/v1/clusters/web/backends?dry_run=true", Some(new));
    assert_eq!((dry.status, &dry.json()["dry_run"]), (200, &json!(true)));
    let removed = api.ask("DELETE", "/api/v1/clusters/web/backends/s1?drain=5s", None);
    assert_eq!(removed.status, 202);
    let strategy = json!({ "strategy": { "name": "maglev" } });
    assert_eq!(api.ask("PUT", "/api/v1/clusters/api/strategy", Some(strategy)).status, 200);
    let bulk = json!({ "changes": [
        { "op": "patch", "cluster": "web", "backend": "s1", "set": { "weight": null } },
        { "op": "remove", "cluster": "api", "backend": "d2" },
    ] });
    assert_eq!(api.ask("POST", "/api/v1/changes", Some(bulk)).status, 200);
    assert_eq!(api.ask("POST", "/api/v1/changes/7/undo", None).status, 200);
    assert_eq!(api.ask("POST", "/api/v1/config/reload", None).status, 200);
    let wishes: Vec<Vec<Wish>> = (0..7).map(|_| api.asked().wishes).collect();
    let drain = Some(Duration::from_secs(5));
    assert!(matches!(&*wishes[2], [Wish::Remove { drain: found, .. }] if *found == drain));
    assert!(matches!(&*wishes[3], [Wish::Strategy { .. }]));
    assert!(matches!(&*wishes[4], [Wish::Patch { .. }, Wish::Remove { .. }]));
    assert!(matches!(&*wishes[5], [Wish::Undo { change: 7 }]));
    assert!(matches!(&*wishes[6], [Wish::Reload]));
}

#[test]
fn a_refusal_says_why_and_what_helps() {
    let api = Api::start();
    let refused = [
        (Refused::NoSuchChange { change: 1 }, 404),
        (Refused::WouldEmpty { cluster: "web".into(), detail: "s1 is the last".into() }, 409),
        (Refused::ChangedSince { change: 1, detail: "by 2".into() }, 409),
        (Refused::Conflict { detail: "twice".into() }, 409),
        (Refused::Invalid { field: "weight".into(), detail: "0".into() }, 422),
        (Refused::BadConfig { detail: "line 3".into(), mistakes: Default::default() }, 422),
        (Refused::NotRecorded { detail: "disk full".into() }, 507),
        (Refused::Stopping, 503),
        (Refused::Busy, 503),
    ];
    for (why, status) in refused {
        *api.refuse.lock().unwrap() = Some(why.clone());
        let answer = api.ask("POST", "/api/v1/changes/1/undo", None);
        let told = answer.json();
        assert_eq!((answer.status, &told["status"]), (status, &json!(status)), "{why:?}");
        assert_eq!(told["title"], why.title());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    *api.refuse.lock().unwrap() =
        Some(Refused::Invalid { field: "weight".into(), detail: "0".into() });
    let told = api.ask("POST", "/api/v1/changes/1/undo", None).json();
    assert_eq!(told["errors"], json!([{ "pointer": "/weight", "detail": "0" }]));
}

#[test]
fn a_change_on_condition_is_made_only_if_nothing_was_decided_meanwhile() {
    let api = Api::start();
    let shown = api.ask("GET", "/api/v1/clusters/web", None);
    let etag = shown.header("etag").unwrap().to_owned();
    assert_eq!(shown.json()["etag"], json!(etag));
    let patch = |etag: &str| {
        let json = "Content-Type: application/json".to_owned();
        let headers = [bearer(ADMIN), json, format!("If-Match: {etag}")];
        let path = "/api/v1/clusters/web/backends/s1";
        api.send("PATCH", path, &headers, r#"{"weight": 4}"#).status
    };
    assert_eq!([patch("\"0\""), patch(&etag), patch("*")], [412, 200, 200]);
    assert_eq!(api.asked.try_iter().count(), 2, "the first did not reach the desk");
    let headers = [bearer(ADMIN), format!("If-Match: {etag}")];
    let undo = api.send("POST", "/api/v1/changes/1/undo", &headers, "");
    assert_eq!(undo.status, 412, "it names no cluster to compare: {}", undo.body);
}

#[test]
fn why_is_one_line() {
    let api = Api::start();
    let answer =
        api.ask("PATCH", "/api/v1/clusters/web/backends/s1?why=a%0aforged", Some(json!({})));
    assert!((400..500).contains(&answer.status), "{}", answer.body);
    assert!(api.asked.try_recv().is_err());
}

#[test]
fn a_request_is_explained_without_being_sent() {
    let api = Api::start();
    let question = json!({ "target": "/api/x", "headers": { "host": ["www.example.org"] } });
    let told = api.ask("POST", "/api/v1/explain", Some(question)).json();
    let explanation = &told["explanation"];
    assert_eq!(
        (&explanation["cluster"], &explanation["backend_target"]),
        (&json!("api"), &json!("/x"))
    );
    assert!(told["text"].as_str().unwrap().contains("> route"), "{told}");
    let out = json!({ "name": "d2", "eligible": false, "reason": "draining: no new clients; nothing is in flight" });
    assert_eq!(told["backends"][1], out);
    for wrong in [json!({ "target": "" }), json!({ "target": "/", "method": "A B" })] {
        assert_eq!(api.ask("POST", "/api/v1/explain", Some(wrong)).status, 422);
    }
}

#[test]
fn a_file_is_checked_without_reading_this_machines_files() {
    let api = Api::start();
    let check = |text: &str| {
        let headers = [bearer(VIEWER), "Content-Type: application/toml".to_owned()];
        let answer = api.send("POST", "/api/v1/config/check", &headers, text);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let good = check("listen = \":80\"\nto = [\"10.0.0.1:80\"]\n");
    assert_eq!((&good["ok"], &good["errors"]), (&json!(true), &json!(0)));
    let wrong = check("lissten = \":80\"\nto = [\"10.0.0.1:80\"]\n");
    assert_eq!(wrong["diagnostics"][0]["place"]["line"], 1);
    let nosy = check("to = [\"${HOME}\"]\ninclude = \"/etc/passwd\"\n");
    assert_eq!(nosy["ok"], false);
    assert!(!nosy.to_string().contains("root:"), "{nosy}");
}

#[test]
fn a_stream_of_events_goes_on_where_it_was_cut_off() {
    let api = Api::start();
    let push = |why: &str| {
        let kind = EventKind::Note;
        api.events.push(Event { kind, why: why.to_owned(), ..Event::default() });
    };
    let follow = |more: &str| {
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{}\r\n\
             Accept: text/event-stream\r\n{more}\r\n",
            bearer(VIEWER)
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let read_until = |stream: &mut TcpStream, word: &str| {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        while !text.contains(word) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "it ended: {text}");
            text += std::str::from_utf8(&buffer[..count]).unwrap();
        }
        text
    };
    ["one", "two", "three"].into_iter().for_each(push);
    let mut stream = follow("");
    let begun = read_until(&mut stream, "events follow");
    assert!(begun.contains("text/event-stream") && !begun.contains("three"), "{begun}");
    push("four");
    let told = read_until(&mut stream, "four");
    assert!(told.contains("id: 4\nevent: note\ndata: {"), "{told}");
    drop(stream);
    let told = read_until(&mut follow("Last-Event-ID: 2\r\n"), "four");
    assert!(told.contains("three") && !told.contains("two"), "{told}");
    // Of a balancer that ran before.
    let told = read_until(&mut follow("Last-Event-ID: 99\r\n"), "four");
    assert!(told.contains("one"), "{told}");
    for number in 0..1_000 {
        push(&format!("more {number}"));
    }
    let told = read_until(&mut follow("Last-Event-ID: 1\r\n"), "more 0");
    assert!(told.contains("event: gap\ndata: {\"missed\":3}"), "{told}");
    assert_eq!(api.get("/api/v1/events?limit=2")[1]["why"], "more 999");
}

#[test]
fn without_a_token_one_is_made_for_this_start() {
    let (config, _) = Config::parse("lb.toml", FILE, &Pretended::default());
    let mut config = config.unwrap();
    config.admin.listen = Some(Bind::parse("127.0.0.1:0").unwrap());
    config.admin.socket = AdminSocket::Off;
    let lines: Vec<String> =
        (0..2).map(|_| bind(&config).unwrap().lines(&config.admin).remove(0)).collect();
    let token = |line: &str| line.rsplit_once("token ").unwrap().1.to_owned();
    assert_ne!(token(&lines[0]), token(&lines[1]));
    assert_eq!(token(&lines[0]).len(), 64);
    config.admin.token = Some(Token::new(ADMIN).unwrap());
    let lines = bind(&config).unwrap().lines(&config.admin);
    assert!(lines.len() == 1 && !lines[0].contains("token"), "{lines:?}");
}

#[test]
fn an_address_that_is_taken_is_an_error_only_if_it_was_asked_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (config, _) = Config::parse("lb.toml", FILE, &Pretended::default());
    let mut config = config.unwrap();
    config.admin.socket = AdminSocket::Off;
    config.admin.listen = Some(Bind::Socket(taken.local_addr().unwrap()));
    assert!(bind(&config).unwrap().lines(&config.admin).is_empty());
    config.admin.is_listen_asked = true;
    assert!(bind(&config).unwrap_err().to_string().contains("cannot serve the API"));
}

#[test]
fn the_description_that_is_checked_in_is_that_of_the_api() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let now = openapi();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "docs/openapi.json is not current: run with UPDATE_EXPECTED=1");
    let described: Value = serde_json::from_str(&now).unwrap();
    let paths = described["paths"].as_object().unwrap();
    let guide = std::fs::read_to_string(path.with_file_name("api.md")).unwrap_or_default();
    for path in paths.keys() {
        assert!(guide.contains(&path.replace("/api/v1", "")), "docs/api.md does not name {path}");
    }
}
