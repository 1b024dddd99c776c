//! The access log, as far as it can be seen from outside: which request becomes
//! which line.

use std::{
    fs,
    net::{Shutdown, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lb_core::{
    Cause, Change, Cluster, Health,
    cluster::{CauseKind, Slot},
    strategy::First,
};
use lb_proxy::{
    AccessLog, AccessLogSettings, ClusterSettings, ListenerSettings, LogFormat, LogTarget, Proxy,
    Route, RouteTable, Service, StickySettings, StickyValue, TrustedProxies,
};
use serde_json::Value;

use crate::support::{
    Client, GET, Origin, Proxied, block_on, eventually, membership, noise, proxy_with,
};

/// A proxy with a log in a file of its own.
struct Logged {
    proxied: Proxied,
    log: AccessLog,
    folder: PathBuf,
}

impl Logged {
    fn new(backends: &[SocketAddr]) -> Self {
        Self::with(backends, LogFormat::Json, |_| {})
    }

    fn with(backends: &[SocketAddr], format: LogFormat, change: impl FnOnce(&mut Service)) -> Self {
        let folder = folder();
        let log = open(&folder, format);
        let proxied = proxy_with(backends, |service| {
            service.access_log = Some(log.clone());
            change(service);
        });
        Self { proxied, log, folder }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.join("access.log")).unwrap()
    }

    /// The lines, as soon as there are so many.
    fn lines(&self, count: usize) -> Vec<Value> {
        eventually("the lines are written", || self.text().lines().count() >= count);
        let text = self.text();
        let lines: Vec<_> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
        assert_eq!(lines.len(), count, "{text}");
        lines
    }

    fn line(&self) -> Value {
        self.lines(1).remove(0)
    }
}

fn folder() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("lb-access-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn open(folder: &Path, format: LogFormat) -> AccessLog {
    let to = LogTarget::File(folder.join("access.log"));
    AccessLog::open(AccessLogSettings { to, format, ..AccessLogSettings::default() }).unwrap()
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Status and end.
fn outcome(line: &Value) -> (u64, &str) {
    (line["status"].as_u64().unwrap(), line["end"].as_str().unwrap())
}

#[test]
fn an_answer_becomes_a_line() {
    let origin = Origin::ok();
    let logged = Logged::new(&[origin.address]);
    let before = std::time::SystemTime::now();
    let answer = logged.proxied.ask(
        "POST /a/b?c=d HTTP/1.1\r\nHost: example.org\r\nUser-Agent: \"x\"\\\r\n\
         Referer: http://r/\u{e9}\r\nContent-Length: 3\r\n\r\nabc",
    );
    let line = logged.line();
    let expected = serde_json::json!({
        "level": "info",
        "client": "127.0.0.1",
        "method": "POST",
        "host": "example.org",
        "path": "/a/b",
        "proto": "HTTP/1.1",
        "status": 200,
        "bytes_in": 3,
        "bytes_out": 2,
        "cluster": "test",
        "user_agent": "\"x\"\\",
        "referer": "http://r/\u{e9}",
        "end": "done",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} in {line}");
    }
    assert_eq!(line["id"].as_str(), answer.header("x-request-id"));
    assert!(line["ts"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(line["duration"].as_f64().unwrap() <= before.elapsed().unwrap().as_secs_f64());
}

#[test]
fn a_combined_line_is_what_everybody_reads() {
    let logged = Logged::with(&[Origin::ok().address], LogFormat::Combined, |_| {});
    logged.proxied.ask("GET /x?y HTTP/1.0\r\nHost: a\r\nUser-Agent: a\"b\r\n\r\n");
    eventually("the line is written", || logged.text().ends_with('\n'));
    let text = logged.text();
    assert!(text.starts_with("127.0.0.1 - - ["), "{text}");
    assert!(text.ends_with(" +0000] \"GET /x HTTP/1.0\" 200 2 \"-\" \"a\\\"b\"\n"), "{text}");
}

#[test]
fn requests_of_one_connection_are_lines_in_their_order() {
    let logged = Logged::new(&[Origin::ok().address]);
    let mut client = logged.proxied.client();
    for path in ["/1", "/2"] {
        client.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(get("/3") + &get("/4"));
    client.answer(GET);
    client.answer(GET);
    let lines = logged.lines(4);
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/1", "/2", "/3", "/4"]);
}

#[test]
fn a_slow_backend_shows_in_the_duration() {
    let pause = Duration::from_millis(30);
    let origin = Origin::new(move |peer| {
        peer.request();
        std::thread::sleep(pause);
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let logged = Logged::new(&[origin.address]);
    logged.proxied.get();
    let line = logged.line();
    assert!(line["duration"].as_f64().unwrap() >= pause.as_secs_f64(), "{line}");
}

#[test]
fn an_answer_without_a_body_is_done() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let logged = Logged::new(&[origin.address]);
    let mut client = logged.proxied.client();
    client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let line = logged.line();
    assert_eq!((outcome(&line), &line["bytes_out"]), ((200, "done"), &0.into()));
}

/// A backend that sends for as long as somebody reads.
fn endless() -> Origin {
    Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".to_vec(), noise(0x10000), b"\r\n".to_vec()].concat();
        use std::io::Write;
        while peer.stream.write_all(&chunk).is_ok() {}
    })
}

#[test]
fn a_client_that_leaves_in_the_middle_is_an_abort() {
    let logged = Logged::new(&[endless().address]);
    let mut client = logged.proxied.client();
    client.send(GET);
    client.read(100_000);
    client.end();
    drop(client);
    let line = logged.line();
    assert_eq!((outcome(&line), &line["level"]), ((200, "client-abort"), &"warn".into()));
    assert!(line["bytes_out"].as_u64().unwrap() > 60_000, "{line}");
}

#[test]
fn a_client_that_leaves_before_the_answer_is_an_abort() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.wait_for_end();
    });
    let logged = Logged::new(&[origin.address]);
    let client = {
        let mut client = logged.proxied.client();
        client.send(GET);
        client
    };
    eventually("the backend has it", || origin.requests().len() == 1);
    client.stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(outcome(&logged.line()), (0, "client-abort"));
}

/// What is small enough for our memory, but not for the client's.
#[test]
fn an_answer_that_the_client_never_took_is_not_done() {
    let length = 8_000_000;
    let body = noise(length);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let origin = Origin::answering([head.into_bytes(), body].concat());
    let logged = Logged::with(&[origin.address], LogFormat::Json, |service| {
        service.listeners[0].timeouts.send_stall = Duration::from_millis(100);
    });
    let mut client = Client::with_small_buffer(logged.proxied.address);
    client.send(GET);
    assert_eq!(outcome(&logged.line()), (200, "client-timeout"));
}

#[test]
fn a_backend_that_breaks_off_is_named_as_the_end() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    let logged = Logged::new(&[origin.address]);
    assert!(logged.proxied.get().truncated);
    let line = logged.line();
    assert_eq!((outcome(&line), &line["bytes_out"]), ((200, "backend-reset"), &4.into()));
}

#[test]
fn answers_of_ours_end_with_their_word() {
    let refusing = Logged::new(&[Origin::refusing()]);
    refusing.proxied.get();
    assert_eq!(outcome(&refusing.line()), (502, "backend-refused"));
    let empty = Logged::new(&[]);
    empty.proxied.get();
    assert_eq!(outcome(&empty.line()), (503, "no-backend"));
    let nowhere = Logged::with(&[], LogFormat::Json, |service| {
        service.routes = Arc::new(RouteTable::new(Vec::new()));
    });
    nowhere.proxied.get();
    let line = nowhere.line();
    assert_eq!(outcome(&line), (404, "no-route"));
    assert!(line["bytes_out"].as_u64().unwrap() > 0, "{line}");
    let hosts = Logged::new(&[]);
    hosts.proxied.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(outcome(&hosts.line()), (400, "bad-host"));
}

#[test]
fn what_is_no_http_is_a_line_without_a_request() {
    let logged = Logged::new(&[]);
    for bytes in ["\x01\x02\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = logged.proxied.client();
        client.send(bytes);
        client.rest().unwrap();
    }
    let lines = logged.lines(2);
    assert_eq!(outcome(&lines[0]), (400, "bad-request"));
    assert_eq!(outcome(&lines[1]), (505, "version-not-supported"));
    assert!(lines.iter().all(|line| line.get("method").is_none() && line["client"].is_string()));
}

#[test]
fn a_head_that_does_not_end_is_one_line_and_an_idle_connection_none() {
    let logged = Logged::with(&[], LogFormat::Json, |service| {
        service.listeners[0].timeouts.header = Duration::from_millis(100);
        service.listeners[0].timeouts.keep_alive = Duration::from_millis(100);
    });
    let mut idle = logged.proxied.client();
    let mut slow = logged.proxied.client();
    slow.send("GET / HT");
    slow.rest().unwrap();
    idle.is_closed();
    assert_eq!(outcome(&logged.line()), (408, "head-timeout"));
}

#[test]
fn a_body_that_is_none_is_one_line() {
    let origin = Origin::ok();
    let logged = Logged::new(&[origin.address]);
    let mut client = logged.proxied.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    let _ = client.rest();
    assert_eq!(outcome(&logged.line()), (400, "bad-body"));
}

#[test]
fn what_the_end_of_the_proxy_cuts_off_says_so() {
    let origin = endless();
    let logged = Logged::new(&[origin.address]);
    let mut client = logged.proxied.client();
    client.send(GET);
    client.read(1000);
    logged.proxied.running.stop_now();
    assert_eq!(outcome(&logged.line()), (200, "shutdown"));
}

#[test]
fn a_renamed_file_is_left_after_reopen() {
    let logged = Logged::new(&[Origin::ok().address]);
    logged.proxied.get();
    logged.line();
    fs::rename(logged.folder.join("access.log"), logged.folder.join("old")).unwrap();
    logged.log.reopen().unwrap();
    eventually("the file is there again", || logged.folder.join("access.log").exists());
    logged.proxied.get();
    logged.line();
    assert_eq!(fs::read_to_string(logged.folder.join("old")).unwrap().lines().count(), 1);
}

#[test]
fn lines_that_wait_are_written_when_the_proxy_ends() {
    let mut logged = Logged::new(&[Origin::ok().address]);
    for _ in 0..3 {
        logged.proxied.get();
    }
    logged.proxied = proxy_with(&[], |_| {});
    assert_eq!(logged.text().lines().count(), 3);
}

fn service(cluster: &Cluster, bind: SocketAddr, log: &AccessLog) -> Service {
    Service {
        listeners: vec![ListenerSettings::new(bind)],
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: vec![ClusterSettings::new(cluster.clone())],
        access_log: Some(log.clone()),
    }
}

/// A request is logged where it began, and its line does not wait for others that began
/// there, too.
#[test]
fn a_request_is_logged_by_the_service_that_it_began_with() {
    let (go, gone) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::new(move |peer| {
        while let Some(request) = peer.request() {
            if request.start.contains("/slow") {
                gone.lock().unwrap().recv().unwrap();
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let (old, next) = (Logged::new(&[]), Logged::new(&[]));
    let cluster = Cluster::builder("c").membership(membership(&[origin.address])).build();
    let any = ([127, 0, 0, 1], 0).into();
    let running = Proxy::start(service(&cluster, any, &old.log), NonZeroUsize::MIN).unwrap();
    let get = |path: &str| {
        let mut client = Client::connect(running.addresses()[0]);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    };
    let mut clients = [get("/slow/1"), get("/slow/2")];
    eventually("the backend has both", || origin.requests().len() == 2);
    let reload = |log| block_on(running.reload(service(&cluster, any, log)).unwrap());
    reload(&next.log);
    get("/fast").answer(GET);
    assert_eq!(next.line()["path"], "/fast");
    go.send(()).unwrap();
    old.line();
    go.send(()).unwrap();
    let paths: Vec<_> = old.lines(2).iter().map(|line| line["path"].clone()).collect();
    assert!(paths.contains(&"/slow/1".into()) && paths.contains(&"/slow/2".into()), "{paths:?}");
    clients.iter_mut().for_each(|client| assert_eq!(client.answer(GET).text(), "ok"));
    // The same log again is the same part of it.
    reload(&next.log);
    get("/again").answer(GET);
    assert_eq!(next.lines(2)[1]["path"], "/again");
}

#[test]
fn reloads_are_counted() {
    let logged = Logged::new(&[]);
    let running = &logged.proxied.running;
    assert_eq!(running.counters().config_last_reload_timestamp_seconds, None);
    let again = service(&logged.proxied.cluster, ([127, 0, 0, 1], 0).into(), &logged.log);
    block_on(running.reload(again.clone()).unwrap());
    let nowhere = Service { clusters: Vec::new(), ..again };
    assert!(running.reload(nowhere).is_err());
    running.reload_rejected();
    let counters = running.counters();
    let reloads = counters.config_reloads_total;
    assert_eq!((reloads.accepted, reloads.rejected), (1, 2));
    assert!(counters.config_last_reload_timestamp_seconds.is_some());
    assert_eq!(counters.access_log_dropped_total, 0);
    let names: Vec<_> = counters.clusters.iter().map(|cluster| &*cluster.cluster).collect();
    assert_eq!(names, ["test"]);
}

/// What a retry looks like: refused, then an answer that is retried, then a good one.
#[test]
fn all_tries_are_in_the_line_of_a_request() {
    let refusing = Origin::refusing();
    let failing = Origin::answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    let good = Origin::ok();
    let backends = [refusing, failing.address, good.address];
    let change = |service: &mut Service| {
        let first = Cluster::builder("test").strategy(First);
        let cluster = first.membership(membership(&backends)).build();
        service.clusters[0] = ClusterSettings::new(cluster);
        service.clusters[0].retry.attempts = 3;
        service.clusters[0].retry.on.statuses = [502].into();
    };
    let json = Logged::with(&backends, LogFormat::Json, change);
    assert_eq!(json.proxied.get().text(), "ok");
    let line = json.line();
    assert_eq!((outcome(&line), &line["picked_by"]), ((200, "done"), &"retry".into()));
    assert_eq!(line["upstream_addr"], good.address.to_string());
    assert_eq!((&line["route"], &line["cluster"]), (&"/".into(), &"test".into()));
    let tries = line["attempts"].as_array().unwrap();
    let results: Vec<_> = tries.iter().map(|one| (&one["error"], &one["status"])).collect();
    let (none, refused) = (Value::Null, Value::from("backend-refused"));
    assert_eq!(results, [(&refused, &none), (&none, &502.into()), (&none, &200.into())]);
    for (one, address) in tries.iter().zip(backends) {
        assert_eq!(one["addr"], address.to_string());
        assert_eq!(one["backend"], address.to_string());
        assert!(one["total"].as_f64() >= one["connect"].as_f64(), "{one}");
        assert!(one["total"].as_f64() <= line["duration"].as_f64(), "{line}");
    }
    let retries = json.proxied.running.counters().clusters[0].retries_total;
    assert_eq!((retries.connect, retries.status, retries.timeout), (1, 1, 0));

    let lb = Logged::with(&backends, LogFormat::Lb, change);
    lb.proxied.get();
    eventually("the line is written", || lb.text().ends_with('\n'));
    let text = lb.text();
    let list = backends.map(|address| address.to_string()).join(",");
    assert!(text.contains(&format!(" ua={list} us=-,502,200 tries=3 id=")), "{text}");
    assert!(text.ends_with(" end=done\n"), "{text}");
}

#[test]
fn a_stale_connection_is_counted_as_a_replay_and_no_retry() {
    let origin = Origin::new(|peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        // The next one finds the connection closed, and asks again.
        if peer.number == 0 {
            peer.request();
        }
    });
    let logged = Logged::new(&[origin.address]);
    let mut client = logged.proxied.client();
    for _ in 0..2 {
        assert_eq!(client.ask(GET).text(), "ok");
    }
    let counters = logged.proxied.running.counters();
    assert_eq!(counters.clusters[0].replays_total, 1);
    assert_eq!(counters.clusters[0].retries_total, Default::default());
    assert!(logged.lines(2).iter().all(|line| line["attempts"].as_array().unwrap().len() == 1));
}

#[test]
fn bindings_are_in_the_line_and_counted() {
    let (one, other) = (Origin::ok(), Origin::ok());
    let logged = Logged::with(&[one.address, other.address], LogFormat::Json, |service| {
        let value = StickyValue::Name;
        service.clusters[0].sticky = Some(StickySettings { value, ..StickySettings::new("lb") });
    });
    let first = logged.proxied.get();
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap();
    for cookie in [cookie, "lb=.gone"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        logged.proxied.ask(&request);
    }
    let lines = logged.lines(3);
    let words: Vec<_> = lines.iter().map(|line| (&line["sticky"], &line["picked_by"])).collect();
    let word = |word: &str| Value::from(word);
    assert_eq!(words[0], (&word("new"), &word("strategy")));
    assert_eq!(words[1], (&word("kept"), &word("sticky")));
    assert_eq!(words[2], (&word("moved"), &word("strategy")));
    let sticky = logged.proxied.running.counters().clusters[0].sticky_total;
    assert_eq!((sticky.new, sticky.kept, sticky.moved), (1, 1, 1));
}

#[test]
fn a_request_to_an_ejected_backend_says_panic() {
    let origin = Origin::ok();
    let logged = Logged::new(&[origin.address]);
    assert_eq!(logged.proxied.get().status(), 200);
    let cluster = &logged.proxied.cluster;
    let incarnation = cluster.snapshot().view().incarnation(Slot::new(0));
    let change = Change::Health { incarnation, health: Health::Ejected };
    let version = cluster.apply(change, Cause::new(CauseKind::Person, "a test")).unwrap();
    block_on(cluster.effective(version));
    assert_eq!(logged.proxied.get().status(), 200);
    let lines = logged.lines(2);
    let words: Vec<_> = lines.iter().map(|line| line["picked_by"].as_str().unwrap()).collect();
    assert_eq!(words, ["strategy", "panic"]);
    let ejections = || logged.proxied.running.counters().clusters[0].ejections_total;
    eventually("it is counted", || ejections() == 1);
}

#[test]
fn a_backend_that_takes_too_long_is_the_end_and_its_try_says_why() {
    let origin = Origin::new(|peer| {
        peer.request();
        peer.wait_for_end();
    });
    let logged = Logged::with(&[origin.address], LogFormat::Json, |service| {
        service.clusters[0].timeouts.first_byte = Duration::from_millis(50);
    });
    assert_eq!(logged.proxied.get().status(), 504);
    let line = logged.line();
    assert_eq!(outcome(&line), (504, "backend-timeout"));
    assert_eq!(line["attempts"][0]["error"], "backend-timeout");
    assert!(line["attempts"][0]["total"].as_f64().unwrap() >= 0.05, "{line}");
}

#[test]
fn a_trusted_neighbour_says_whose_request_it_is() {
    let change = |service: &mut Service| {
        service.listeners[0].trusted_proxies =
            TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]);
    };
    let logged = Logged::with(&[Origin::ok().address], LogFormat::Json, change);
    logged.proxied.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
    assert_eq!(logged.line()["client"], "192.0.2.9");
}
