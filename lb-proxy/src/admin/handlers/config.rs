//! The configuration.

use std::{io, path::Path};

use axum::{Json, body::Bytes, extract::State};
use lb_proxy::config::{Config, Diagnostics, Loader, NotText, Severity};

use super::write::{By, How, ask, ask_of_file};
use crate::{
    admin::{
        api::Api,
        dto::{Checked, EffectiveConfig, Override, Reloaded, Saved, SettingLine},
        problem::Problem,
    },
    cli::finding,
    control::Wish,
};

/// Every value that holds, with the line that says so, and what people changed on top.
/// Secrets are left out, and of variables only addresses are told.
#[utoipa::path(get, path = "/api/v1/config", operation_id = "show_config",
    responses((status = OK, body = EffectiveConfig)))]
pub(crate) async fn show(State(api): State<Api>) -> Json<EffectiveConfig> {
    let overview = api.desk.overview();
    let settings = api.config.settings();
    let line = |one: &lb_proxy::config::Setting| {
        let (file, line) = one.place.clone().unzip();
        // What a variable says may be more than a viewer is to know.
        let value = one.variables.clone().unwrap_or_else(|| one.value.clone());
        SettingLine { key: one.key.clone(), value, file, line }
    };
    Json(EffectiveConfig {
        origin: overview.origin.clone(),
        generation: overview.config_generation,
        settings: settings.iter().map(line).collect(),
        overrides: overview.drift.iter().map(Override::from).collect(),
    })
}

/// What is wrong with a file. Nothing is changed. The variables and files of this machine
/// are not read for it, so values that need them are reported: whoever may ask here need
/// not be allowed to know them. `lb check` reads them.
#[utoipa::path(post, path = "/api/v1/config/check", operation_id = "check_config",
    request_body(content = String, content_type = "application/toml"),
    responses((status = OK, body = Checked), (status = BAD_REQUEST, body = Problem)))]
pub(crate) async fn check(State(api): State<Api>, text: Bytes) -> Result<Json<Checked>, Problem> {
    let text = text_of(text)?;
    api.aside(move || {
        let (config, found) = Config::parse("request", &text, &Closed);
        checked(config.is_some(), &found)
    })
    .await
    .map(Json)
}

fn text_of(body: Bytes) -> Result<String, Problem> {
    String::from_utf8(body.into()).map_err(|_| {
        let status = http::StatusCode::BAD_REQUEST;
        Problem::new(status, "not-text", "The body is not text").detail("it is not UTF-8")
    })
}

fn checked(ok: bool, found: &Diagnostics) -> Checked {
    Checked {
        ok,
        errors: found.count(Severity::Error),
        warnings: found.count(Severity::Warning),
        diagnostics: found.to_vec().iter().map(|one| finding(one, found)).collect(),
    }
}

/// Another file in the place of the one that is served; the old one is kept as
/// `NAME.before`. Only of one that includes no others and has no variables in it. With
/// `dry_run` it is said what would be different.
#[utoipa::path(put, path = "/api/v1/config", operation_id = "replace_config", params(How),
    request_body(content = String, content_type = "application/toml"),
    responses(
        (status = OK, body = Saved),
        (status = CONFLICT, body = Problem),
        (status = UNPROCESSABLE_ENTITY, body = Problem, description = "it cannot be served"),
    ))]
pub(crate) async fn replace(
    State(api): State<Api>,
    axum::extract::Query(how): axum::extract::Query<How>,
    by: By,
    text: Bytes,
) -> Result<Json<Saved>, Problem> {
    let dry_run = how.dry_run;
    let done = ask_of_file(&api, by, how, Wish::Replace { text: text_of(text)? }).await?;
    Ok(Json(Saved::new(done, dry_run, api.desk.overview().config_generation)))
}

/// Reads the file again. What is wrong with it changes nothing.
#[utoipa::path(post, path = "/api/v1/config/reload", operation_id = "reload",
    params(How),
    responses(
        (status = OK, body = Reloaded),
        (status = UNPROCESSABLE_ENTITY, body = Problem, description = "it cannot be served"),
    ))]
pub(crate) async fn reload(
    State(api): State<Api>,
    axum::extract::Query(how): axum::extract::Query<How>,
    by: By,
) -> Result<Json<Reloaded>, Problem> {
    let changed = ask(&api, by, how, vec![Wish::Reload]).await?;
    Ok(Json(Reloaded {
        config_generation: api.desk.overview().config_generation,
        says: changed.impact.says,
        effective: changed.effective,
    }))
}

/// A machine without variables and files.
#[derive(Debug)]
struct Closed;

impl Loader for Closed {
    fn variable(&self, _: &str) -> Result<Option<String>, NotText> {
        Ok(None)
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Err(closed())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Err(closed())
    }

    fn find(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn may_append(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "files are not read for a request")
}
