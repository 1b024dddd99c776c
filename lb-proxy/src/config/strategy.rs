//! Strategies by name, with the names other balancers use for them, and options.

use lb_core::{
    hash::Secret,
    strategy::{BoundedLoad, StrategyKind, StrategyOptions},
};

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    loader::Loader,
    reader::{Text, Value, code_list, did_you_mean},
    secret::read_key,
};

/// How a cluster chooses a backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Strategy {
    /// Which one.
    pub kind: StrategyKind,
    /// Its options.
    pub options: StrategyOptions,
}

impl From<StrategyKind> for Strategy {
    fn from(kind: StrategyKind) -> Self {
        Self { kind, options: StrategyOptions::default() }
    }
}

/// A strategy by its name or by one of its aliases.
///
/// # Errors
///
/// The end of a sentence that lists the known names, with the nearest one where
/// one is near.
pub fn find_strategy(name: &str) -> Result<StrategyKind, String> {
    if let Some(kind) = name.parse().ok().or_else(|| StrategyKind::from_alias(name)) {
        return Ok(kind);
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
pub(super) fn read_strategy(
    value: Value<'_>,
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Option<Strategy> {
    if !value.is_table() {
        return Some(read_kind(&value.text()?, out)?.into());
    }
    let mut table = value.into_table()?;
    let name = table.take("name");
    if name.is_none() {
        out.push(table.missing("name", "which one?").help("add `name = \"least-conn\"`"));
    }
    let kind = name.and_then(Value::text).and_then(|text| read_kind(&text, out));
    // There is one key so far, and it is the default.
    let key = table.take("key");
    let bounded_load = table.take("bounded_load");
    let secret = table.take("secret");
    for option in [&key, &bounded_load, &secret].into_iter().flatten() {
        if let Some(kind) = kind.filter(|kind| !takes(*kind, option.path())) {
            out.push(
                Diagnostic::error(format!("`{kind}` has no such option"))
                    .at(option.key_span(), "means nothing to it")
                    .key(option.path()),
            );
        }
    }
    let _ = key.and_then(Value::word);
    let mut options = StrategyOptions::default();
    if let Some(bound) = bounded_load {
        options.bounded_load = match bound.is_text() {
            // The only word there is.
            true => bound.word().map_or(options.bounded_load, |_| BoundedLoad::Off),
            false => bound.number().map_or(options.bounded_load, BoundedLoad::Factor),
        };
    }
    options.secret = secret.and_then(|secret| read_key(&secret, loader, out)).map(Secret::new);
    table.finish();
    Some(Strategy { kind: kind?, options })
}

fn takes(kind: StrategyKind, option: &str) -> bool {
    match option.rsplit('.').next() {
        Some("key") => kind.needs_key(),
        _ => kind == StrategyKind::Maglev,
    }
}

fn read_kind(text: &Text<'_>, out: &Diagnostics) -> Option<StrategyKind> {
    match find_strategy(text.as_str()) {
        Ok(kind) => {
            if kind.name() != text.as_str() {
                out.push(
                    Diagnostic::note(format!(
                        "`{}` is called `{}` here",
                        text.as_str(),
                        kind.name()
                    ))
                    .at(text.span(), "taken as an alias")
                    .key(text.path()),
                );
            }
            Some(kind)
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
