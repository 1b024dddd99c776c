//! What else a route wants of a request.
//!
//! Headers are compared by each of their lines, those that backends get; of
//! `X-Forwarded-Proto` and `-Host`, what the trusted proxy in front of us has said, and
//! nothing before it. The parameters of a query are compared decoded, as forms are: a
//! backend decodes them, and what is spelt differently for us and for it would get around
//! a condition.

use std::fmt;

use http::{HeaderName, Method};
use ipnet::IpNet;
use regex::Regex;

use super::RequestFacts;

/// Something that is true of a request or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Of every request.
    #[default]
    Always,
    /// Its method is one of these.
    Method(Vec<Method>),
    /// A line of this header is so.
    Header {
        /// The header.
        name: HeaderName,
        /// What a line must be.
        value: ValuePattern,
    },
    /// A parameter of the query is so.
    Query {
        /// The parameter, decoded.
        name: Box<str>,
        /// What its value must be; that of one without `=` is empty.
        value: ValuePattern,
    },
    /// The client's address, as far as trusted proxies tell it, is in one of these.
    Client(Vec<IpNet>),
    /// All of these.
    All(Vec<Self>),
    /// At least one of these.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
}

/// What the value of a header or a parameter must be.
#[derive(Debug, Clone)]
pub enum ValuePattern {
    /// Anything.
    Present,
    /// Exactly this.
    Exact(Box<str>),
    /// Something in which this is found.
    Regex(Regex),
}

impl Condition {
    /// Whether it is true of a request.
    #[must_use]
    pub fn holds(&self, facts: &RequestFacts<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Method(methods) => methods.contains(facts.method()),
            Self::Header { name, value } => facts.lines(name).any(|line| value.matches(line)),
            Self::Query { name, value } => {
                let query = facts.query().unwrap_or_default().as_bytes();
                form_urlencoded::parse(query)
                    .any(|(known, text)| *known == **name && value.matches(text.as_bytes()))
            }
            Self::Client(networks) => {
                networks.iter().any(|network| network.contains(&facts.client()))
            }
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(facts)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(facts)),
            Self::Not(condition) => !condition.holds(facts),
        }
    }

    /// The innermost part to blame when it is not true, as far as there is one.
    pub(super) fn unmet(&self, facts: &RequestFacts<'_>) -> Option<&Self> {
        if self.holds(facts) {
            return None;
        }
        match self {
            Self::All(conditions) => {
                conditions.iter().find_map(|condition| condition.unmet(facts)).or(Some(self))
            }
            _ => Some(self),
        }
    }
}

impl ValuePattern {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(text) => text.as_bytes() == value,
            // One byte that is no text must not hide the rest from an expression.
            Self::Regex(regex) => regex.is_match(&String::from_utf8_lossy(value)),
        }
    }
}

/// Expressions are equal when their text is.
impl PartialEq for ValuePattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Present) => true,
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Eq for ValuePattern {}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Method(methods) => list(f, "method ", methods, " or ", ""),
            Self::Header { name, value } => write!(f, "header {name}{value}"),
            Self::Query { name, value } => write!(f, "query {name}{value}"),
            Self::Client(networks) => list(f, "client ", networks, " or ", ""),
            Self::All(conditions) => list(f, "(", conditions, " and ", ")"),
            Self::Any(conditions) => list(f, "(", conditions, " or ", ")"),
            Self::Not(condition) => write!(f, "not {condition}"),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    before: &str,
    parts: &[impl fmt::Display],
    between: &str,
    after: &str,
) -> fmt::Result {
    f.write_str(before)?;
    for (position, part) in parts.iter().enumerate() {
        write!(f, "{}{part}", if position == 0 { "" } else { between })?;
    }
    f.write_str(after)
}

impl fmt::Display for ValuePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => Ok(()),
            Self::Exact(text) => write!(f, " = {text:?}"),
            Self::Regex(regex) => write!(f, " ~ {:?}", regex.as_str()),
        }
    }
}
