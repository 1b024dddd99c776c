use http::{HeaderValue, Request};
use lb_core::{Tick, cluster::Standing, strategy::Reason};
use proptest::prelude::*;

use super::*;
use crate::{http::attempts::Attempts, observe::record::end};

const WHEN: When =
    When { started: Duration::from_millis(971_186_136_042), took: Duration::from_micros(14_322) };

fn record(request: &Request<()>) -> Record {
    let client = HeaderValue::from_static("192.0.2.7");
    let mut record = Record::new(Tick::ZERO, client, "127.0.0.1:80".into());
    record.request = Some(Asked::new(request, Wanted { agent: true }));
    record.status = 200;
    record.bytes_out = 2326;
    record
}

fn plain() -> Record {
    record(
        &Request::get("/a?secret=1")
            .header("host", "example.org")
            .header("referer", "http://a/b")
            .header("user-agent", "curl/8.5")
            .header("cookie", "session=hidden")
            .header("authorization", "Basic aGlkZGVu")
            .body(())
            .unwrap(),
    )
}

fn retried() -> Record {
    let mut record = plain();
    let attempt = |backend: &str, address: &str, status, error, total| Attempt {
        backend: backend.into(),
        address: address.into(),
        reason: Reason::Turn,
        standing: Standing::In,
        started: Tick::ZERO,
        connect: Some(Duration::from_micros(150)),
        first_byte: Option::map(status, |_| Duration::ZERO),
        total: Some(Duration::from_millis(total)),
        status,
        error,
        replayed: false,
    };
    let attempts = vec![
        attempt("a", "10.0.0.2:3000", None, Some("backend-refused"), 1),
        attempt("b", "10.0.0.3:3000", Some(502), None, 2),
        attempt("c", "10.0.0.1:3000", Some(200), None, 9),
    ];
    record.attempts = Some(Attempts::of(attempts, Stickiness::Moved));
    record.id = Some(HeaderValue::from_static("0192"));
    record.route = Some("api".into());
    record.cluster = Some("dynamic".into());
    record
}

fn line(format: &LogFormat, record: &Record) -> String {
    let mut out = Vec::new();
    Renderer::new(format, false).line(&mut out, record, WHEN);
    String::from_utf8(out).unwrap()
}

fn json(record: &Record) -> serde_json::Value {
    serde_json::from_str(&line(&LogFormat::Json, record)).unwrap()
}

fn template(text: &str) -> LogFormat {
    LogFormat::Template(text.parse().unwrap())
}

#[test]
fn the_last_try_is_the_one_whose_pick_is_told() {
    let words = [
        (Standing::In, Reason::Turn, "strategy", "retry"),
        (Standing::In, Reason::Preferred, "sticky", "retry"),
        (Standing::Panic, Reason::Turn, "panic", "panic"),
        (Standing::Panic, Reason::LastResort, "panic", "panic"),
        (Standing::HalfOpen, Reason::Trial, "trial", "trial"),
        (Standing::HalfOpen, Reason::Turn, "trial", "trial"),
        (Standing::Standby, Reason::Standby, "standby", "standby"),
        (Standing::Standby, Reason::Preferred, "sticky", "retry"),
        (Standing::In, Reason::LastResort, "last-resort", "last-resort"),
    ];
    for (standing, reason, alone, after_others) in words {
        let mut record = retried();
        let mut attempts = record.attempts().unwrap().to_vec();
        let last = attempts.last_mut().unwrap();
        (last.standing, last.reason) = (standing, reason);
        for (attempts, word) in [(&attempts[2..], alone), (&attempts[..], after_others)] {
            record.attempts = Some(Attempts::of(attempts.to_vec(), Stickiness::None));
            assert_eq!(record.picked_by(), Some(word), "{standing:?} {reason:?}");
        }
    }
}

#[test]
fn common_and_combined_are_apaches() {
    let common = r#"192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326"#;
    assert_eq!(line(&LogFormat::Common, &plain()), format!("{common}\n"));
    assert_eq!(
        line(&LogFormat::Combined, &plain()),
        format!("{common} \"http://a/b\" \"curl/8.5\"\n")
    );
}

#[test]
fn lb_lists_what_was_tried() {
    let line = line(&LogFormat::Lb, &retried());
    let (_, rest) = line.split_once("\"curl/8.5\" ").unwrap();
    assert_eq!(
        rest,
        "rt=0.014 urt=0.001,0.002,0.009 ua=10.0.0.2:3000,10.0.0.3:3000,10.0.0.1:3000 \
         us=-,502,200 tries=3 id=0192 end=done\n"
    );
}

#[test]
fn what_is_not_known_is_a_dash() {
    let client = HeaderValue::from_static("::1");
    let mut nothing = Record::new(Tick::ZERO, client, "[::]:80".into());
    nothing.status = 408;
    nothing.ends("head-timeout");
    assert_eq!(
        line(&LogFormat::Lb, &nothing),
        "::1 - - [10/Oct/2000:13:55:36 +0000] \"-\" 408 0 \"-\" \"-\" rt=0.014 urt=- ua=- us=- \
         tries=0 id=- end=head-timeout\n"
    );
    let all = Template::VARIABLES.map(|name| format!("${name}")).join(" ");
    assert_eq!(line(&template(&all), &nothing).split(' ').count(), Template::VARIABLES.len() + 1);
}

#[test]
fn json_says_everything() {
    let expected = serde_json::json!({
        "ts": "2000-10-10T13:55:36.042Z",
        "level": "info",
        "id": "0192",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "example.org",
        "path": "/a",
        "proto": "HTTP/1.1",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 2326,
        "duration": 0.014_322,
        "listener": "127.0.0.1:80",
        "route": "api",
        "cluster": "dynamic",
        "backend": "c",
        "upstream_addr": "10.0.0.1:3000",
        "attempts": [
            {"backend": "a", "addr": "10.0.0.2:3000", "error": "backend-refused",
                "connect": 0.000_15, "total": 0.001},
            {"backend": "b", "addr": "10.0.0.3:3000", "status": 502,
                "connect": 0.000_15, "first_byte": 0.0, "total": 0.002},
            {"backend": "c", "addr": "10.0.0.1:3000", "status": 200,
                "connect": 0.000_15, "first_byte": 0.0, "total": 0.009},
        ],
        "picked_by": "retry",
        "sticky": "moved",
        "user_agent": "curl/8.5",
        "referer": "http://a/b",
        "end": "done",
    });
    assert_eq!(json(&retried()), expected);
}

#[test]
fn a_failure_is_a_warning() {
    let mut record = plain();
    record.ends(end::CLIENT_ABORT);
    record.ends("backend-reset");
    let json = json(&record);
    assert_eq!((&json["level"], &json["end"]), (&"warn".into(), &"client-abort".into()));
}

#[test]
fn a_template_is_followed_to_the_letter() {
    let format = template("$client:$$5 [$host] $path $duration $upstream_addr/$upstream_status");
    assert_eq!(
        line(&format, &retried()),
        "192.0.2.7:$5 [example.org] /a 0.014 \
         10.0.0.2:3000,10.0.0.3:3000,10.0.0.1:3000/-,502,200\n"
    );
}

#[test]
fn queries_are_written_where_wanted_and_secrets_never() {
    let all = template(&Template::VARIABLES.map(|name| format!("${name}")).join(" "));
    for format in [LogFormat::Lb, LogFormat::Json, all] {
        let mut out = Vec::new();
        Renderer::new(&format, true).line(&mut out, &plain(), WHEN);
        let with_query = String::from_utf8(out).unwrap();
        assert!(with_query.contains("/a?secret=1"), "{with_query}");
        let without = line(&format, &plain());
        assert!(!without.contains("secret"), "{without}");
        for line in [with_query, without] {
            assert!(!line.contains("hidden") && !line.contains("aGlkZGVu"), "{line}");
        }
    }
}

#[test]
fn an_absolute_target_says_the_host_and_no_password() {
    let request = Request::get("http://user:pass@other.org:81/p").header("host", "a");
    let line = line(&template("$host $request"), &record(&request.body(()).unwrap()));
    assert_eq!(line, "other.org:81 GET /p HTTP/1.1\n");
}

#[test]
fn headers_are_kept_only_for_formats_that_write_them() {
    let wanted = |format: &LogFormat| Renderer::new(format, false).wanted();
    assert_eq!(wanted(&LogFormat::Common), Wanted::default());
    assert_eq!(wanted(&LogFormat::Combined), Wanted { agent: true });
    assert_eq!(wanted(&template("$host")), Wanted { agent: false });
}

fn header() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![Just(b'\t'), Just(b'"'), Just(b'\\'), 32..127_u8, 128..=255_u8];
    proptest::collection::vec(byte, 0..40)
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

proptest! {
    /// Whatever a client sends, a combined line has six quotes and one end.
    #[test]
    fn nobody_forges_a_line(agent in header(), referer in header(), path in "/[!-~&&[^#?]]{0,40}") {
        let Ok(request) = Request::get(path).body(()) else { return Ok(()) };
        let mut record = record(&request);
        let asked = record.request.as_mut().unwrap();
        asked.user_agent = Some(agent);
        asked.referer = Some(referer);
        let line = line(&LogFormat::Combined, &record);
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let bare = line.replace(r"\\", "").replace("\\\"", "");
        prop_assert_eq!(bare.matches('"').count(), 6, "{}", line);
    }

    #[test]
    fn json_is_json_whatever_the_client_sends(agent in header(), host in header()) {
        let mut record = plain();
        let asked = record.request.as_mut().unwrap();
        asked.user_agent = Some(agent.clone());
        asked.host = Some(host);
        let json = json(&record);
        let read = json["user_agent"].as_str().unwrap();
        prop_assert_eq!(read, String::from_utf8_lossy(agent.as_bytes()));
    }
}
