//! What a configuration says of a cluster, as a file would: reading, the other way round.
//!
//! For whoever compares what one file says with another, or with what people set while it
//! runs. Written by the names of the file's keys, not as the program happens to keep
//! them, so that it means the same to the next version. What is usual for a strategy is
//! left out: a default that changes is no other word of the file. No secret is in it.

use std::{ops::RangeInclusive, time::Duration};

use lb_core::strategy::{BoundedLoad, StrategyOption, StrategyOptions};
use serde_json::{Map, Value, json};

use super::{
    Cluster, Strategy,
    reports::usual_reports,
    strategy::{COMPATS, FUNCTIONS, MEASURES, TICKETS, TYPES, word_for},
};
use crate::{
    CheckKind, HttpCheck, KeyRule, Metric, ProbeSettings, SameSite, StickyValue,
    duration::spell_duration,
};

/// A table by its keys.
type Said = Map<String, Value>;

impl Strategy {
    /// Its name, or a table of its name and what differs from the usual.
    #[must_use]
    pub fn said(&self) -> Value {
        let mut table = Said::new();
        for option in self.kind.options() {
            if let Some(value) = self.option(*option) {
                table.insert(option.name().to_owned(), value);
            }
        }
        if table.is_empty() {
            return self.kind.name().into();
        }
        table.insert("name".to_owned(), self.kind.name().into());
        table.into()
    }

    fn option(&self, option: StrategyOption) -> Option<Value> {
        let (given, usual) = (&self.options, StrategyOptions::default());
        match option {
            StrategyOption::Key => self.key.as_ref().and_then(key),
            StrategyOption::BoundedLoad => match given.bounded_load {
                BoundedLoad::Usual => None,
                BoundedLoad::Off => Some("off".into()),
                BoundedLoad::Factor(factor) => Some(factor.into()),
            },
            StrategyOption::Draws => given.draws.map(Value::from),
            StrategyOption::Memory => given.memory.then(|| true.into()),
            StrategyOption::Decay => other(given.decay, usual.decay).map(duration),
            StrategyOption::StaleAfter => other(given.stale_after, usual.stale_after).map(duration),
            StrategyOption::Tickets => {
                other(given.tickets, usual.tickets).and_then(|one| word_for(one, &TICKETS))
            }
            StrategyOption::Measure => {
                other(given.measure, usual.measure).and_then(|one| word_for(one, &MEASURES))
            }
            StrategyOption::Compat => given.compat.and_then(|one| word_for(one, &COMPATS)),
            StrategyOption::HashType => {
                other(given.hash_type, usual.hash_type).and_then(|one| word_for(one, &TYPES))
            }
            StrategyOption::Function => given.function.and_then(|one| word_for(one, &FUNCTIONS)),
            StrategyOption::Avalanche => given.avalanche.map(Value::from),
            StrategyOption::Header => {
                self.reports.as_ref()?.header.as_ref().map(|name| name.as_str().into())
            }
            StrategyOption::Metric => {
                let metric = &self.reports.as_ref()?.metric;
                let is_usual = usual_reports(self.kind).is_some_and(|one| one.metric == *metric);
                metric_name(metric).filter(|_| !is_usual)
            }
            StrategyOption::Probes => self.probes.as_ref().map(probes),
            // The secret; and what is added to the core has to be added here: see the tests.
            _ => None,
        }
    }
}

impl Cluster {
    /// How it is checked, every key of `health` that holds; nothing where it is not.
    #[must_use]
    pub fn health_said(&self) -> Said {
        let Some(check) = &self.health else { return Said::new() };
        let mut table = Said::new();
        let mut say = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
        match &check.kind {
            CheckKind::Tcp => say("tcp", true.into()),
            CheckKind::Http(http) => {
                say("path", http.path.as_str().into());
                say("method", http.method.as_str().into());
                say("expect", expect(&http.statuses));
                if !http.headers.is_empty() {
                    say("headers", headers(http));
                }
                if let Some(body) = &http.body {
                    say("body", (&**body).into());
                }
            }
        }
        if let Some(port) = check.port {
            say("port", port.into());
        }
        say("interval", duration(check.interval));
        if let Some(interval) = check.interval_down {
            say("interval_down", duration(interval));
        }
        say("timeout", duration(check.timeout));
        say("rise", self.policy.checks.rise.into());
        say("fall", self.policy.checks.fall.into());
        table
    }

    /// How clients are bound, every key of `sticky` that holds but those for secrets;
    /// nothing where they are not.
    #[must_use]
    pub fn sticky_said(&self) -> Said {
        let Some(sticky) = &self.sticky else { return Said::new() };
        let mut table = Said::new();
        let mut say = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
        say("cookie", (&*sticky.cookie).into());
        let value = match sticky.value {
            StickyValue::Derived => "derived",
            StickyValue::Sealed => "sealed",
            StickyValue::Name => "name",
        };
        say("value", value.into());
        say("ttl", sticky.ttl.map_or_else(|| "off".into(), duration));
        say("path", (&*sticky.path).into());
        if let Some(domain) = &sticky.domain {
            say("domain", (&**domain).into());
        }
        say("secure", sticky.secure.into());
        say("http_only", sticky.http_only.into());
        let same_site = match sticky.same_site {
            Some(SameSite::Strict) => "strict",
            Some(SameSite::Lax) => "lax",
            Some(SameSite::None) => "none",
            None => "off",
        };
        say("same_site", same_site.into());
        say("partitioned", sticky.partitioned.into());
        table
    }
}

fn other<T: Copy + PartialEq>(given: T, usual: T) -> Option<T> {
    (given != usual).then_some(given)
}

fn duration(duration: Duration) -> Value {
    spell_duration(duration).into()
}

/// The client's address is what is meant unless said.
fn key(rule: &KeyRule) -> Option<Value> {
    match rule {
        KeyRule::ClientIp | KeyRule::ClientIpText => None,
        KeyRule::Composed(parts) => Some(parts.iter().map(KeyRule::to_string).collect()),
        rule => Some(rule.to_string().into()),
    }
}

fn metric_name(metric: &Metric) -> Option<Value> {
    match metric {
        Metric::Named(name) => Some((&**name).into()),
        _ => None,
    }
}

fn probes(probes: &ProbeSettings) -> Value {
    let ProbeSettings { path, per_request, timeout } = probes;
    let mut table = Said::new();
    table.insert("path".to_owned(), path.as_str().into());
    if let Some(rate) = other(*per_request, ProbeSettings::PER_REQUEST) {
        table.insert("per_request".to_owned(), rate.into());
    }
    if let Some(timeout) = other(*timeout, ProbeSettings::TIMEOUT) {
        table.insert("timeout".to_owned(), duration(timeout));
    }
    table.into()
}

/// One status or range, or a list of them.
fn expect(statuses: &[RangeInclusive<u16>]) -> Value {
    let status = |range: &RangeInclusive<u16>| -> Value {
        let (from, to) = (*range.start(), *range.end());
        match to - from {
            0 => from.into(),
            99 if from % 100 == 0 => format!("{}xx", from / 100).into(),
            _ => format!("{from}-{to}").into(),
        }
    };
    match statuses {
        [one] => status(one),
        many => many.iter().map(status).collect(),
    }
}

fn headers(check: &HttpCheck) -> Value {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())))
    };
    check.headers.iter().map(text).collect::<Said>().into()
}

#[cfg(test)]
mod tests {
    use lb_core::strategy::StrategyKind;

    use super::*;
    use crate::config::{Config, Pretended};

    fn read(strategy: &str) -> Strategy {
        cluster(&format!("strategy = {strategy}")).strategy
    }

    fn cluster(settings: &str) -> Cluster {
        let text = format!(
            "[[route]]\nto = \"web\"\n[cluster.web]\nbackends = [\"127.0.0.1:1\"]\n{settings}\n"
        );
        let (config, found) = Config::parse("test", &text, &Pretended::default());
        let config = config.unwrap_or_else(|| panic!("{settings}: {}", found.render(false)));
        config.clusters.into_iter().next().expect("a cluster")
    }

    /// JSON is TOML here, but for the colons of tables.
    fn toml(value: &Value) -> String {
        match value {
            Value::Object(table) => {
                let pairs = table.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            }
            value => value.to_string(),
        }
    }

    #[test]
    fn every_strategy_and_option_is_read_again_as_the_same() {
        let options = |option: StrategyOption| match option {
            StrategyOption::Key => &["\"header:x-user\"", "[\"path\", \"cookie:a\"]"][..],
            StrategyOption::BoundedLoad => &["\"off\"", "1.5"],
            StrategyOption::Draws => &["3"],
            StrategyOption::Memory => &["true"],
            StrategyOption::Decay | StrategyOption::StaleAfter => &["\"1m30s\"", "\"500ms\""],
            StrategyOption::Tickets => &["\"blocks\""],
            StrategyOption::Measure => &["\"last-byte\""],
            StrategyOption::Compat => &["\"envoy\""],
            StrategyOption::HashType => &["\"consistent\""],
            StrategyOption::Function => &["\"djb2\"", "\"none\"", "\"sdbm\""],
            StrategyOption::Avalanche => &["true", "false"],
            StrategyOption::Header => &["\"x-load\""],
            StrategyOption::Metric => &["\"named_metrics.queue\"", "\"cpu_utilization\""],
            StrategyOption::Probes => &["{ path = \"/l\", per_request = 1.5, timeout = \"1s\" }"],
            // It is in no value, and so is read from the file alone.
            StrategyOption::Secret => &[],
            option => panic!("`{}` is not written by `said`", option.name()),
        };
        let mut seen = 0;
        for kind in StrategyKind::ALL {
            let needed = match Strategy::from(*kind).lacks_probes() {
                true => ", probes = { path = \"/load\" }",
                false => "",
            };
            for option in kind.options() {
                for value in options(*option) {
                    let needed = if option.name() == "probes" { "" } else { needed };
                    let option = option.name();
                    let table = format!("{{ name = \"{kind}\", {option} = {value}{needed} }}");
                    if kind.name() == "ip-hash" && option == "key" {
                        continue;
                    }
                    let strategy = read(&table);
                    let said = strategy.said();
                    assert!(said.get(option).is_some(), "{table}: {said}");
                    assert_eq!(read(&toml(&said)), strategy, "{table}: {said}");
                    seen += 1;
                }
            }
            if needed.is_empty() {
                assert_eq!(Strategy::from(*kind).said(), kind.name());
            }
        }
        assert!(seen > 30, "{seen}");
    }

    #[test]
    fn a_word_that_means_the_usual_is_not_said() {
        for usual in ["\"maglev\"", "{ name = \"maglev\", key = \"client-ip\" }"] {
            assert_eq!(read(usual).said(), "maglev");
        }
        let usual = "{ name = \"peak-ewma\", decay = \"10s\" }";
        assert_eq!(read(usual).said(), "peak-ewma");
    }

    #[test]
    fn checks_and_cookies_are_read_again_as_the_same() {
        for health in [
            "{ path = \"/healthz\" }",
            "{ tcp = true, port = 81, fall = 5 }",
            "{ path = \"/h?x=1\", method = \"HEAD\", expect = [200, \"3xx\", \"401-403\"], \
             headers = { host = \"a.example\" }, body = \"ready\", interval = \"100ms\", \
             interval_down = \"1m\", timeout = \"90ms\", rise = 1 }",
        ] {
            let read = cluster(&format!("health = {health}"));
            let again = cluster(&format!("health = {}", toml(&read.health_said().into())));
            assert_eq!((&again.health, &again.policy), (&read.health, &read.policy), "{health}");
        }
        for sticky in [
            "{ cookie = \"A\" }",
            "{ cookie = \"A\", value = \"name\", ttl = \"8h\", path = \"/x\", domain = \"a.b\", \
             secure = true, http_only = false, same_site = \"none\", partitioned = true }",
            "{ cookie = \"A\", same_site = \"off\" }",
        ] {
            let read = cluster(&format!("sticky = {sticky}"));
            let again = cluster(&format!("sticky = {}", toml(&read.sticky_said().into())));
            assert_eq!(again.sticky, read.sticky, "{sticky}");
        }
        let nothing = cluster("");
        assert!(nothing.health_said().is_empty() && nothing.sticky_said().is_empty());
    }
}
