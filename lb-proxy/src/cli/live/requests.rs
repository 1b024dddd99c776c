//! `lb requests`, and `lb explain ID`: where requests went, and why.

use clap::Args;

use super::{
    Connect,
    client::{Client, encoded},
    failed,
    failure::Failure,
    place::{Place, Places},
    say,
    table::{Column, Table},
    with,
    words::{latency, moment, nothing},
};
use crate::{
    admin::dto::{KeptOne, OneTry},
    cli::{exit::Exit, print},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct RequestsArgs {
    /// Only errors: answers of 500 or more other than 501, and what ended badly.
    #[arg(long)]
    errors: bool,

    /// Only those that were answered with this status: `404`, or `5xx`.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// Only those for which this backend was tried: `s1`, or `web/s1`.
    #[arg(long, value_name = "BACKEND")]
    backend: Option<String>,

    /// Only those that went to this cluster.
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    /// How many, the last ones.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,

    #[command(flatten)]
    connect: Connect,
}

pub(in crate::cli) fn requests(args: &RequestsArgs) -> Exit {
    with(&args.connect, async |client| {
        let answer = client.get(&args.path()).await?;
        let all: Vec<KeptOne> = answer.read()?;
        say(&args.connect, &answer, || listed(&all))?;
        Ok(Exit::Done)
    })
}

impl RequestsArgs {
    fn path(&self) -> String {
        let mut path = format!("/api/v1/requests?limit={}", self.limit);
        if self.errors {
            path += "&errors=true";
        }
        // Names of clusters have no `/`; those of backends may have.
        let (cluster, backend) = match self.backend.as_deref().map(|name| name.split_once('/')) {
            Some(Some((cluster, backend))) if self.cluster.is_none() => {
                (Some(cluster), Some(backend))
            }
            _ => (self.cluster.as_deref(), self.backend.as_deref()),
        };
        let all = [("status", self.status.as_deref()), ("cluster", cluster), ("backend", backend)];
        for (name, value) in all {
            if let Some(value) = value {
                path += &format!("&{name}={}", encoded(value));
            }
        }
        path
    }
}

/// Oldest first: the last one stands where one looks.
fn listed(all: &[KeptOne]) -> String {
    const COLUMNS: [Column; 8] = [
        Column::text("when").dropped(4),
        Column::number("status"),
        Column::number("took").dropped(2),
        Column::text("cluster").dropped(3),
        Column::text("tried").dropped(1),
        Column::text("end").dropped(5),
        Column::text("request"),
        Column::text("id").dropped(6),
    ];
    if all.is_empty() {
        return "No such request is kept.\n".to_owned();
    }
    let mut table = Table::new(&COLUMNS);
    for one in all.iter().rev() {
        let tried: Vec<&str> = one.tries.iter().map(|one| &*one.backend).collect();
        let cells = vec![
            moment(one.at),
            one.status.to_string(),
            latency(one.took_ms),
            one.cluster.clone().unwrap_or_else(nothing),
            if tried.is_empty() { nothing() } else { tried.join(",") },
            one.end.clone(),
            target(one),
            one.id.clone().unwrap_or_else(nothing),
        ];
        table.row(cells, Vec::new());
    }
    table.render()
}

/// `GET www.example.org/api/x?y=z`
fn target(one: &KeptOne) -> String {
    let query = one.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
    let host = one.host.as_deref().unwrap_or_default();
    match one.method.is_empty() {
        true => "no request".to_owned(),
        false => format!("{} {host}{}{query}", one.method, one.path),
    }
}

/// Tells of a request by what it is called.
pub(in crate::cli) fn explain_kept(admin: Option<&Place>, id: &str, is_json: bool) -> Exit {
    let places = match Places::new(admin) {
        Ok(places) => places,
        Err(mistake) => return failed(&Failure::new(Exit::Usage, mistake)),
    };
    let told = super::block_on(async {
        let client = Client::find(&places).await?;
        let answer = client.get(&format!("/api/v1/requests/{}", encoded(id))).await?;
        let one: KeptOne = answer.read()?;
        print::result(&match is_json {
            true => format!("{}\n", answer.as_text()),
            false => explained(&one),
        })?;
        Ok(Exit::Done)
    });
    told.unwrap_or_else(|failure| failed(&failure))
}

fn explained(one: &KeptOne) -> String {
    let from = one.client.as_ref().map_or_else(String::new, |client| format!(" from {client}"));
    let mut text = format!("{}{from} at {}\n", target(one), moment(one.at));
    let mut line = |name: &str, value: &str| text += &format!("  {name:8} {value}\n");
    line("route", one.route.as_deref().unwrap_or("none"));
    line("cluster", one.cluster.as_deref().unwrap_or("none"));
    for (number, one) in one.tries.iter().enumerate() {
        line(&format!("try {}", number + 1), &tried(one, number));
    }
    if one.tries.is_empty() {
        line("tries", "no backend was picked");
    }
    if let Some(sticky) = &one.sticky {
        line("sticky", sticky);
    }
    let status = match one.status {
        0 => "none".to_owned(),
        status => status.to_string(),
    };
    line("answer", &format!("{status} after {}: {}", latency(one.took_ms), one.end));
    line(
        "unknown",
        "who else there was then, and who was out: `lb events` and `lb generations` tell what \
         changed",
    );
    text
}

fn tried(one: &OneTry, number: usize) -> String {
    let mut text = one.backend.clone();
    if one.address != one.backend {
        text += &format!(" at {}", one.address);
    }
    let again = if number > 0 { "the one before did not do; " } else { "" };
    text += &format!(": {again}{} ({})", one.why, one.reason);
    let mut ended = Vec::new();
    if one.replayed {
        ended.push("sent again, as a kept connection was closed".to_owned());
    }
    ended.extend(one.connect_ms.map(|time| format!("connected in {}", latency(time))));
    ended.extend(one.status.map(|status| format!("said {status}")));
    ended.extend(one.first_byte_ms.map(|time| format!("after {}", latency(time))));
    ended.extend(one.error.clone());
    format!("{text}; {}", ended.join(", ")).trim_end_matches("; ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(backend: Option<&str>) -> RequestsArgs {
        RequestsArgs {
            errors: true,
            status: Some("5xx".to_owned()),
            backend: backend.map(str::to_owned),
            cluster: None,
            limit: 7,
            connect: Connect { admin: None, json: false, quiet: false },
        }
    }

    #[test]
    fn a_backend_may_be_called_with_its_cluster() {
        let base = "/api/v1/requests?limit=7&errors=true&status=5xx";
        assert_eq!(args(None).path(), base);
        assert_eq!(args(Some("s1")).path(), format!("{base}&backend=s1"));
        assert_eq!(args(Some("web/s1")).path(), format!("{base}&cluster=web&backend=s1"));
    }
}
