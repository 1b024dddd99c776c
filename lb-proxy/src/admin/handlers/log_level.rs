//! What the process logs.

use std::time::Duration;

use axum::{Json, extract::State};
use lb_proxy::{config::level_problem, parse_duration};

use super::write::By;
use crate::{
    admin::{
        api::Api,
        body,
        dto::{LogLevel, WantedLevel},
        problem::Problem,
    },
    control::{Author, Event, unix_millis},
};

/// What is logged to the standard error.
#[utoipa::path(get, path = "/api/v1/log-level", operation_id = "log_level",
    responses((status = OK, body = LogLevel)))]
pub(crate) async fn show(State(api): State<Api>) -> Json<LogLevel> {
    Json(api.log.now().into())
}

/// Logs more, or less, from now on: for a while, until null is set, or until the end of the
/// process. It is not remembered.
#[utoipa::path(put, path = "/api/v1/log-level", operation_id = "set_log_level",
    request_body = WantedLevel,
    responses((status = OK, body = LogLevel), (status = UNPROCESSABLE_ENTITY, body = Problem)))]
pub(crate) async fn set(
    State(api): State<Api>,
    by: By,
    body::Json(wanted): body::Json<WantedLevel>,
) -> Result<Json<LogLevel>, Problem> {
    let limit = wanted.limit.as_deref().map(read_limit).transpose()?;
    match wanted.level.as_deref() {
        None => {
            api.log.give_back(None);
        }
        Some(level) => want(&api, level, &by.caller.author, limit)?,
    }
    let now = api.log.now();
    note(&api, &now.level, Some(by.caller.author.to_string()));
    Ok(Json(now.into()))
}

fn want(api: &Api, level: &str, by: &Author, limit: Option<Duration>) -> Result<(), Problem> {
    if let Some(problem) = level_problem(level) {
        return Err(Problem::invalid(format!("not a filter: {problem}"))
            .at("/level", problem)
            .hint("`error`, `warn`, `info`, `debug` or `trace`; or `info,lb_proxy=debug`"));
    }
    let until = limit.map(|limit| {
        unix_millis().saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
    });
    let number = api.log.want(level, by.to_string(), until);
    if let Some(limit) = limit {
        let api = api.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            if api.log.give_back(Some(number)) {
                note(&api, &api.log.now().level, None);
            }
        });
    }
    Ok(())
}

fn read_limit(text: &str) -> Result<Duration, Problem> {
    let limit = parse_duration(text).and_then(|limit| match limit.is_zero() {
        true => Err("it would be over at once".to_owned()),
        false => Ok(limit),
    });
    limit.map_err(|problem| Problem::invalid(format!("`for`: {problem}")).at("/for", problem))
}

fn note(api: &Api, level: &str, author: Option<String>) {
    let (field, to) = (Some("log".to_owned()), Some(level.to_owned()));
    let why = match author {
        Some(_) => String::new(),
        None => "the time it was set for is over".to_owned(),
    };
    api.desk.events().push(Event { field, to, why, author, ..Event::default() });
}
