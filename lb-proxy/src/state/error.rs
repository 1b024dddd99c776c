//! What can be wrong with the file, in words for whoever runs the balancer.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::{model::ChangeId, undo::NoUndo};

/// The state cannot be used. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the state file `{}`: {problem}\n  help: {}", .path.display(), .problem.help())]
pub(crate) struct OpenError {
    pub(crate) path: PathBuf,
    pub(crate) problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    #[error("another process uses it")]
    Locked,
    #[error("it is damaged: {0}")]
    Corrupt(String),
    #[error("it belongs to another program")]
    Foreign,
    #[error("it is of a newer version of lb ({found}; this one knows {known})")]
    Newer { found: i64, known: i64 },
    #[error("it cannot be written: {0}")]
    NotWritable(String),
    #[error("{0}")]
    Other(String),
}

impl Problem {
    fn help(&self) -> &'static str {
        match self {
            Self::Locked => {
                "an `lb` with the same configuration runs already; give this one another \
                 `--state FILE`, or `--state off`"
            }
            Self::Corrupt(_) => {
                "move it away to start without what was changed while running, or look at it with \
                 `sqlite3 FILE .recover`"
            }
            Self::Foreign => "name another file with `--state FILE`",
            Self::Newer { .. } => {
                "run that version, or start without what was changed while running: \
                 `--state off`, or another `--state FILE`"
            }
            Self::NotWritable(_) | Self::Other(_) => {
                "name another file with `--state FILE`, or keep nothing with `--state off`"
            }
        }
    }

    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => return Self::Corrupt(text),
            _ => {}
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure,
            ) => Self::NotWritable(text),
            _ => Self::Other(text),
        }
    }

    pub(super) fn at(self, path: &Path) -> OpenError {
        OpenError { path: path.to_owned(), problem: self }
    }
}

/// Something could not be written down or read. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    #[error("{}: {problem}", named(.path.as_deref()))]
    Failed { path: Option<PathBuf>, problem: Problem },
    /// Whatever would be written goes nowhere.
    #[error("the state file `{}` was removed or replaced while in use", .0.display())]
    Replaced(PathBuf),
    #[error("there is no change {0}, or it was so long ago that it is not kept any more")]
    NoSuchChange(ChangeId),
    #[error(transparent)]
    NoUndo(#[from] NoUndo),
    #[error("`{what}` has {bytes} bytes; at most {most} are kept")]
    TooLong { what: &'static str, bytes: usize, most: usize },
}

fn named(path: Option<&Path>) -> String {
    path.map_or_else(|| "state".to_owned(), |path| format!("state file `{}`", path.display()))
}
