//! What backends report of their load, in a header of their answers.
//!
//! The header is ORCA's (Open Request Cost Aggregation) `endpoint-load-metrics`, as
//! Envoy reads it: `TEXT`, `JSON` or `BIN`, a space, and the report; without a word in
//! front it is taken for text, which is what older Envoys and other balancers read.
//! gRPC's `endpoint-load-metrics-bin` has the binary form alone. Any other header can be
//! named, and may have a single number for a value.
//!
//! ORCA reports many numbers and balancing wants one. Which one is a setting; unless
//! said it is what gRPC takes (gRFC A58): the utilisation that the application states,
//! and that of its processors where it states none. Two more are of use beside it where
//! they are said: `named_metrics.rif`, the requests in flight, and
//! `named_metrics.latency`, in seconds.
//!
//! A report may stand before a body or, as gRPC has it, behind it. One that cannot be
//! read is no reason to fail a request: it is counted, traced, and forgotten. So is a
//! long one, so that reading costs little whatever a backend sends. The client never sees
//! the header: what a backend has to do is nobody's business outside.

mod binary;
mod json;
mod text;

use std::{borrow::Cow, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use lb_core::backend::LoadReport;

use crate::observe::Tally;

const ORCA: HeaderName = HeaderName::from_static("endpoint-load-metrics");
const ORCA_BINARY: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// No report is longer. Envoy's have a few numbers, and a server that lists hundreds has
/// less than this to say.
const LONGEST: usize = 8 << 10;

/// Where backends report their load, and which of the numbers is it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportSettings {
    /// The header; ORCA's two unless said.
    pub header: Option<HeaderName>,
    /// The number.
    pub metric: Metric,
}

/// One of the numbers of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Metric {
    /// The requests in flight that it says (`named_metrics.rif`), and where it does not,
    /// what [`Utilization`](Self::Utilization) is.
    Requests,
    /// `application_utilization` if it is said and not 0, else `cpu_utilization`, else
    /// the single number that the header has.
    #[default]
    Utilization,
    /// The one of this name. A name with a dot in it is looked for in that map of the
    /// report (`named_metrics.queue`); one that is none of ORCA's own is looked for
    /// among the `named_metrics`.
    Named(Box<str>),
}

/// A report that was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadReport {
    #[error("it is in none of the known forms")]
    Form,
    #[error("one of its numbers is none, or is negative")]
    Number,
    #[error("it is longer than {LONGEST} bytes")]
    Length,
}

/// A number in a report: the map that it stands in, if any, and its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field<'a> {
    map: Option<Map>,
    name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Map {
    RequestCost,
    Utilization,
    NamedMetrics,
}

/// The name that a number has which has none.
const PLAIN: &str = "";
const APPLICATION: &str = "application_utilization";
const CPU: &str = "cpu_utilization";
/// Requests in flight.
const RIF: Field<'_> = Field { map: Some(Map::NamedMetrics), name: "rif" };
/// How long requests take, in seconds.
const LATENCY: Field<'_> = Field { map: Some(Map::NamedMetrics), name: "latency" };

impl Map {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "request_cost" => Some(Self::RequestCost),
            "utilization" => Some(Self::Utilization),
            "named_metrics" => Some(Self::NamedMetrics),
            _ => None,
        }
    }
}

impl<'a> Field<'a> {
    /// A number that stands in no map.
    fn own(name: &'a str) -> Self {
        Self { map: None, name }
    }

    /// What a text calls it: `cpu_utilization`, `named_metrics.queue`.
    fn of_text(name: &'a str) -> Self {
        let in_map = |(map, name)| Some(Self { map: Some(Map::of_name(map)?), name });
        name.split_once('.').and_then(in_map).unwrap_or_else(|| Self::own(name))
    }
}

impl Metric {
    /// The metric of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::Named(name.into())
    }

    /// How well a field is what is looked for, 0 is best.
    fn rank(&self, field: Field<'_>, value: f64) -> Option<u8> {
        match (self, field.map) {
            (Self::Requests, _) => match field == RIF {
                true => Some(0),
                false => Self::Utilization.rank(field, value).map(|rank| rank + 1),
            },
            (Self::Utilization, None) => match field.name {
                APPLICATION if value > 0.0 => Some(0),
                CPU => Some(1),
                APPLICATION => Some(2),
                PLAIN => Some(3),
                _ => None,
            },
            (Self::Utilization, Some(_)) => None,
            (Self::Named(name), map) => {
                let wanted = Field::of_text(name);
                let is_it = if wanted.map.is_some() {
                    wanted == field
                } else {
                    wanted.name == field.name && matches!(map, None | Some(Map::NamedMetrics))
                };
                match is_it {
                    true => Some(0),
                    // Somebody who sends one number means that.
                    false => (field == Field::own(PLAIN)).then_some(1),
                }
            }
        }
    }

    /// Whether it is a field of the binary form that is left out when it is 0.
    fn is_left_out_at_zero(&self) -> bool {
        match self {
            Self::Requests | Self::Utilization => true,
            Self::Named(name) => binary::FIELDS.iter().any(|(_, field)| **field == **name),
        }
    }
}

impl ReportSettings {
    /// The header of an answer, and whether it is binary.
    fn find<'h>(&self, headers: &'h HeaderMap) -> Option<(&'h HeaderValue, bool)> {
        match &self.header {
            Some(name) => headers.get(name).map(|value| (value, name.as_str().ends_with("-bin"))),
            None => {
                let binary = || headers.get(ORCA_BINARY).map(|value| (value, true));
                headers.get(ORCA).map(|value| (value, false)).or_else(binary)
            }
        }
    }

    /// What an answer reports; `None` when it has no such header, or the report has no
    /// such number.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Option<Result<LoadReport, BadReport>> {
        let (value, is_binary) = self.find(headers)?;
        self.read_value(value.as_bytes(), is_binary).transpose()
    }

    /// Takes the report out of an answer.
    pub(crate) fn remove(&self, headers: &mut HeaderMap) {
        match &self.header {
            Some(name) => {
                headers.remove(name);
            }
            None => {
                headers.remove(ORCA);
                headers.remove(ORCA_BINARY);
            }
        }
    }

    pub(crate) fn read_value(
        &self,
        value: &[u8],
        is_binary: bool,
    ) -> Result<Option<LoadReport>, BadReport> {
        if value.len() > LONGEST {
            return Err(BadReport::Length);
        }
        let mut best: Option<(u8, f64)> = None;
        let (mut in_flight, mut latency) = (None, None);
        let mut visit = |field: Field<'_>, value: f64| {
            if let Some(rank) = self.metric.rank(field, value)
                && best.is_none_or(|(best, _)| rank < best)
            {
                best = Some((rank, value));
            }
            if field == RIF {
                in_flight = Some(count_of(value));
            } else if field == LATENCY {
                latency = Duration::try_from_secs_f64(value).ok();
            }
        };
        let value = value.trim_ascii();
        let word = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (form, rest) = value.split_at(word);
        let rest = rest.trim_ascii();
        let mut zero = false;
        match form {
            _ if is_binary => zero = self.read_binary(value, &mut visit)?,
            b"BIN" => zero = self.read_binary(rest, &mut visit)?,
            b"JSON" => json::read(rest, &mut visit)?,
            b"TEXT" => text::read(rest, &mut visit)?,
            _ => text::read(value, &mut visit)?,
        }
        let unwritten = zero.then_some(0.0);
        let load = best.map(|(_, value)| value).or(unwritten);
        Ok(load.map(|load| {
            let mut report = LoadReport::new(parts_of(load));
            (report.in_flight, report.latency) = (in_flight, latency);
            report
        }))
    }

    /// Says whether what is not in it is 0: so small a number is not written.
    fn read_binary(
        &self,
        text: &[u8],
        visit: &mut impl FnMut(Field<'_>, f64),
    ) -> Result<bool, BadReport> {
        let unpadded = || STANDARD_NO_PAD.decode(text);
        let message = STANDARD.decode(text).or_else(|_| unpadded()).map_err(|_| BadReport::Form)?;
        binary::read(&message, visit)?;
        Ok(!message.is_empty() && self.metric.is_left_out_at_zero())
    }
}

/// What an answer reports. What cannot be read is counted, and the first time told.
pub(crate) fn heed(
    settings: &ReportSettings,
    headers: &HeaderMap,
    tally: &Tally,
    cluster: &str,
) -> Option<LoadReport> {
    match settings.read(headers)? {
        Ok(report) => Some(report),
        Err(error) => {
            if tally.load_reports_malformed.is_none() {
                tracing::warn!(cluster, %error, "a load report cannot be read; told once");
            }
            tally.load_reports_malformed.add();
            None
        }
    }
}

/// A number that may be a load.
fn checked(number: f64) -> Result<f64, BadReport> {
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(BadReport::Number) }
}

/// A load in the unit of reports. Numbers were looked at when they were read: none is
/// negative. What is too large is the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "of numbers from 0 on, a cast makes the nearest"
)]
fn parts_of(load: f64) -> u64 {
    (load * LoadReport::ONE as f64).round() as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of numbers from 0 on, a cast makes the nearest"
)]
fn count_of(number: f64) -> u32 {
    number.round() as u32
}

/// ORCA's names as JSON may have them: `cpuUtilization` is `cpu_utilization`.
fn snake_case(name: &str) -> Cow<'_, str> {
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name.into();
    }
    let mut snake = String::with_capacity(name.len() + 2);
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake.into()
}

#[cfg(test)]
mod tests;
