//! `lb check-now`, `lb checks`

use clap::Args;

use super::{
    Connect,
    client::{Client, encoded},
    failure::Failure,
    pattern::{Target, resolve},
    say,
    table::{Column, Table},
    with,
    words::moment,
};
use crate::{
    admin::dto::{Check, CheckedNow, Cluster},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckNowArgs {
    /// `CLUSTER/BACKEND`, one.
    #[arg(value_name = "TARGET")]
    target: String,

    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ChecksArgs {
    /// `CLUSTER/BACKEND`, one.
    #[arg(value_name = "TARGET")]
    target: String,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn check_now(args: &CheckNowArgs) -> Exit {
    let CheckNowArgs { target, connect } = args;
    with(connect, async |client| {
        let target = one(client, target).await?;
        let answer = client.post(&format!("{}/check", path_of(&target))).await?;
        let checked: CheckedNow = answer.read()?;
        say(connect, &answer, || told(&target, &checked))?;
        Ok(if checked.check.passed { Exit::Done } else { Exit::Failed })
    })
}

pub(in crate::cli) fn checks(args: &ChecksArgs) -> Exit {
    let ChecksArgs { target, connect } = args;
    with(connect, async |client| {
        let target = one(client, target).await?;
        let answer = client.get(&format!("{}/checks", path_of(&target))).await?;
        let all: Vec<Check> = answer.read()?;
        say(connect, &answer, || listed(&target, &all))?;
        Ok(Exit::Done)
    })
}

async fn one(client: &Client, typed: &str) -> Result<Target, Failure> {
    let clusters: Vec<Cluster> = client.get("/api/v1/clusters").await?.read()?;
    let mut found = resolve(&[typed.to_owned()], &clusters, true)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        count => {
            Err(Failure::new(Exit::Usage, format!("`{typed}` means {count} backends"))
                .help("name one"))
        }
    }
}

fn path_of(target: &Target) -> String {
    let (cluster, backend) = (encoded(&target.cluster), encoded(&target.backend));
    format!("/api/v1/clusters/{cluster}/backends/{backend}")
}

fn told(target: &Target, checked: &CheckedNow) -> String {
    let CheckedNow { check, health, why } = checked;
    let verdict = if check.passed { "passed" } else { "failed" };
    let mut text = format!("{target} {verdict} in {}\n", millis(check.took));
    text += &format!("  request: {}\n", check.request);
    text.extend(check.status.map(|status| format!("  answer:  status {status}\n")));
    text.extend(check.body.as_ref().map(|body| format!("  body:    {body}\n")));
    text.extend(check.why.as_ref().map(|why| format!("  why:     {why}\n")));
    text + &format!("  health:  {health}: {why}\n")
}

fn listed(target: &Target, all: &[Check]) -> String {
    const COLUMNS: [Column; 5] = [
        Column::text("when"),
        Column::text("result"),
        Column::number("took").dropped(2),
        Column::number("status").dropped(1),
        Column::text("request").dropped(3),
    ];
    if all.is_empty() {
        return format!("{target}: no check has ended yet.\n");
    }
    let mut table = Table::new(&COLUMNS);
    for check in all {
        let cells = vec![
            moment(check.at),
            if check.passed { "passed" } else { "failed" }.to_owned(),
            millis(check.took),
            check.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            check.request.clone(),
        ];
        let why = check.why.iter().map(|why| format!("why: {why}"));
        let body = check.body.iter().map(|body| format!("body: {body}"));
        let late = (!check.counted).then(|| "it came too late to count".to_owned());
        table.row(cells, why.chain(body).chain(late).collect());
    }
    table.render()
}

fn millis(seconds: f64) -> String {
    format!("{:.1}ms", seconds * 1_000.0)
}
