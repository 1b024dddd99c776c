//! Why a command did not do what it was told, and what to do about it.

use http::StatusCode;

use crate::{
    admin::Problem,
    cli::{exit::Exit, print},
};

/// Why, as a sentence, and the code it ends with.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    pub(super) exit: Exit,
    text: String,
    helps: Vec<String>,
    /// What is wrong with a file, as `lb check` prints it.
    report: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), helps: Vec::new(), report: String::new() }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Whoever interrupted it knows why.
    pub(super) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "")
    }

    /// Says so on the standard error.
    pub(super) fn print(&self) {
        if self.exit == Exit::Interrupted {
            return;
        }
        let mut text = format!("{}error: {}\n", self.report, self.text);
        for help in &self.helps {
            text += &format!("  help: {help}\n");
        }
        print::diagnostic(&text);
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, format!("{error:#}"))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let kind = problem.kind.rsplit(':').next().unwrap_or_default();
        let mut failure = match &problem.detail {
            Some(detail) => Self::new(exit_of(&problem, kind), &**detail),
            None => Self::new(exit_of(&problem, kind), &*problem.title),
        };
        failure.report = problem.mistakes.map_or_else(String::new, |mistakes| mistakes.report);
        for error in &problem.errors {
            let pointer = error.pointer.trim_start_matches('/');
            let said = format!("`{pointer}`: {}", error.detail);
            if !failure.text.ends_with(&error.detail) {
                failure.helps.push(said);
            }
        }
        let hint = match kind {
            // The API speaks of requests, and nobody typed one here.
            "would-empty-cluster" => {
                Some("enable another one first, or repeat with `--force`".to_owned())
            }
            "unauthorized" => Some(
                "set `LB_TOKEN` or `LB_TOKEN_FILE`; the start line of `lb run` has the token, \
                 and its socket needs none"
                    .to_owned(),
            ),
            "no-such-change" => Some("`lb changes` lists them".to_owned()),
            "no-such-path" => Some("is that `lb` of another version?".to_owned()),
            _ => problem.hint.map(String::from),
        };
        failure.helps.extend(hint);
        failure
    }
}

/// What a script is told.
fn exit_of(problem: &Problem, kind: &str) -> Exit {
    match (StatusCode::from_u16(problem.status).unwrap_or_default(), kind) {
        (StatusCode::NOT_FOUND, "no-such-path") => Exit::Failed,
        (StatusCode::NOT_FOUND, _) => Exit::NoTarget,
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)
        | (StatusCode::TOO_MANY_REQUESTS | StatusCode::MISDIRECTED_REQUEST, _) => {
            Exit::NotAuthorised
        }
        (StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _)
        | (StatusCode::SERVICE_UNAVAILABLE, _) => Exit::Refused,
        (StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST, _) => Exit::Usage,
        (StatusCode::REQUEST_TIMEOUT, _) => Exit::TimedOut,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: StatusCode, kind: &str) -> Failure {
        Problem::new(status, kind, "Title").detail("what happened").hint("a hint").into()
    }

    #[test]
    fn a_problem_becomes_a_sentence_a_help_and_a_code() {
        let unknown = failure(StatusCode::NOT_FOUND, "no-such-backend");
        assert_eq!((unknown.exit, &*unknown.text), (Exit::NoTarget, "what happened"));
        assert_eq!(unknown.helps, ["a hint"]);
        let last = failure(StatusCode::CONFLICT, "would-empty-cluster");
        assert_eq!(last.exit, Exit::Refused);
        assert!(last.helps[0].contains("--force"));
        for (status, exit) in [
            (StatusCode::UNAUTHORIZED, Exit::NotAuthorised),
            (StatusCode::TOO_MANY_REQUESTS, Exit::NotAuthorised),
            (StatusCode::UNPROCESSABLE_ENTITY, Exit::Usage),
            (StatusCode::SERVICE_UNAVAILABLE, Exit::Refused),
            (StatusCode::INSUFFICIENT_STORAGE, Exit::Failed),
        ] {
            assert_eq!(failure(status, "x").exit, exit, "{status}");
        }
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        for said in ["`weight`: must be 1 to 65535", "must be 1 to 65535"] {
            let problem = Problem::invalid(said).at("/weight", "must be 1 to 65535");
            let failure: Failure = problem.into();
            assert!(failure.helps.is_empty(), "{:?}", failure.helps);
        }
    }
}
