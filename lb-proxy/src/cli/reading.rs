//! How a configuration is read for `lb run`: who hears what is wrong with it, and what
//! stands for files of the machine.

use lb_proxy::config::{Diagnostics, Instead};

use super::{check::finding, print};
use crate::{admin::RunningConfig, control::Mistakes};

/// How a configuration is read.
#[derive(Debug)]
pub(super) struct Reading<'r> {
    /// What follows from its being wrong; `None`: nothing is printed.
    pub(super) consequence: Option<&'r str>,
    pub(super) kept: &'r RunningConfig,
    /// What stands for files of the machine.
    pub(super) instead: Instead,
}

impl<'r> Reading<'r> {
    pub(super) fn aloud(consequence: &'r str, kept: &'r RunningConfig) -> Self {
        Self { consequence: Some(consequence), kept, instead: Instead::default() }
    }

    /// What is wrong with flags, variables or the finding of a file.
    pub(super) fn refuse(&self, mistakes: impl IntoIterator<Item = String>) -> Mistakes {
        let texts = mistakes.into_iter().map(|mistake| format!("error: {mistake}\n"));
        self.print(texts.collect())
    }

    pub(super) fn print(&self, report: String) -> Mistakes {
        if self.consequence.is_some() {
            print::diagnostic(&report);
        }
        Mistakes { found: Vec::new(), report }
    }
}

/// What was found, for whoever asks from elsewhere.
pub(super) fn mistakes(diagnostics: &Diagnostics) -> Mistakes {
    let found = diagnostics.to_vec().iter().map(|one| finding(one, diagnostics)).collect();
    let report = format!("{}{}\n", diagnostics.render(false), diagnostics.summary());
    Mistakes { found, report }
}
