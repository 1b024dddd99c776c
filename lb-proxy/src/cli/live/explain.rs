//! `lb explain` of what runs now.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::{
    block_on,
    client::Client,
    failed,
    failure::Failure,
    place::{Place, Places},
    table::{Column, Table},
};
use crate::{
    admin::dto::{Asked, Explained},
    cli::{exit::Exit, print},
    explain::Question,
};

/// Asks a running `lb` where this would go. `None` where none is reachable and nobody said
/// that one is: then a file has to do.
pub(in crate::cli) fn ask_running(
    admin: Option<&Place>,
    question: &Question,
    is_json: bool,
) -> Option<Exit> {
    let places = match Places::new(admin) {
        Ok(places) => places,
        Err(mistake) => return Some(failed(&Failure::new(Exit::Usage, mistake))),
    };
    let done = block_on(async {
        let client = Client::find(&places).await?;
        let answer = client.send(Method::POST, "/api/v1/explain", &asked(question)).await?;
        let explained: Explained = answer.read()?;
        Ok((client.place().to_string(), explained))
    });
    let told = done.and_then(|(place, explained)| {
        print::result(&match is_json {
            true => as_json(&place, &explained),
            false => as_text(&place, &explained),
        })?;
        let is_answered = explained.explanation["answer"].is_null();
        Ok(if is_answered { Exit::Done } else { Exit::Failed })
    });
    match told {
        Ok(exit) => Some(exit),
        Err(failure) if places.is_said => Some(failed(&failure)),
        Err(failure) => match failure.exit {
            Exit::NotRunning => None,
            // Somebody else's, or one that wants a token: a file was asked about before
            // there was anybody to ask.
            Exit::NotAuthorised => {
                print::diagnostic(
                    "note: a running lb wants a token (`LB_TOKEN`): told from the file\n",
                );
                None
            }
            _ => Some(failed(&failure)),
        },
    }
}

fn asked(question: &Question) -> Asked {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &question.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_default().push(value);
    }
    Asked {
        method: Some(question.method.to_string()),
        target: question.target.to_string(),
        headers,
        client: Some(question.client),
    }
}

/// The same object as of a file, and who was asked, and everybody who might get it.
fn as_json(place: &str, explained: &Explained) -> String {
    let mut value = explained.explanation.clone();
    if let Value::Object(table) = &mut value {
        table.insert("asked".to_owned(), place.into());
        // It is all texts and numbers: that cannot fail.
        let backends = serde_json::to_value(&explained.backends).unwrap_or_default();
        table.insert("backends".to_owned(), backends);
    }
    format!("{value}\n")
}

fn as_text(place: &str, explained: &Explained) -> String {
    const COLUMNS: [Column; 3] =
        [Column::text("backend"), Column::text("new clients"), Column::text("state")];
    let mut text = format!("{}  asked    {place}\n", explained.text);
    if explained.backends.is_empty() {
        return text;
    }
    let mut table = Table::new(&COLUMNS);
    for one in &explained.backends {
        let eligible = if one.eligible { "yes" } else { "no" };
        table.row(vec![one.name.clone(), eligible.to_owned(), one.reason.clone()], Vec::new());
    }
    text.push('\n');
    text + &table.render()
}
