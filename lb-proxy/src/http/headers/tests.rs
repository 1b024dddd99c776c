use http::{Request, Response};

use super::*;

fn origin() -> Origin {
    Origin::new([192, 0, 2, 1].into(), Rc::new(Via::new(0x1b)))
}

fn forwarded(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let version = parts.version;
    request_changes(&parts).apply_to_request(&mut parts.headers, &origin(), None, version);
    listed(&parts.headers)
}

fn returned(status: u16, headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let (mut parts, ()) = response.body(()).unwrap().into_parts();
    let version = parts.version;
    let date = || HeaderValue::from_static("today");
    let changes = response_changes(&parts, status == 204);
    changes.apply_to_response(&mut parts.headers, date, version);
    listed(&parts.headers)
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut all: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    all.sort();
    all
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const SET: [(&str, &str); 3] =
    [("via", "1.1 lb-0000001b"), ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "http")];

#[test]
fn headers_of_one_connection_are_removed_from_a_request() {
    let seen = forwarded(&[
        ("connection", "close, X-Hop"),
        ("connection", "Keep-Alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("upgrade", "websocket"),
        ("x-hop", "1"),
        ("expect", "100-Continue"),
    ]);
    assert_eq!(seen, pairs(&SET));
}

#[test]
fn what_a_client_claims_about_itself_is_replaced() {
    let seen = forwarded(&[
        ("forwarded", "for=1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("X_Forwarded_For", "10.0.0.2"),
        ("X-Forwarded_For", "10.0.0.3"),
        ("X-Real-IP", "10.0.0.4"),
        ("x_real_ip", "10.0.0.5"),
        ("x-forwarded-host", "evil"),
        ("host", "good"),
    ]);
    let mut expected = pairs(&SET);
    expected.extend(pairs(&[("host", "good"), ("x-forwarded-host", "good")]));
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn another_spelling_of_a_length_does_not_pass() {
    let seen = forwarded(&[("Content_Length", "5"), ("transfer_encoding", "chunked")]);
    assert_eq!(seen, pairs(&SET));
}

#[test]
fn a_connection_header_cannot_take_the_host_or_the_length_away() {
    let seen = forwarded(&[
        ("connection", "host, content-length, transfer-encoding, x-forwarded-for"),
        ("host", "a"),
        ("content-length", "3"),
    ]);
    assert!(seen.contains(&("host".into(), "a".into())), "{seen:?}");
    assert!(seen.contains(&("content-length".into(), "3".into())), "{seen:?}");
    assert!(seen.contains(&("x-forwarded-for".into(), "192.0.2.1".into())), "{seen:?}");
}

#[test]
fn the_wish_for_trailers_and_the_chunked_form_go_on() {
    let seen = forwarded(&[
        ("te", "deflate, trailers"),
        ("transfer-encoding", "Chunked"),
        ("trailer", "x-sum"),
    ]);
    let mut expected = pairs(&SET);
    expected.extend(pairs(&[
        ("connection", "te"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
    ]));
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn via_is_added_to_what_stands_there() {
    let seen = forwarded(&[("via", "1.0 other")]);
    assert_eq!(seen[0], ("via".into(), "1.0 other".into()));
    assert_eq!(seen[1], ("via".into(), "1.1 lb-0000001b".into()));
}

#[test]
fn headers_of_one_connection_are_removed_from_an_answer() {
    let seen = returned(
        200,
        &[
            ("connection", "close, x-hop"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-hop", "1"),
            ("x-forwarded-for", "kept"),
            ("date", "yesterday"),
        ],
    );
    let kept = [("date", "yesterday"), ("via", "1.1 lb"), ("x-forwarded-for", "kept")];
    assert_eq!(seen, pairs(&kept));
}

#[test]
fn an_answer_without_a_date_gets_one() {
    assert_eq!(returned(200, &[]), pairs(&[("date", "today"), ("via", "1.1 lb")]));
}

#[test]
fn a_length_stays_unless_it_is_ambiguous() {
    let length = |status, headers: &[(&str, &str)]| {
        let seen = returned(status, headers);
        seen.into_iter().find(|(name, _)| name == "content-length").map(|(_, value)| value)
    };
    assert_eq!(length(200, &[("content-length", "5")]).as_deref(), Some("5"));
    assert_eq!(length(304, &[("content-length", "5")]).as_deref(), Some("5"));
    assert_eq!(length(200, &[("content-length", "5"), ("content-length", "5")]), None);
    assert_eq!(length(200, &[("content-length", "5, 5")]), None);
    assert_eq!(length(200, &[("content-length", "5"), ("transfer-encoding", "chunked")]), None);
    assert_eq!(length(204, &[("content-length", "0")]), None);
}

#[test]
fn a_length_is_said_the_one_way_everybody_reads_alike() {
    for (said, passed_on) in [("0003", "3"), ("00", "0"), ("0", "0"), ("30", "30")] {
        let line = ("content-length".to_owned(), passed_on.to_owned());
        assert!(forwarded(&[("content-length", said)]).contains(&line), "{said}");
        assert!(returned(200, &[("content-length", said)]).contains(&line), "{said}");
    }
}

#[test]
fn a_connection_header_names_no_more_than_anybody_needs() {
    let names_too_much = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("x-{number}")).collect();
        let mut request = Request::builder();
        for names in names.chunks(10) {
            request = request.header("connection", names.join(", "));
        }
        request_changes(&request.body(()).unwrap().into_parts().0).names_too_much()
    };
    assert!(!names_too_much(MOST_NAMED));
    assert!(names_too_much(MOST_NAMED + 1));
    assert!(names_too_much(MOST_NAMED * 10));
}
