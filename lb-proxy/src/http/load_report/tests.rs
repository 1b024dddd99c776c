use super::*;

fn load(header: &'static str, value: &str, settings: &ReportSettings) -> Option<f64> {
    read(header, value, settings).map(|report| parts(report.unwrap()))
}

#[expect(clippy::cast_precision_loss, reason = "loads in tests are small")]
fn parts(report: LoadReport) -> f64 {
    (report.load as f64 / 65_536.0 * 1000.0).round() / 1000.0
}

fn read(
    header: &'static str,
    value: &str,
    settings: &ReportSettings,
) -> Option<Result<LoadReport, BadReport>> {
    let mut headers = HeaderMap::new();
    headers.insert(header, HeaderValue::from_str(value).unwrap());
    settings.read(&headers)
}

fn metric(name: &str) -> ReportSettings {
    ReportSettings { metric: Metric::named(name), ..ReportSettings::default() }
}

const REPORT: &str = "TEXT cpu_utilization=0.7,application_utilization=0.8,mem_utilization=0.9,\
                      rps_fractional=1000,eps=2,named_metrics.foo=123,named_metrics.bar=0.2,\
                      utilization.disk=0.4,request_cost.rows=7";

#[test]
fn the_text_form_has_every_number() {
    let text = |name: &str| load("endpoint-load-metrics", REPORT, &metric(name));
    assert_eq!(load("endpoint-load-metrics", REPORT, &ReportSettings::default()), Some(0.8));
    assert_eq!(text("cpu_utilization"), Some(0.7));
    assert_eq!(text("mem_utilization"), Some(0.9));
    assert_eq!(text("rps_fractional"), Some(1000.0));
    assert_eq!(text("eps"), Some(2.0));
    assert_eq!(text("named_metrics.foo"), Some(123.0));
    assert_eq!(text("foo"), Some(123.0));
    assert_eq!(text("utilization.disk"), Some(0.4));
    assert_eq!(text("request_cost.rows"), Some(7.0));
    assert_eq!(text("disk"), None);
    assert_eq!(text("utilization.foo"), None);
}

#[test]
fn older_senders_write_colons_and_no_word_in_front() {
    let value = "application_utilization:0.25,named_metrics.queue_depth: 9";
    assert_eq!(load("endpoint-load-metrics", value, &ReportSettings::default()), Some(0.25));
    assert_eq!(load("endpoint-load-metrics", value, &metric("queue_depth")), Some(9.0));
    let spaced = "TEXT cpu_utilization=0.3, named_metrics.x = 1.5, ";
    assert_eq!(load("endpoint-load-metrics", spaced, &metric("x")), Some(1.5));
}

#[test]
fn the_json_form_may_have_either_case_and_numbers_in_quotes() {
    let settings = ReportSettings::default();
    let json = |value: &str, settings: &_| load("endpoint-load-metrics", value, settings);
    assert_eq!(json(r#"JSON {"cpu_utilization": 0.3}"#, &settings), Some(0.3));
    let camel = r#"JSON {"applicationUtilization":"0.5","namedMetrics":{"kvCache":0.25},"x":[]}"#;
    assert_eq!(json(camel, &settings), Some(0.5));
    assert_eq!(json(camel, &metric("named_metrics.kvCache")), Some(0.25));
    assert_eq!(json(r"JSON {}", &settings), None);
}

/// What `protoc --encode` makes of
/// `cpu_utilization: 0.25 named_metrics { key: "rif" value: 3 }`.
const BINARY: &str = "CQAAAAAAANA/Qg4KA3JpZhEAAAAAAAAIQA==";

#[test]
fn the_binary_form_is_read_under_both_headers() {
    let settings = ReportSettings::default();
    assert_eq!(load("endpoint-load-metrics-bin", BINARY, &settings), Some(0.25));
    assert_eq!(load("endpoint-load-metrics-bin", BINARY, &metric("rif")), Some(3.0));
    let unpadded = BINARY.trim_end_matches('=');
    assert_eq!(load("endpoint-load-metrics-bin", unpadded, &settings), Some(0.25));
    let prefixed = format!("BIN {BINARY}");
    assert_eq!(load("endpoint-load-metrics", &prefixed, &settings), Some(0.25));
    // Not written, as it is 0; unless nothing is.
    assert_eq!(load("endpoint-load-metrics-bin", BINARY, &metric("eps")), Some(0.0));
    assert_eq!(load("endpoint-load-metrics-bin", BINARY, &metric("named_metrics.x")), None);
    assert_eq!(load("endpoint-load-metrics-bin", "", &settings), None);
}

#[test]
fn unknown_fields_of_a_message_are_skipped() {
    // Field 3 (a whole number of old), 15 as four bytes, 16 as text, then the load.
    let mut message = vec![0x18, 0x96, 0x01, 0x7d, 1, 2, 3, 4, 0x82, 0x01, 2, b'h', b'i', 0x09];
    message.extend(0.5_f64.to_le_bytes());
    let text = STANDARD.encode(message);
    assert_eq!(load("endpoint-load-metrics-bin", &text, &ReportSettings::default()), Some(0.5));
}

#[test]
fn the_application_is_believed_unless_it_says_nothing() {
    let settings = ReportSettings::default();
    let zero = "TEXT application_utilization=0,cpu_utilization=0.4";
    assert_eq!(load("endpoint-load-metrics", zero, &settings), Some(0.4));
    assert_eq!(
        load("endpoint-load-metrics", "TEXT application_utilization=0", &settings),
        Some(0.0)
    );
}

#[test]
fn a_header_of_ones_own_may_have_a_plain_number() {
    let settings =
        ReportSettings { header: Some(HeaderName::from_static("x-load")), ..Default::default() };
    assert_eq!(load("x-load", "0.42", &settings), Some(0.42));
    assert_eq!(load("x-load", " 7 ", &settings), Some(7.0));
    assert_eq!(load("x-load", "TEXT cpu_utilization=0.1", &settings), Some(0.1));
    assert_eq!(load("endpoint-load-metrics", "0.42", &settings), None);
    let mut headers = HeaderMap::new();
    headers.insert("x-load", HeaderValue::from_static("1"));
    headers.insert(ORCA, HeaderValue::from_static("1"));
    settings.remove(&mut headers);
    assert!(headers.len() == 1 && headers.contains_key(ORCA));
    ReportSettings::default().remove(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn requests_in_flight_and_latency_are_read_beside_the_load() {
    let value = "TEXT named_metrics.rif=3,cpu_utilization=0.5,named_metrics.latency=0.025";
    let report = |settings: &ReportSettings| {
        read("endpoint-load-metrics", value, settings).unwrap().unwrap()
    };
    let utilization = report(&ReportSettings::default());
    let requests = report(&ReportSettings { metric: Metric::Requests, ..Default::default() });
    assert_eq!((utilization.load, requests.load), (LoadReport::ONE / 2, LoadReport::ONE * 3));
    for report in [utilization, requests, report(&metric("rif"))] {
        assert_eq!(report.in_flight, Some(3));
        assert_eq!(report.latency, Some(Duration::from_millis(25)));
    }
    let settings = ReportSettings { metric: Metric::Requests, ..Default::default() };
    assert_eq!(load("endpoint-load-metrics", "TEXT cpu_utilization=0.5", &settings), Some(0.5));
    assert_eq!(load("endpoint-load-metrics", "12", &settings), Some(12.0));
}

#[test]
fn what_is_no_report_is_told_from_no_report() {
    let settings = ReportSettings::default();
    for bad in [
        "TEXT cpu_utilization",
        "TEXT cpu_utilization=",
        "TEXT cpu_utilization=many",
        "TEXT cpu_utilization=-1",
        "TEXT =1",
        "inf",
        "NaN",
        "-1",
        "BAD random-value",
        "JSON",
        "JSON [1]",
        "JSON {",
        "JSON {\"cpu_utilization\": -1}",
        "JSON {\"cpu_utilization\": \"NaN\"}",
        "BIN ###",
        "BIN CQAA",
        "BIN Cw==",
        "BIN ////////////",
    ] {
        assert!(matches!(read("endpoint-load-metrics", bad, &settings), Some(Err(_))), "{bad}");
    }
    assert_eq!(read("endpoint-load-metrics", "TEXT eps=1", &settings), None);
    assert_eq!(read("endpoint-load-metrics", "", &settings), None);
    assert_eq!(read("x-other", "0.5", &settings), None);
}

#[test]
fn long_reports_are_not_read_whatever_they_say() {
    let settings = ReportSettings::default();
    let padded = |length: usize| {
        let value = "TEXT cpu_utilization=0.5";
        let value = [value, &",".repeat(length - value.len())].concat();
        settings.read_value(value.as_bytes(), false).map(|report| report.map(parts))
    };
    assert_eq!(padded(LONGEST), Ok(Some(0.5)));
    assert_eq!(padded(LONGEST + 1), Err(BadReport::Length));
    let hostile = format!("JSON [{}", "[],".repeat(100_000));
    assert_eq!(settings.read_value(hostile.as_bytes(), false), Err(BadReport::Length));
    let deep = format!("JSON {{\"a\": {}", "[".repeat(4_000));
    assert_eq!(settings.read_value(deep.as_bytes(), false), Err(BadReport::Form));
}

#[test]
fn numbers_beyond_all_measure_are_the_largest_or_none() {
    let settings = ReportSettings { metric: Metric::Requests, ..Default::default() };
    let value = "TEXT named_metrics.rif=1e300,named_metrics.latency=1e300";
    let report = read("endpoint-load-metrics", value, &settings).unwrap().unwrap();
    assert_eq!((report.load, report.in_flight), (u64::MAX, Some(u32::MAX)));
    assert_eq!(report.latency, None);
    for bad in ["TEXT eps=1e999", "JSON {\"eps\": 1e999}", "TEXT eps=-NaN", "TEXT eps=-inf"] {
        assert!(matches!(read("endpoint-load-metrics", bad, &settings), Some(Err(_))), "{bad}");
    }
    assert_eq!(load("endpoint-load-metrics", "TEXT cpu_utilization=-0", &settings), Some(0.0));
}
