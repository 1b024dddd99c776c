//! Which path leads where, and what all of them have in common.

use std::sync::Arc;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use http::{Method, StatusCode, Uri, header};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    access::let_in,
    api::Api,
    audit::write_down,
    body::{read_whole, seal},
    finish::to_the_end,
    handlers::{
        audit, backends, changes, checks, clusters, config, events, explain, generations,
        log_level, login, probes, requests, saving, series, sessions, sources, status,
    },
    origin::guard,
    problem::{Problem, in_our_words},
    repeated::{Repeated, once},
};

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "lb",
        description = "See what a running `lb` does, and change it. Every change is answered \
                       when it is true at every worker, is written down, and can be undone.",
    ),
    modifiers(&Tokens),
)]
struct Document;

/// How one is let in.
struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let required = utoipa::openapi::SecurityRequirement::new("token", [""; 0]);
        document.security = Some(vec![required]);
    }
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status::status))
        .routes(routes!(clusters::list))
        .routes(routes!(clusters::show))
        .routes(routes!(clusters::set_strategy))
        .routes(routes!(clusters::set_health))
        .routes(routes!(clusters::set_sticky))
        .routes(routes!(backends::list, backends::add))
        .routes(routes!(backends::show, backends::patch, backends::remove))
        .routes(routes!(checks::list))
        .routes(routes!(checks::check))
        .routes(routes!(changes::list, changes::make))
        .routes(routes!(changes::undo))
        .routes(routes!(events::events))
        .routes(routes!(explain::explain))
        .routes(routes!(series::show))
        .routes(routes!(requests::list))
        .routes(routes!(requests::show))
        .routes(routes!(sessions::show))
        .routes(routes!(sessions::look_up))
        .routes(routes!(sources::list))
        .routes(routes!(generations::list))
        .routes(routes!(status::routes))
        .routes(routes!(config::show, config::replace))
        .routes(routes!(saving::difference))
        .routes(routes!(saving::save))
        .routes(routes!(config::check))
        .routes(routes!(config::reload))
        .routes(routes!(login::login))
        .routes(routes!(login::logout))
        .routes(routes!(login::whoami))
        .routes(routes!(audit::list))
        .routes(routes!(log_level::show, log_level::set))
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::version))
}

/// The description of the API, as it is checked in.
pub(super) fn openapi() -> String {
    // It is made of texts and numbers only: that cannot fail.
    let mut text = described().into_openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The API with all that guards it.
pub(super) fn router(api: Api) -> Router {
    let (access, audit) = (Arc::clone(&api.access), api.audit.clone());
    let (router, _) = described().split_for_parts();
    let document: Arc<str> = openapi().into();
    let json = [(header::CONTENT_TYPE, "application/json")];
    router
        .route("/", get(login::begin))
        .route("/login", get(login::once))
        .route("/openapi.json", get(move || async move { (json, document.to_string()) }))
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .with_state(api)
        .layer(from_fn(in_our_words))
        .layer(from_fn_with_state(Repeated::default(), once))
        .layer(from_fn(read_whole))
        .layer(from_fn_with_state(Arc::clone(&access), let_in))
        .layer(from_fn_with_state(Arc::clone(&access), guard))
        .layer(from_fn_with_state(audit, write_down))
        .layer(from_fn(to_the_end))
        .layer(from_fn(seal))
}

async fn nothing(target: Uri) -> Problem {
    Problem::not_found(target.path())
}

async fn not_so(method: Method, target: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not-so", "Not by this method")
        .detail(format!("`{}` is not asked by {method}", target.path()))
        .hint("`GET /openapi.json` says what there is")
}
