//! What backends report of their load.

use http::{HeaderMap, HeaderValue};

use crate::{Metric, ReportSettings};

/// The first line is the name of a number, the rest a report. Nothing that a backend
/// sends does harm: what is taken for a load is no less than nothing, the same value
/// says the same under every name of its form, and no client sees it.
pub fn load_report(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (name, value) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(name) = str::from_utf8(name) else { return };
    if value.len() > 8_000 {
        // Too long for a report, perhaps only with a word in front.
        return;
    }
    let named = ReportSettings { metric: Metric::named(name), ..ReportSettings::default() };
    for settings in [ReportSettings::default(), named] {
        let text = settings.read_value(value, false);
        let is_plain = value.trim_ascii() == value && !value.contains(&b' ');
        if is_plain {
            let prefixed = [b"TEXT ", value].concat();
            assert_eq!(settings.read_value(&prefixed, false), text);
            let binary = settings.read_value(value, true);
            let prefixed = [b"BIN ", value].concat();
            assert_eq!(settings.read_value(&prefixed, false), binary);
        }
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        let mut headers = HeaderMap::new();
        headers.insert("endpoint-load-metrics", value.clone());
        assert_eq!(settings.read(&headers), text.transpose());
        headers.append("endpoint-load-metrics", value.clone());
        headers.append("endpoint-load-metrics-bin", value);
        settings.remove(&mut headers);
        assert!(headers.is_empty());
    }
}
