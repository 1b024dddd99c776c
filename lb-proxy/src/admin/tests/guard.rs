//! Sessions, what is written down, repeated requests, and what nobody has to be let in for.

use super::*;

const STATUS: &str = "/api/v1/status";
const S1: &str = "/api/v1/clusters/web/backends/s1";
const JSON: &str = "Content-Type: application/json";
const OWN: &str = "Sec-Fetch-Site: same-origin";

impl Api {
    /// One request with these headers.
    fn with_headers(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        self.send(method, path, &headers, body)
    }

    fn login(&self, token: &str) -> Answer {
        let body = json!({ "token": token }).to_string();
        self.with_headers("POST", "/api/v1/login", &[JSON, OWN], &body)
    }

    /// A header with a session.
    fn session(&self, token: &str) -> String {
        cookie(&self.login(token))
    }

    fn audit(&self, wanted: usize) -> Vec<Value> {
        let start = std::time::Instant::now();
        loop {
            let all = self.get("/api/v1/audit").as_array().unwrap().clone();
            if all.len() >= wanted {
                return all;
            }
            assert!(start.elapsed() < PATIENCE, "{all:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{}", answer.head));
    format!("Cookie: {}", set.split(';').next().unwrap())
}

#[test]
fn a_browser_signs_in_once_and_its_scripts_see_no_token() {
    let api = Api::start();
    let answer = api.login(ADMIN);
    assert_eq!((answer.status, &answer.json()["role"]), (200, &json!("admin")));
    let set = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(ADMIN), "{set}");
    let name = format!("lb_session_{}=", api.address().port());
    assert!(set.starts_with(&name) && set.split(';').next().unwrap().len() == name.len() + 64);
    let cookie = cookie(&answer);
    let who = api.with_headers("GET", "/api/v1/whoami", &[&cookie], "").json();
    assert_eq!((&who["name"], &who["door"]), (&json!("admin"), &json!("browser")));
    assert!(who["expires"].as_u64().unwrap() > crate::control::unix_millis());
    let changed = api.with_headers("PATCH", S1, &[&cookie, JSON, OWN], r#"{"weight": 5}"#);
    assert_eq!((changed.status, api.asked().author.door), (200, Door::Browser));

    let out = api.with_headers("POST", "/api/v1/logout", &[&cookie, OWN], "");
    assert_eq!((out.status, out.header("set-cookie").unwrap().contains("Max-Age=0")), (204, true));
    let over = api.with_headers("GET", STATUS, &[&cookie], "");
    assert_eq!(over.status, 401);
    assert!(over.json()["detail"].as_str().unwrap().contains("session is over"));
}

#[test]
fn a_session_may_what_its_token_may_and_ends_with_it() {
    let api = Api::start();
    let (admin, viewer) = (api.session(ADMIN), api.session(VIEWER));
    let patch = |cookie: &str| {
        api.with_headers("PATCH", S1, &[cookie, JSON, OWN], r#"{"weight": 5}"#).status
    };
    assert_eq!([patch(&admin), patch(&viewer)], [200, 403]);
    let token = Some(Token::new("another-token-of-an-admin").unwrap());
    let read_token = Some(Token::new(VIEWER).unwrap());
    api.admin.set(&Settings { token, read_token, ..Settings::default() });
    let get = |cookie: &str| api.with_headers("GET", STATUS, &[cookie], "").status;
    assert_eq!([get(&admin), get(&viewer)], [401, 200]);
}

#[test]
fn another_sites_page_can_do_nothing_with_a_session() {
    let api = Api::start();
    let cookie = api.session(ADMIN);
    let body = r#"{"state": "disabled"}"#;
    for more in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: null", "X: 1"]
    {
        let answer = api.with_headers("PATCH", S1, &[&cookie, JSON, more], body);
        assert_eq!(answer.status, 403, "{more}: {}", answer.body);
        assert_eq!(answer.json()["type"], "urn:lb:problem:cross-site");
    }
    let own = format!("Origin: http://{}", api.address());
    assert_eq!(api.with_headers("PATCH", S1, &[&cookie, JSON, &own], body).status, 200);
    let form = "Content-Type: application/x-www-form-urlencoded";
    assert_eq!(api.with_headers("PATCH", S1, &[&cookie, form, &own], "a=b").status, 415);
    for (site, status) in [("none", 200), ("same-origin", 200), ("same-site", 403)] {
        let site = format!("Sec-Fetch-Site: {site}");
        assert_eq!(api.with_headers("GET", STATUS, &[&cookie, &site], "").status, status, "{site}");
    }
    let foreign = json!({ "token": ADMIN }).to_string();
    let foreign =
        api.with_headers("POST", "/api/v1/login", &[JSON, "Sec-Fetch-Site: cross-site"], &foreign);
    assert_eq!(foreign.status, 403, "nobody is signed in by another site");
}

#[test]
fn the_sixth_wrong_login_is_not_even_looked_at() {
    let api = Api::start();
    for _ in 0..5 {
        assert_eq!(api.login("wrong-wrong-wrong").status, 401);
    }
    let sixth = api.login(ADMIN);
    assert_eq!(sixth.status, 429);
    assert!((1..=60).contains(&sixth.header("retry-after").unwrap().parse::<u64>().unwrap()));
}

#[test]
fn the_link_of_the_start_leads_in_once() {
    let api = Api::with(|settings| settings.token = None);
    let link = api.link.clone().expect("a line with a link");
    let (_, target) = link.split_once(&api.address().to_string()).expect(&link);
    assert_eq!(api.with_headers("HEAD", target, &[], "").status, 405, "a look uses nothing up");
    let early = api.with_headers("GET", target, &["Sec-Purpose: prefetch"], "");
    assert_eq!(early.status, 405);
    let wrong = api.with_headers("GET", "/login?once=0123", &[], "");
    assert_eq!(wrong.status, 401);
    let answer = api.with_headers("GET", target, &[], "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = cookie(&answer);
    let who = api.with_headers("GET", "/api/v1/whoami", &[&cookie], "").json();
    assert_eq!(who["role"], "admin");
    assert_eq!(api.with_headers("GET", target, &[], "").status, 401);
    let root = api.with_headers("GET", "/", &[&cookie], "");
    assert_eq!((root.status, root.header("location")), (303, Some(STATUS)));
}

#[test]
fn where_the_file_has_a_token_no_link_leads_in() {
    assert_eq!(Api::start().link, None);
}

#[test]
fn what_is_done_and_what_is_refused_is_written_down() {
    let api = Api::start();
    let since = crate::control::unix_millis();
    api.ask("PATCH", S1, Some(json!({ "weight": 5 })));
    api.ask("PATCH", &format!("{S1}?dry_run=true"), Some(json!({ "weight": 6 })));
    api.ask("POST", "/api/v1/config/reload", None);
    let cookie = api.session(VIEWER);
    api.with_headers("POST", "/api/v1/logout", &[&cookie, OWN], "");
    for _ in 0..3 {
        let secret = format!("{STATUS}?token=secret");
        assert_eq!(api.send("GET", &secret, &[bearer("wrong-wrong-wrong")], "").status, 401);
    }
    api.send("DELETE", S1, &[bearer(VIEWER)], "");
    let evil = [bearer(ADMIN), "Host: evil.example".to_owned()];
    api.send("GET", STATUS, &evil, "");
    api.send("DELETE", S1, &[bearer(ADMIN), "Origin: http://evil.example".to_owned()], "");

    let all = api.audit(8);
    let told = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", text("kind"), text("author"), one["status"], text("problem"))
    };
    let mut lines: Vec<String> = all.iter().map(told).collect();
    let done: Vec<String> = lines.drain(..4).collect();
    let expected = ["change admin 200 -", "reload admin 200 -", "login - 200 -"];
    assert_eq!(done[..3], expected);
    assert_eq!(done[3], "logout viewer 204 -");
    assert_eq!((&all[0]["changes"], &all[0]["path"]), (&json!([7]), &json!(S1)));
    let count: u64 = all[4..].iter().filter_map(|one| one["count"].as_u64()).sum();
    assert_eq!(count, 6, "{all:?}");
    for refused in [
        "refused - 401 unauthorized",
        "refused viewer 403 not-allowed",
        "refused - 421 foreign-host",
        "refused - 403 cross-site",
    ] {
        assert!(lines.iter().any(|line| line == refused), "{refused}: {lines:?}");
    }
    assert!(!format!("{all:?}").contains("secret"), "{all:?}");
    assert!(all.iter().all(|one| one["from"] == "127.0.0.1"), "{all:?}");
    assert!(all.iter().all(|one| one["at"].as_u64().unwrap() >= since));
    let later = api.get("/api/v1/audit?since=1&limit=2");
    assert_eq!(later.as_array().unwrap().len(), 2);
    assert_eq!(api.send("GET", "/api/v1/audit", &[bearer(VIEWER)], "").status, 403);
}

#[test]
fn what_a_signal_reloads_is_written_down_as_well() {
    let api = Api::start();
    let push = |kind, author: &str| {
        let author = Some(author.to_owned());
        api.events.push(Event { kind, author, why: "web changed".to_owned(), ..Event::default() });
    };
    // It may not listen yet.
    let start = std::time::Instant::now();
    while api.get("/api/v1/audit").as_array().unwrap().is_empty() {
        assert!(start.elapsed() < PATIENCE);
        push(EventKind::Reload, "ann (socket, uid 7)");
        push(EventKind::Note, "HUP (signal)");
        push(EventKind::Reload, "HUP (signal)");
    }
    push(EventKind::Rejected, "HUP (signal)");
    let mut all = api.audit(2);
    while all.last().unwrap()["status"] != 422 {
        assert!(start.elapsed() < PATIENCE);
        all = api.audit(2);
    }
    assert_eq!((&all[0]["status"], &all[0]["detail"]), (&json!(200), &json!("web changed")));
    assert!(all.iter().all(|one| one["kind"] == "reload" && one["from"] == "signal"), "{all:?}");
}

#[test]
fn a_change_that_is_sent_again_is_made_once() {
    let api = Api::start();
    let patch = |key: &str, token: &str, body: &str| {
        let key = format!("Idempotency-Key: {key}");
        api.send("PATCH", S1, &[bearer(token), JSON.to_owned(), key], body)
    };
    let (five, six) = (r#"{"weight": 5}"#, r#"{"weight": 6}"#);
    let first = patch("a", ADMIN, five);
    let again = patch("a", ADMIN, five);
    assert_eq!((first.status, again.status, &first.body), (200, 200, &again.body));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(api.asked.try_iter().count(), 1);

    let other = patch("a", ADMIN, six);
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("urn:lb:problem:key-used")));
    assert_eq!(patch("a", VIEWER, five).status, 403, "leave is asked for every time");
    assert_eq!(patch("", ADMIN, five).status, 400);
    assert_eq!(patch(&"x".repeat(256), ADMIN, five).status, 400);
    assert!(api.asked.try_recv().is_err());

    // What was busy may be tried again; what was refused for good is refused again.
    *api.refuse.lock().unwrap() = Some(Refused::Busy);
    assert_eq!(patch("b", ADMIN, five).status, 503);
    *api.refuse.lock().unwrap() = Some(Refused::Conflict { detail: "so".into() });
    assert_eq!(patch("b", ADMIN, five).status, 409);
    *api.refuse.lock().unwrap() = None;
    assert_eq!(patch("b", ADMIN, five).status, 409);
    assert_eq!(patch("c", ADMIN, five).status, 200);
    assert_eq!(api.asked.try_iter().count(), 3);
    let changes = api.audit(1).iter().filter(|one| one["status"] == 200).count();
    assert_eq!(changes, 2, "an answer that is given again is no change");
}

#[test]
fn who_goes_away_before_the_answer_is_written_down_and_answered_when_he_returns() {
    let api = Api::start();
    let body = r#"{"weight": 5}"#;
    let head = format!(
        "PATCH {S1} HTTP/1.1\r\nHost: localhost\r\n{}\r\n{JSON}\r\nIdempotency-Key: a\r\n\
         Content-Length: {}\r\n\r\n{body}",
        bearer(ADMIN),
        body.len()
    );
    // Whoever has this keeps the desk from answering.
    let refuse = api.refuse.lock().unwrap();
    let mut stream = TcpStream::connect(api.address()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    api.asked();
    let key = [bearer(ADMIN), JSON.to_owned(), "Idempotency-Key: a".to_owned()];
    let again = || api.send("PATCH", S1, &key, body);
    assert_eq!(again().status, 409, "it is under way");
    drop(stream);
    // The one thread of the API has seen by then that he is gone.
    assert_eq!(again().status, 409, "it still is");
    drop(refuse);
    let start = std::time::Instant::now();
    while again().status == 409 {
        assert!(start.elapsed() < PATIENCE, "it is done");
    }
    assert_eq!(again().header("idempotency-replayed"), Some("true"));
    assert_eq!(api.asked.try_iter().count(), 0, "it is done once");
    let done = api.audit(1).into_iter().find(|one| one["status"] == 200);
    assert_eq!(done.expect("an entry")["changes"], json!([7]));
}

#[test]
fn whether_it_runs_is_told_to_everybody_and_nothing_else() {
    let api = Api::start();
    let ask = |path: &str| api.with_headers("GET", path, &[], "");
    assert_eq!(ask("/healthz").status, 204);
    let under = |path, name| api.with_headers("GET", path, &[name], "").status;
    assert_eq!(under("/healthz", "Host: whatever.example"), 204, "as other balancers ask");
    assert_eq!(under("/version", "Host: whatever.example"), 421);
    let version = ask("/version");
    assert_eq!(version.json(), json!({ "name": "lb", "version": env!("CARGO_PKG_VERSION") }));
    let ready = ask("/readyz");
    assert_eq!(ready.status, 503, "no listener is open in this test");
    assert_eq!(ready.header("content-type"), Some("application/problem+json"));
    assert_eq!(ready.json()["detail"], "not every listener is open");
    for path in ["/healthz/x", "/api/v1/version", "/openapi.json", "/"] {
        assert_eq!(ask(path).status, 401, "{path}");
    }
}

#[test]
fn what_is_logged_changes_at_once_and_goes_back() {
    let api = Api::start();
    let put = |body: Value| api.ask("PUT", "/api/v1/log-level", Some(body));
    let debug = put(json!({ "level": "debug" })).json();
    assert_eq!((&debug["level"], &debug["usual"]), (&json!("debug"), &json!("info")));
    assert_eq!(api.get(STATUS)["log"]["by"], "admin (token admin)");
    assert_eq!(put(json!({ "level": null })).json(), json!({ "level": "info", "usual": "info" }));
    let short = put(json!({ "level": "info,lb_proxy=trace", "for": "50ms" })).json();
    assert!(short["until"].as_u64().is_some(), "{short}");
    let start = std::time::Instant::now();
    while api.get("/api/v1/log-level")["level"] != "info" {
        assert!(start.elapsed() < PATIENCE, "it goes back by itself");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(*api.levels.lock().unwrap(), ["debug", "info", "info,lb_proxy=trace", "info"]);
    for wrong in [json!({ "level": "loud" }), json!({ "level": "info", "for": "0s" })] {
        let answer = put(wrong);
        assert_eq!(answer.status, 422, "{}", answer.body);
    }
    let viewer = [bearer(VIEWER), JSON.to_owned()];
    let refused = api.send("PUT", "/api/v1/log-level", &viewer, r#"{"level": "debug"}"#);
    assert_eq!(refused.status, 403);
}

#[test]
fn what_cannot_be_read_is_told_like_everything_else() {
    let api = Api::start();
    for (path, word) in [
        ("/api/v1/changes?since=banana", "since: invalid digit"),
        ("/api/v1/changes?sinse=1", "sinse"),
        ("/api/v1/clusters/web/backends/%ff", "UTF-8"),
        ("/login", "once"),
    ] {
        let answer = api.ask("GET", path, None);
        let told = answer.json();
        assert_eq!(answer.status, 400, "{path}: {told}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(told["detail"].as_str().unwrap().contains(word), "{told}");
        assert!(told["hint"].as_str().unwrap().contains("openapi"), "{told}");
    }
    let undo = api.ask("POST", "/api/v1/changes/banana/undo", None);
    assert_eq!((undo.status, undo.header("content-type")), (400, Some("application/problem+json")));
}

#[test]
fn a_stream_ends_with_the_token_and_one_has_only_four() {
    let api = Api::start();
    let follow = || {
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{}\r\n\
             Accept: text/event-stream\r\nConnection: close\r\n\r\n",
            bearer(VIEWER)
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap();
        (String::from_utf8_lossy(&begin[9..]).into_owned(), stream)
    };
    let mut streams: Vec<_> = (0..4).map(|_| follow()).collect();
    assert!(streams.iter().all(|(status, _)| status == "200"));
    assert_eq!(follow().0, "503");
    streams.pop();
    let start = std::time::Instant::now();
    let mut last = follow();
    while last.0 != "200" {
        assert!(start.elapsed() < PATIENCE, "a closed stream gives its place back");
        last = follow();
    }
    api.admin.set(&Settings { read_token: None, ..Settings::default() });
    api.events.push(Event { why: "nobody's business".to_owned(), ..Event::default() });
    let mut rest = String::new();
    last.1.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n") && !rest.contains("nobody's"), "{rest}");
}

#[test]
fn a_reload_that_locks_everybody_out_says_so() {
    let api = Api::with(|settings| settings.read_token = None);
    let without = Settings::default();
    let warning = api.admin.set(&without).expect("a warning");
    assert!(warning.contains("nobody changes anything by an address"), "{warning}");
    assert_eq!(api.admin.set(&without), None, "once is enough");
    let made = Api::with(|settings| settings.token = None);
    assert_eq!(made.admin.set(&without), None, "the token of the start still holds");
}
