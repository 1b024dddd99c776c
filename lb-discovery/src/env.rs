//! Addresses in one variable of the environment: `STATIC_BACKEND="10.0.0.1:80 web:80"`.
//!
//! The environment of a process is fixed when it starts, so the variable is read
//! once. A variable that is not set is an error rather than an empty set: it is
//! nearly always misspelt. One that is set to nothing says that nobody is there.

use std::{env, ffi::OsString, future};

use lb_core::Backend;

use crate::{
    distinct::Distinct,
    endpoint::Endpoint,
    source::{NextSet, Report, Source, SourceError, Warning},
};

/// The addresses of one environment variable, separated by blanks, commas or line
/// breaks: reported once, then silence.
///
/// ```
/// use lb_discovery::{Env, Source};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let lookup = |name: &str| (name == "WEB").then(|| "10.0.0.1 10.0.0.2:81".into());
/// let mut source = Env::with_lookup("WEB", Some(80), lookup);
/// let report = source.next().await.unwrap();
/// let addresses: Vec<_> = report.set.iter().map(|backend| backend.address()).collect();
/// assert_eq!(addresses, ["10.0.0.1:80", "10.0.0.2:81"]);
/// # }
/// ```
#[derive(Debug)]
pub struct Env {
    name: String,
    /// `None` once it was reported.
    answer: Option<Result<Report, SourceError>>,
}

impl Env {
    /// Reads the variable of this process; `port` is used for addresses without
    /// one.
    pub fn new(variable: impl AsRef<str>, port: Option<u16>) -> Self {
        Self::with_lookup(variable, port, |name| env::var_os(name))
    }

    /// Reads the variable of the environment that `lookup` knows.
    pub fn with_lookup(
        variable: impl AsRef<str>,
        port: Option<u16>,
        lookup: impl FnOnce(&str) -> Option<OsString>,
    ) -> Self {
        let variable = variable.as_ref();
        let answer = match lookup(variable).map(OsString::into_string) {
            Some(Ok(text)) => Ok(read_addresses(&text, port)),
            Some(Err(_)) => Err(SourceError::new(format!("the variable {variable} is not UTF-8"))),
            None => Err(SourceError::new(format!("the variable {variable} is not set"))),
        };
        Self { name: format!("env {variable}"), answer: Some(answer) }
    }
}

impl Source for Env {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> NextSet<'_> {
        Box::pin(async {
            match self.answer.take() {
                Some(answer) => answer,
                None => future::pending().await,
            }
        })
    }
}

/// The backends of a text, in its order. What is no address, or occurs twice, is
/// left out with a warning.
fn read_addresses(text: &str, port: Option<u16>) -> Report {
    let (mut backends, mut warnings) = (Distinct::default(), Vec::new());
    let is_separator = |c: char| c.is_whitespace() || c == ',';
    for word in text.split(is_separator).filter(|word| !word.is_empty()) {
        match Endpoint::parse(word, port) {
            Ok(endpoint) => {
                if let Err(taken) = backends.add(Backend::new(endpoint.to_string())) {
                    warnings.push(Warning::about(word, taken.explain(&backends)));
                }
            }
            Err(error) => warnings.push(Warning::about(word, error.to_string())),
        }
    }
    Report { set: backends.into_membership(), warnings: Warning::at_most(warnings) }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn addresses(report: &Report) -> Vec<&str> {
        report.set.iter().map(|backend| backend.address()).collect()
    }

    fn ask(env: &mut Env) -> Poll<Result<Report, SourceError>> {
        env.next().as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn blanks_commas_and_line_breaks_separate() {
        let report = read_addresses(" 10.0.0.2:80,10.0.0.1:80\n\tweb:80 ,, [::1]:80\r\n", None);
        assert_eq!(addresses(&report), ["10.0.0.2:80", "10.0.0.1:80", "web:80", "[::1]:80"]);
        assert_eq!(report.warnings, []);
    }

    #[test]
    fn a_word_that_is_no_address_costs_only_itself() {
        let report = read_addresses("10.0.0.1 10.0.0.2:80 10.0.0.2:080", None);
        assert_eq!(addresses(&report), ["10.0.0.2:80"]);
        let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            ["10.0.0.1: the port is missing", "10.0.0.2:080: `10.0.0.2:80` is there already"]
        );
    }

    #[test]
    fn a_variable_that_is_not_set_is_named_and_one_that_is_empty_is_an_empty_set() {
        let mut unset = Env::with_lookup("STATIC_BACKEND", None, |_| None);
        let Poll::Ready(Err(error)) = ask(&mut unset) else { panic!("no error") };
        assert_eq!(error.to_string(), "the variable STATIC_BACKEND is not set");
        assert!(ask(&mut unset).is_pending(), "it is said once");
        let mut empty = Env::with_lookup("STATIC_BACKEND", None, |_| Some(" \n".into()));
        assert!(matches!(ask(&mut empty), Poll::Ready(Ok(report)) if report == Report::default()));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1b),
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_word_is_either_a_backend_or_explained(
            text in "([a-z0-9.:\\[\\], \n]|\\PC){0,60}", port in proptest::option::of(1_u16..)
        ) {
            let report = read_addresses(&text, port);
            let words = text.split(|c: char| c.is_whitespace() || c == ',');
            let words = words.filter(|word| !word.is_empty()).count();
            prop_assert_eq!(report.set.len() + report.warnings.len(), words);
            let again = addresses(&report).join(",");
            prop_assert_eq!(read_addresses(&again, None).set, report.set);
        }
    }
}
