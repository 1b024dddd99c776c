//! What people have set, against the file, and into it.

use axum::{
    Json,
    extract::{Query, State},
};
use lb_proxy::config::{Alteration, Instead, Written};

use super::write::{By, How, ask_of_file};
use crate::{
    admin::{
        api::Api,
        body,
        dto::{Differences, DriftItem, SaveWish, Saved},
        problem::Problem,
    },
    control::{ChangeRecord, Drift, Overrides, Overview, Page, Which, Wish, meant, wording},
    state::{ChangeId, Field, Override, Subject, UnixMillis},
};

/// Everything that differs from the file because somebody wanted it: who, when and why,
/// where the file says something else, and whether it can be written there.
#[utoipa::path(get, path = "/api/v1/config/diff", operation_id = "diff_config",
    responses((status = OK, body = Differences)))]
pub(crate) async fn difference(State(api): State<Api>) -> Result<Json<Differences>, Problem> {
    let overview = api.desk.overview();
    let origin = overview.origin.clone();
    let mut records = Vec::new();
    for one in &overview.drift {
        let found = api
            .desk
            .changes(Page::After(one.change.saturating_sub(1)), 1)
            .await
            .unwrap_or_default();
        records.extend(found.into_iter().filter(|record| record.id == one.change));
    }
    let differences = api.aside(move || differences(&overview, &records)).await?;
    Ok(Json(Differences { origin, differences }))
}

fn differences(overview: &Overview, records: &[ChangeRecord]) -> Vec<DriftItem> {
    let files = overview.texts.iter().map(|(name, text)| (name.into(), text.clone()));
    let served = Instead { files: files.collect() };
    let main = overview.texts.first();
    let mut written = main.map(|(name, text)| Written::read(name, text, &served));
    let overrides: Overrides = overview.drift.iter().filter_map(override_of).collect();
    let mut items = Vec::new();
    // In the order in which they would be written: one may be about another.
    for of in meant(&overrides, &Which::default()) {
        let (cluster, backend) = (of.subject.cluster(), of.subject.backend());
        let drift = overview.drift.iter().find(|one| {
            (&*one.cluster, one.backend.as_deref(), &*one.field)
                == (cluster, backend, of.field.name())
        });
        let Some(drift) = drift else { continue };
        let keys = of.field.keys().unwrap_or_default();
        let spot = written.as_ref().and_then(|written| written.spot(cluster, backend, &keys));
        let why_not = match &mut written {
            None => Err(format!("there is no file: {} says what runs", overview.origin)),
            Some(written) => wording(&of).and_then(|what| {
                let (cluster, backend) = (cluster.to_owned(), backend.map(str::to_owned));
                written.alter(&Alteration { cluster, backend, what })
            }),
        };
        // What is only added is not there yet.
        let place = spot.filter(|_| !drift.file.is_null()).map(|spot| (spot.file, spot.line));
        let record = records.iter().find(|record| record.id == drift.change).cloned();
        items.push(DriftItem::new(drift, record, place, why_not.err()));
    }
    items
}

fn override_of(drift: &Drift) -> Option<((Subject, Field), Override)> {
    let subject = match &drift.backend {
        Some(backend) => Subject::of_backend(&drift.cluster, backend),
        None => Subject::of_cluster(&drift.cluster),
    };
    let field = Field::of_name(&drift.field)?;
    let of = Override {
        subject: subject.clone(),
        field,
        value: drift.value.clone(),
        basis: drift.file.clone(),
        change: ChangeId::new(drift.change),
        seen: UnixMillis::new(0),
    };
    Some(((subject, field), of))
}

/// Writes what people have set into the file, each value where it stands, with comments
/// kept. What the file says from then on is not set beside it any more. With `dry_run` it
/// is said what would be different.
#[utoipa::path(post, path = "/api/v1/config/save", operation_id = "save_config", params(How),
    request_body = Option<SaveWish>,
    responses(
        (status = OK, body = Saved),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem,
            description = "the file was changed since it was read, or cannot be written"),
        (status = UNPROCESSABLE_ENTITY, body = Problem),
    ))]
pub(crate) async fn save(
    State(api): State<Api>,
    Query(how): Query<How>,
    by: By,
    body::JsonOrNone(wish): body::JsonOrNone<SaveWish>,
) -> Result<Json<Saved>, Problem> {
    let dry_run = how.dry_run;
    let done = ask_of_file(&api, by, how, Wish::Save(wish.unwrap_or_default().into())).await?;
    Ok(Json(Saved::new(done, dry_run, api.desk.overview().config_generation)))
}
