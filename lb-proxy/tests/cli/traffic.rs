//! What is told of the traffic, with real traffic: series, the last requests, sessions.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use http::StatusCode;
use lb_proxy::demo::{DemoBackend, DemoOptions};
use serde_json::{Value, json};

use crate::{
    admin::{ask, send},
    client::{get, shares},
    live::Live,
    process::{Lb, PATIENCE, eventually, file},
};

fn backends(names: &[&str]) -> (Vec<DemoBackend>, String) {
    let start = |name: &&str| DemoOptions::named(*name).start().expect("a free port");
    let all: Vec<DemoBackend> = names.iter().map(start).collect();
    let tables = names.iter().zip(&all).map(|(name, backend)| {
        format!("{{ address = \"{}\", name = \"{name}\" }}", backend.address())
    });
    let text = tables.collect::<Vec<_>>().join(", ");
    (all, text)
}

fn start(top: &str, cluster: &str, backends: &str) -> Live {
    Live::start(&format!(
        "listen = \"127.0.0.1:0\"\n{top}\n[[route]]\nto = \"web\"\n[admin]\nlisten = \"off\"\n\
         [cluster.web]\n{cluster}\nbackends = [{backends}]\n"
    ))
}

/// An answer with its head.
fn whole(address: SocketAddr, headers: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request =
        format!("GET /a?secret=1 HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    answer
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Who says that he has answered.
fn who(answer: &str) -> String {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let told: Value = serde_json::from_str(body).expect("JSON");
    told["name"].as_str().expect("a name").to_owned()
}

fn sum(column: &Value) -> u64 {
    column.as_array().expect("a column").iter().filter_map(Value::as_u64).sum()
}

#[test]
fn series_add_up_to_what_was_sent() {
    let (_backends, list) = backends(&["a", "b"]);
    let live = start("workers = 2", "strategy = \"round-robin\"", &list);
    shares(live.lb.address(), "/", 60);
    let socket = live.socket();
    let series = || ask(&socket, "GET", "/clusters/web/series?window=5m&step=1s", "").1;
    eventually("all are counted", || sum(&series()["series"][0]["requests"]) == 60);
    let told = series();
    assert_eq!((&told["cluster"], &told["step_ms"]), (&json!("web"), &json!(1_000)));
    let rows = told["series"].as_array().expect("rows");
    let names: Vec<&Value> = rows.iter().map(|row| &row["backend"]).collect();
    assert_eq!(names, [&Value::Null, &json!("a"), &json!("b")]);
    for (row, requests) in rows.iter().zip([60, 30, 30]) {
        assert_eq!((sum(&row["requests"]), sum(&row["errors"])), (requests, 0), "{row}");
        assert_eq!(row["p99_ms"].as_array().map(Vec::len), Some(300));
        assert!(row["p99_ms"].as_array().expect("a column").iter().any(Value::is_number), "{row}");
    }
    let refused = ask(&socket, "GET", "/clusters/web/series?window=1h&step=1s", "");
    assert_eq!(refused.0, 422, "{refused:?}");
    assert_eq!(ask(&socket, "GET", "/clusters/wbe/series", "").0, 404);
}

#[test]
fn errors_of_a_backend_are_in_its_series_and_not_in_those_of_a_cluster_that_had_better() {
    let (_backends, list) = backends(&["good"]);
    let dead = "{ address = \"127.0.0.1:1\", name = \"dead\" }";
    let live = start("", "strategy = \"round-robin\"", &format!("{dead}, {list}"));
    shares(live.lb.address(), "/", 4);
    let socket = live.socket();
    let mut rows = Value::Null;
    eventually("all are counted", || {
        rows = ask(&socket, "GET", "/clusters/web/series", "").1["series"].clone();
        sum(&rows[0]["requests"]) == 4
    });
    assert_eq!(sum(&rows[0]["errors"]), 0, "clients saw none");
    let of = |name: &str| {
        let rows = rows.as_array().expect("rows");
        rows.iter().find(|row| row["backend"] == name).expect("a row").clone()
    };
    assert_eq!(sum(&of("good")["requests"]), 4);
    let dead = of("dead");
    assert!(sum(&dead["errors"]) >= 1 && sum(&dead["errors"]) == sum(&dead["requests"]), "{dead}");
}

#[test]
fn the_present_rate_is_told_with_each_backend() {
    let (_backends, list) = backends(&["a"]);
    let live = start("", "", &list);
    let status = live.done(&["status", "web"]);
    assert!(status.contains("in flight  req/s  errors  p99  tier"), "{status}");
    shares(live.lb.address(), "/", 20);
    let mut told = Value::Null;
    eventually("requests are seen", || {
        told = live.json(&["status", "web"]);
        told["last_10s"]["requests_per_second"].as_f64() > Some(0.0)
    });
    let rate = &told["backends"][0]["last_10s"];
    assert!(rate["requests_per_second"].as_f64() > Some(0.0), "{told}");
    assert_eq!(rate["error_share"], 0.0);
    assert!(rate["p99_ms"].as_f64() >= rate["p50_ms"].as_f64(), "{rate}");
}

#[test]
fn an_error_is_kept_however_much_goes_well_after_it_and_says_who_was_tried() {
    let (_backends, list) = backends(&["a"]);
    let failing = DemoOptions::named("x").status(StatusCode::SERVICE_UNAVAILABLE);
    let failing = failing.start().expect("a free port");
    let live = Live::start(&format!(
        "listen = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"off\"\n\
         [[route]]\npath = \"/a\"\nto = \"bad\"\n[[route]]\nto = \"web\"\n\
         [cluster.web]\nbackends = [{list}]\n\
         [cluster.bad]\nbackends = [{{ address = \"{}\", name = \"x\" }}]\n",
        failing.address()
    ));
    let answer = whole(live.lb.address(), "");
    let id = header(&answer, "x-request-id").expect("a name").to_owned();
    // More than are kept of those that go well.
    let mut stream = TcpStream::connect(live.lb.address()).expect("it listens");
    let mut one = vec![0; 64 * 1_024];
    for _ in 0..1_500 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("it reads");
        assert!(stream.read(&mut one).expect("an answer") > 0);
    }
    eventually("they are handed over", || {
        live.json(&["requests", "-n", "1000"]).as_array().is_some_and(|all| all.len() > 256)
    });
    let errors = live.json(&["requests", "--errors"]);
    assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
    let error = &errors[0];
    assert_eq!((&error["id"], &error["status"]), (&json!(id), &json!(503)));
    assert_eq!((&error["path"], &error["query"]), (&json!("/a"), &json!("secret=1")));
    assert_eq!((&error["cluster"], &error["client"]), (&json!("bad"), &json!("127.0.0.1")));
    let tried = &error["tries"][0];
    assert_eq!((&tried["backend"], &tried["status"]), (&json!("x"), &json!(503)));
    for filter in [["--backend", "x"], ["--backend", "bad/x"], ["--status", "5xx"]] {
        let found = live.json(&[&["requests"], &filter[..]].concat());
        assert_eq!(found[0]["id"], json!(id), "{filter:?}");
    }
    assert_eq!(live.json(&["requests", "--backend", "web/a", "--errors"]), json!([]));
    for (filter, says) in [
        (["--cluster", "wbe"], "no cluster `wbe`"),
        (["--backend", "web/x"], "`x`"),
        (["--backend", "y"], "no cluster has a backend `y`"),
    ] {
        let slip = live.say(&[&["requests"], &filter[..]].concat());
        assert_eq!(slip.code, Some(4), "{filter:?} {slip:?}");
        assert!(slip.stderr.contains(says), "{filter:?} {slip:?}");
    }
    let table = live.done(&["requests", "--errors"]);
    assert!(table.contains("  503  ") && table.contains("GET test/a?secret=1"), "{table}");

    let told = live.done(&["explain", &id]);
    assert!(told.starts_with("GET test/a?secret=1 from 127.0.0.1 at "), "{told}");
    assert!(told.contains("  cluster  bad\n  try 1    x at 127.0.0.1:"), "{told}");
    assert!(told.contains("; connected in ") && told.contains(", said 503, after "), "{told}");
    assert!(told.contains("  answer   503 after ") && told.contains("  unknown  who else"));
    let nobody = live.say(&["explain", "0192-unknown"]);
    assert_eq!(nobody.code, Some(4), "{nobody:?}");
    for half in ["GET", "/a"] {
        let said = live.say(&["explain", half]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.stderr.contains("`lb explain GET /path`"), "{said:?}");
    }
}

#[test]
fn whoever_may_only_see_is_told_no_addresses_and_no_queries() {
    let (_backends, list) = backends(&["a"]);
    let (admin, viewer) = ("0123456789abcdef-admin", "0123456789abcdef-viewer");
    let file = file(&format!(
        "listen = \"127.0.0.1:0\"\n[[route]]\nto = \"web\"\n[cluster.web]\nbackends = [{list}]\n\
         [admin]\nlisten = \"127.0.0.1:0\"\nsocket = \"off\"\n\
         token = {{ env = \"ADMIN\" }}\nread_token = {{ env = \"VIEWER\" }}\n"
    ));
    let mut command = crate::process::lb(&["run", "--config", &file]);
    command.env_remove("LB_ADMIN").env("ADMIN", admin).env("VIEWER", viewer);
    let lb = Lb::spawn(&mut command);
    let line = lb.next_line();
    let place = line.strip_prefix("the API is on http://").expect(&line);
    let place = place.split([' ', ';', '\n']).next().expect("a place");
    let place: SocketAddr = place.parse().expect(place);
    whole(lb.address(), "");
    let mut kept = Value::Null;
    let see = |path: &str, token: &str| -> Value {
        let (status, body) = send(place, "GET", path, token, "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    };
    eventually("it is kept", || {
        kept = see("/api/v1/requests", viewer);
        kept.as_array().is_some_and(|all| all.len() == 1)
    });
    assert_eq!((&kept[0]["path"], &kept[0]["status"]), (&json!("/a"), &json!(200)));
    assert!(kept[0]["client"].is_null() && kept[0]["query"].is_null(), "{kept}");
    let one = format!("/api/v1/requests/{}", kept[0]["id"].as_str().expect("a name"));
    assert!(see(&one, viewer)["client"].is_null());
    assert_eq!(see(&one, admin)["client"], "127.0.0.1");
    assert_eq!(see("/api/v1/requests", admin)[0]["query"], "secret=1");
    let asked = send(place, "POST", "/api/v1/sessions/lookup", viewer, "{\"cookie\":\"A=b\"}");
    assert_eq!(asked.0, 422, "nothing is changed by it: {}", asked.1);
}

#[test]
fn the_look_up_of_a_cookie_names_whoever_answers_it() {
    let (_backends, list) = backends(&["a", "b", "c"]);
    let sticky = "sticky = { cookie = \"ROUTEID\", value = \"sealed\", ttl = \"1h\", \
                  keys = [\"AAAAAAAAAAAAAAAAAAAAAA==\"] }";
    let live = start("", sticky, &list);
    for _ in 0..5 {
        let answer = whole(live.lb.address(), "");
        let cookie = header(&answer, "set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a value");
        let name = who(&answer);
        let found = live.json(&["sessions", "lookup", "--cookie", cookie]);
        assert_eq!(found[0]["backend"], json!(name), "{found}");
        assert_eq!(who(&whole(live.lb.address(), &format!("Cookie: {cookie}\r\n"))), name);
        let (since, until) = (found[0]["since"].as_u64(), found[0]["expires"].as_u64());
        assert_eq!(until.zip(since).map(|(until, since)| until - since), Some(3_600_000));
    }
    let made_up = live.json(&["sessions", "lookup", "--cookie", "ROUTEID=x"]);
    assert!(made_up[0]["backend"].is_null(), "{made_up}");
    let other = live.say(&["sessions", "lookup", "--cookie", "OTHER=x"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.stderr.contains("bound are clients of web by cookie ROUTEID"), "{other:?}");
    assert_eq!(live.say(&["sessions", "lookup"]).code, Some(2));
}

#[test]
fn the_look_up_of_an_address_names_whoever_its_hash_leads_to_now_and_without_him() {
    let (_backends, list) = backends(&["a", "b", "c", "d"]);
    let live = start("", "strategy = { name = \"rendezvous\", key = \"client-ip\" }", &list);
    let look = || live.json(&["sessions", "lookup", "--client", "127.0.0.1"])[0].clone();
    let found = look();
    let first = who(&whole(live.lb.address(), ""));
    assert_eq!((&found["backend"], &found["bound_by"]), (&json!(first), &json!("key client-ip")));
    live.done(&["disable", &format!("web/{first}")]);
    let second = who(&whole(live.lb.address(), ""));
    let told = found["if_down"].as_str().expect("what then");
    assert_eq!(told, format!("it goes to {second}, and comes back with {first}"));
    assert_eq!(look()["backend"], json!(second));
}

#[test]
fn sessions_are_estimated_and_told_while_their_backend_drains() {
    let (_backends, list) = backends(&["a", "b"]);
    let live = start("workers = 2", "strategy = \"first\"\nsticky = { cookie = \"ID\" }", &list);
    for browser in 0..40 {
        for _ in 0..2 {
            assert_eq!(who(&whole(live.lb.address(), &format!("User-Agent: {browser}\r\n"))), "a");
        }
    }
    let told = live.json(&["sessions", "web"]);
    // 40 of 512 registers: two that meet are one too few, and three are rare.
    let counted = told["backends"][0]["sessions"].as_u64().expect("a number");
    assert!((35..=45).contains(&counted), "{told}");
    assert_eq!(told["sessions"], counted);
    assert_eq!((&told["bound_by"], &told["window_s"]), (&json!("cookie ID"), &json!(1_800)));
    assert_eq!(told["backends"][1]["sessions"], 0);
    let table = live.done(&["sessions"]);
    let head = format!("web: by cookie ID; about {counted} sessions in the last 30m\n");
    assert!(table.starts_with(&head), "{table}");
    live.done(&["drain", "web/a", "--for", "10m", "--no-wait"]);
    let drained = live.json(&["status", "web"])["backends"][0]["drain"].clone();
    assert_eq!((&drained["bound"], &drained["admits_bound"]), (&json!(counted), &json!(true)));
    let late = live.say(&["drain", "web/a", "--for", "10m", "--timeout", "50ms"]);
    let bound = format!("bound clients may come (about {counted} lately)");
    assert!(late.stderr.contains(&bound), "{}", late.stderr);
    assert_eq!(get(live.lb.address(), "/").status, 200);
}
