//! Exit codes: the same for every command, documented in `lb --help`, kept stable.

use std::process::ExitCode;

use crate::app::Ending;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done,
    /// It could not be done, or a check did not hold.
    Failed,
    /// What was asked for makes no sense; nothing was started or changed.
    Usage,
    /// No running `lb` was reached.
    NotRunning,
    /// There is no cluster, backend or change of this name.
    NoTarget,
    /// It would do harm, or contradicts something: it needs `--force`, or another try.
    Refused,
    /// Whoever was asked does not let us.
    NotAuthorised,
    /// It was not over in time.
    TimedOut,
    /// A signal came before it was over.
    Interrupted,
    /// What an app that was run says.
    OfApp(u8),
}

impl Exit {
    /// The first that is not all well.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Done { other } else { self }
    }
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Drained => Self::Done,
            Ending::Interrupted => Self::Interrupted,
            Ending::Died => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotRunning => 3,
            Exit::NoTarget => 4,
            Exit::Refused => 5,
            Exit::NotAuthorised => 6,
            Exit::TimedOut => 7,
            Exit::Interrupted => 130,
            Exit::OfApp(code) => code,
        })
    }
}
