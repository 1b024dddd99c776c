//! Strategies by name, with the names other balancers use for them, and options.

mod alias;
mod key;
mod options;

use lb_core::strategy::{KeyForm, StrategyKind, StrategyOption, StrategyOptions};

pub use self::key::read_key_rule;
pub(super) use self::options::{COMPATS, FUNCTIONS, MEASURES, TICKETS, TYPES, word_for};
use self::{alias::with_key_in_its_name, key::read_key, options::read_options};
use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    loader::Loader,
    reader::{Text, Value, code_list, did_you_mean},
    reports::{is_given, read_probes, read_reports, report_lack, usual_reports},
};
use crate::{KeyRule, ProbeSettings, ReportSettings};

/// How a cluster chooses a backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Strategy {
    /// Which one.
    pub kind: StrategyKind,
    /// Its options.
    pub options: StrategyOptions,
    /// What it picks by; `Some` where it picks by a key.
    pub key: Option<KeyRule>,
    /// Where backends report their load; `Some` where it goes by that.
    pub reports: Option<ReportSettings>,
    /// How they are asked for it; `Some` where it goes by answers.
    pub probes: Option<ProbeSettings>,
}

impl From<StrategyKind> for Strategy {
    fn from(kind: StrategyKind) -> Self {
        Self::new(kind, StrategyOptions::default())
    }
}

impl Strategy {
    /// By the client's address, if it picks by a key.
    #[must_use]
    pub fn new(kind: StrategyKind, options: StrategyOptions) -> Self {
        let reports = usual_reports(kind);
        let strategy = Self { kind, options, key: None, reports, probes: None };
        match kind.needs_key() {
            true => strategy.by(KeyRule::ClientIp),
            false => strategy,
        }
    }

    /// By this key.
    ///
    /// # Errors
    ///
    /// Why the strategy cannot pick by it, and what could.
    pub fn with_key(self, rule: KeyRule) -> Result<Self, (String, String)> {
        let kind = self.kind;
        if !kind.needs_key() {
            let by_key = StrategyKind::ALL.iter().filter(|kind| kind.needs_key());
            return Err((
                format!("`{kind}` does not pick by a key"),
                format!("strategies by key: {}", code_list(by_key.map(|kind| kind.name()))),
            ));
        }
        if kind == StrategyKind::IpHash && rule != KeyRule::ClientIp {
            return Err((
                format!("`{kind}` picks by the client's address, and by nothing else"),
                "for other keys nginx has `hash`".to_owned(),
            ));
        }
        Ok(self.by(rule))
    }

    /// How many times its share a backend may have in flight; `None`: any.
    #[must_use]
    pub fn bound(&self) -> Option<f64> {
        // Who wants another program's table wants its picks.
        let usual = self.kind.usual_bound().filter(|_| self.options.compat.is_none());
        self.options.bounded_load.or_usual(usual)
    }

    /// Whether it goes by probes, and nothing says what those ask for.
    #[must_use]
    pub fn lacks_probes(&self) -> bool {
        self.kind.options().contains(&StrategyOption::Probes) && self.probes.is_none()
    }

    fn by(mut self, rule: KeyRule) -> Self {
        let rule = match rule {
            KeyRule::ClientIp if self.reads_address_as_text() => KeyRule::ClientIpText,
            rule => rule,
        };
        self.options.key_form = match rule {
            KeyRule::ClientIp => KeyForm::Address,
            _ => KeyForm::Text,
        };
        self.key = Some(rule);
        self
    }

    /// Whether the program whose picks it repeats hashes addresses as text.
    fn reads_address_as_text(&self) -> bool {
        use StrategyKind::{Hash, HashConsistent, Ring};
        matches!(self.kind, Hash | HashConsistent | Ring) || self.options.compat.is_some()
    }
}

/// A strategy by its name or by one of its aliases, with default options.
///
/// # Errors
///
/// The end of a sentence that lists the known names, with the nearest one where
/// one is near.
pub fn find_strategy(name: &str) -> Result<Strategy, String> {
    let kind = name.parse().ok().or_else(|| StrategyKind::from_alias(name));
    if let Some(found) = kind.map(Strategy::from).or_else(|| with_key_in_its_name(name)) {
        return Ok(found);
    }
    let names = StrategyKind::ALL.iter().map(|kind| kind.name());
    let list = format!("strategies: {}", code_list(names.clone()));
    Err(match did_you_mean(name, names) {
        Some(near) => format!("{list}; did you mean `{near}`?"),
        None => list,
    })
}

/// Reads `strategy = "…"` or `strategy = { name = "…", … }`. An alias is taken, with
/// a note on the name used here.
pub(in crate::config) fn read_strategy(
    value: Value<'_>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Option<Strategy> {
    if !value.is_table() {
        let place = value.clone();
        let strategy = read_name(&value.text()?, out)?;
        if strategy.lacks_probes() {
            report_lack(&place, out);
        }
        return Some(strategy);
    }
    let mut table = value.into_table()?;
    let name = table.take("name");
    if name.is_none() {
        out.push(table.missing("name", "which one?").help("add `name = \"least-conn\"`"));
    }
    let named = name.clone().and_then(Value::text).and_then(|text| read_name(&text, out));
    let kind = named.as_ref().map(|named| named.kind);
    let given = StrategyOption::ALL.iter().filter_map(|option| {
        let value = table.take(option.name())?;
        is_known_to(kind, *option, &value, out).then_some((*option, value))
    });
    let given: Vec<_> = given.collect();
    table.finish();
    let key = given.iter().find(|(option, _)| *option == StrategyOption::Key);
    let key = key.and_then(|(_, value)| Some((read_key(value)?, value)));
    let options = read_options(given.iter().cloned(), loader, out);
    if options.compat.is_some()
        && let Some((_, secret)) = given.iter().find(|(one, _)| *one == StrategyOption::Secret)
    {
        out.push(
            Diagnostic::error("hashes that are another program's have no secret")
                .at(secret.key_span(), "means nothing with `compat`")
                .key(secret.path()),
        );
    }
    let named = named?;
    let mut strategy = Strategy::new(named.kind, options);
    if let Some(reports) = &mut strategy.reports {
        read_reports(&given, reports);
    }
    strategy.probes = read_probes(&given, out);
    if let Some(name) = name.filter(|_| !is_given(&given, StrategyOption::Probes))
        && strategy.lacks_probes()
    {
        report_lack(&name, out);
    }
    let Some((rule, place)) = key else {
        return Some(match named.key {
            // An address may be text by the options.
            Some(KeyRule::ClientIp | KeyRule::ClientIpText) | None => strategy,
            Some(key) => strategy.by(key),
        });
    };
    match strategy.with_key(rule) {
        Ok(strategy) => Some(strategy),
        Err((problem, help)) => {
            out.push(
                Diagnostic::error(problem)
                    .at(place.span(), "not by this")
                    .key(place.path())
                    .help(help),
            );
            None
        }
    }
}

/// Whether an option means something to a strategy; if not, that is an error.
fn is_known_to(
    kind: Option<StrategyKind>,
    option: StrategyOption,
    value: &Value<'_>,
    out: &Diagnostics,
) -> bool {
    let Some(kind) = kind.filter(|kind| !kind.options().contains(&option)) else { return true };
    let known = kind.options().iter().map(|option| option.name());
    out.push(
        Diagnostic::error(format!("`{kind}` has no option `{}`", option.name()))
            .at(value.key_span(), "means nothing to it")
            .key(value.path())
            .help(match kind.options() {
                [] => "it has none".to_owned(),
                _ => format!("its options: {}", code_list(known)),
            }),
    );
    false
}

fn read_name(text: &Text<'_>, out: &Diagnostics) -> Option<Strategy> {
    match find_strategy(text.as_str()) {
        Ok(found) => {
            if found.kind.name() != text.as_str() {
                let ours = match &found.key {
                    Some(key) if found != Strategy::from(found.kind) => {
                        format!("{{ name = \"{}\", key = \"{key}\" }}", found.kind)
                    }
                    _ => found.kind.to_string(),
                };
                out.push(
                    Diagnostic::note(format!("`{}` is called `{ours}` here", text.as_str()))
                        .at(text.span(), "taken as an alias")
                        .key(text.path()),
                );
            }
            Some(found)
        }
        Err(help) => {
            text.report(
                text.error(format!("unknown strategy `{}`", text.as_str()), "no such strategy")
                    .help(help),
            );
            None
        }
    }
}
