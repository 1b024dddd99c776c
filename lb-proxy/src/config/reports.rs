//! Where backends say how loaded they are: options of the strategies that go by it.

use std::time::Duration;

use http::{HeaderName, header, uri::PathAndQuery};
use lb_core::strategy::{StrategyKind, StrategyOption};

use super::{
    diagnostics::Diagnostics,
    health::read_path,
    reader::{Table, Value},
};
use crate::{Metric, ProbeSettings, ReportSettings};

/// Headers that a client cannot do without: the one that is read is taken away.
const NEEDED: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::LOCATION,
    header::SET_COOKIE,
    header::TRANSFER_ENCODING,
];

/// What a strategy reads of reports unless said; `None` if it reads none.
pub(super) fn usual_reports(kind: StrategyKind) -> Option<ReportSettings> {
    let metric = match kind {
        StrategyKind::Prequal => Metric::Requests,
        _ => Metric::Utilization,
    };
    let reads = kind.options().contains(&StrategyOption::Header);
    reads.then(|| ReportSettings { metric, ..ReportSettings::default() })
}

/// Reads what is given of `header` and `metric` into `reports`.
pub(super) fn read_reports<'a>(
    given: &[(StrategyOption, Value<'a>)],
    reports: &mut ReportSettings,
) {
    if let Some(header) = value_of(given, StrategyOption::Header).and_then(read_header) {
        reports.header = Some(header);
    }
    if let Some(metric) = value_of(given, StrategyOption::Metric).and_then(read_metric) {
        reports.metric = metric;
    }
}

/// Reads `probes`, if it is given.
pub(super) fn read_probes<'a>(
    given: &[(StrategyOption, Value<'a>)],
    out: &Diagnostics,
) -> Option<ProbeSettings> {
    read_table(value_of(given, StrategyOption::Probes)?.into_table()?, out)
}

/// Three requests for each would be too many to guess what is to be asked for.
pub(super) fn report_lack(name: &Value<'_>, out: &Diagnostics) {
    out.push(
        name.error("goes by probes, and does not say what they ask for", "needs `probes`")
            .help("write `{ name = \"prequal\", probes = { path = \"/load\" } }`"),
    );
}

/// Whether an option is given, and may be wrong.
pub(super) fn is_given(given: &[(StrategyOption, Value<'_>)], wanted: StrategyOption) -> bool {
    given.iter().any(|(option, _)| *option == wanted)
}

fn value_of<'a>(
    given: &[(StrategyOption, Value<'a>)],
    wanted: StrategyOption,
) -> Option<Value<'a>> {
    given.iter().find(|(option, _)| *option == wanted).map(|(_, value)| value.clone())
}

fn read_header(value: Value<'_>) -> Option<HeaderName> {
    let text = value.text()?;
    let problem = match HeaderName::from_bytes(text.as_str().as_bytes()) {
        Ok(name) if NEEDED.contains(&name) => "clients need it, and would not get it",
        Ok(name) => return Some(name),
        Err(_) => "not the name of a header",
    };
    text.report(text.error(format!("`{}` cannot be `{}`", text.path(), text.as_str()), problem));
    None
}

fn read_metric(value: Value<'_>) -> Option<Metric> {
    let text = value.text()?;
    let name = text.as_str();
    if name.is_empty() || name.contains(|char: char| char.is_whitespace() || "=:,".contains(char)) {
        text.report(
            text.error(format!("`{name}` is not the name of a number"), "no report has it")
                .help("names: `application_utilization`, `cpu_utilization`, `named_metrics.NAME`"),
        );
        return None;
    }
    Some(Metric::named(name))
}

fn read_table(mut table: Table<'_>, out: &Diagnostics) -> Option<ProbeSettings> {
    let path = table.take("path");
    if path.is_none() {
        out.push(table.missing("path", "what is asked for?").help("add `path = \"/load\"`"));
    }
    let path = path.and_then(Value::text).and_then(|text| read_path(&text));
    let mut probes = ProbeSettings::get(PathAndQuery::from_static("/"));
    if let Some(rate) = table.take("per_request").and_then(Value::number) {
        probes.per_request = rate;
    }
    if let Some(timeout) = table.take("timeout") {
        let place = timeout.clone();
        match timeout.duration(Duration::from_nanos(1)) {
            Some(timeout) if timeout < Duration::from_millis(1) => {
                place.wrong("must be at least 1ms", "too short");
            }
            Some(timeout) => probes.timeout = timeout,
            None => {}
        }
    }
    table.finish();
    probes.path = path?;
    Some(probes)
}
