//! Strategies by name, with the names other balancers use for them.

use lb_core::strategy::StrategyKind;

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    reader::{Value, code_list, did_you_mean},
};

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

/// Reads `strategy = "…"`. An alias is taken, with a note on the name used here.
pub(super) fn read_strategy(value: Value<'_>, out: &Diagnostics) -> Option<StrategyKind> {
    let text = value.text()?;
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
