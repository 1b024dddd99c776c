//! `lb check`

use std::path::PathBuf;

use clap::Args;
use lb_proxy::{
    Condition,
    config::{Config, Diagnostic, Diagnostics, Machine, Severity},
};
use serde_json::{Value, json};

use super::{
    config::{as_json, listed},
    exit::Exit,
    print,
    source::{self, Source},
};
use crate::app::counted;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Configuration files; `-` is the standard input. Without any, the one that
    /// `lb run` would read.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// Take warnings for errors.
    #[arg(long)]
    strict: bool,

    /// Print every value that holds, with the file and line that says so. Secrets
    /// are left out.
    #[arg(long)]
    print_effective: bool,
}

/// Checks every file; fails when one of them could not be used.
pub(super) fn check(args: &CheckArgs) -> Exit {
    let files = match &*args.files {
        [] => source::search().into_iter().collect(),
        files => files.to_vec(),
    };
    if files.is_empty() {
        print::diagnostic(&source::nothing_found());
        return Exit::Usage;
    }
    if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
        print::diagnostic("error: the standard input can be read only once\n");
        return Exit::Usage;
    }
    match check_all(&files, args) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Usage,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

/// Whether all are good. An error is about the output.
fn check_all(files: &[PathBuf], args: &CheckArgs) -> anyhow::Result<bool> {
    let mut all_good = true;
    let mut reports = Vec::new();
    for file in files {
        let source = match Source::read(file) {
            Ok(source) => source,
            Err(error) => {
                all_good = false;
                if args.json {
                    reports.push(unreadable(&file.display().to_string(), &error));
                } else {
                    print::error(&error);
                }
                continue;
            }
        };
        let (mut config, diagnostics) = Config::parse(&source.name, &source.text, &Machine);
        if args.strict {
            diagnostics.make_strict();
            config = config.filter(|_| !diagnostics.has_errors());
        }
        all_good &= config.is_some();
        if args.json {
            let mut report = report(config.as_ref(), &diagnostics);
            if config.is_some() && args.print_effective {
                let settings = Config::settings(&source.name, &source.text, &Machine);
                report["settings"] = as_json(&settings);
            }
            reports.push(report);
            continue;
        }
        print::diagnostics(&diagnostics, "not usable");
        if let Some(config) = config {
            print::result(&match args.print_effective {
                true => listed(&Config::settings(&source.name, &source.text, &Machine)),
                false => describe(&config, &source.name),
            })?;
        }
    }
    if args.json {
        print::result(&format!("{}\n", json!({ "ok": all_good, "files": reports })))?;
    }
    Ok(all_good)
}

/// What a good file says, routes in the order in which they are tried.
fn describe(config: &Config, name: &str) -> String {
    let mut text = format!("{name}: ok\n");
    for listener in &config.listeners {
        text += &format!("  listen   {}\n", listener.bind);
    }
    let table = config.route_table();
    let has_hosts = table.routes().iter().any(|route| route.host != Default::default());
    let shown: Vec<(String, &lb_proxy::Route)> = table
        .routes()
        .iter()
        .map(|route| match has_hosts {
            true => (format!("{} {}", route.host, route.path), route),
            false => (route.path.to_string(), route),
        })
        .collect();
    let width = shown.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
    for (pattern, route) in shown {
        let to = &config.clusters[route.cluster].name;
        let strip = if route.strip { ", stripped" } else { "" };
        text += &match &route.when {
            Condition::Always => format!("  route    {pattern:width$}  to {to}{strip}\n"),
            when => format!("  route    {pattern:width$}  to {to}{strip}, if {when}\n"),
        };
    }
    for cluster in &config.clusters {
        text += &format!("  cluster  {}: {}", cluster.name, cluster.strategy.kind);
        if let Some(sticky) = &cluster.sticky {
            text += &format!(", sticky by cookie {}", sticky.cookie);
        }
        if cluster.health.is_some() {
            text += ", checked";
        }
        text += &format!(", {}", counted(cluster.backends.len(), "backend"));
        if !cluster.discover.is_empty() {
            text += &format!(" and {}", counted(cluster.discover.len(), "source"));
        }
        text += "\n";
    }
    text
}

/// A file that could not be read, in the shape of one that could.
fn unreadable(name: &str, error: &anyhow::Error) -> Value {
    let finding = json!({
        "severity": Severity::Error.word(),
        "message": format!("{error:#}"),
        "key": null,
        "help": [],
        "related": [],
    });
    json!({ "file": name, "ok": false, "errors": 1, "warnings": 0, "diagnostics": [finding] })
}

fn report(config: Option<&Config>, diagnostics: &Diagnostics) -> Value {
    let found = diagnostics.to_vec();
    let mut report = json!({
        "file": diagnostics.name(),
        "files": diagnostics.files().collect::<Vec<_>>(),
        "ok": config.is_some(),
        "errors": diagnostics.count(Severity::Error),
        "warnings": diagnostics.count(Severity::Warning),
        "diagnostics": found.iter().map(|found| finding(found, diagnostics)).collect::<Vec<_>>(),
    });
    if let Some(config) = config {
        report["listeners"] =
            config.listeners.iter().map(|listener| listener.bind.to_string()).collect();
        report["routes"] = config
            .route_table()
            .routes()
            .iter()
            .map(|route| {
                json!({
                    "name": route.name,
                    "host": route.host.to_string(),
                    "path": route.path.to_string(),
                    "when": (route.when != Condition::Always).then(|| route.when.to_string()),
                    "strip": route.strip,
                    "to": config.clusters[route.cluster].name,
                })
            })
            .collect();
        report["clusters"] = config
            .clusters
            .iter()
            .map(|cluster| {
                json!({
                    "name": cluster.name,
                    "strategy": cluster.strategy.kind.name(),
                    "sticky": cluster.sticky.as_ref().map(|sticky| &sticky.cookie),
                    "checked": cluster.health.is_some(),
                    "backends": cluster.backends.iter().map(|one| one.name()).collect::<Vec<_>>(),
                    "sources": cluster.discover.len(),
                })
            })
            .collect();
    }
    report
}

/// A finding in JSON.
pub(crate) fn finding(found: &Diagnostic, diagnostics: &Diagnostics) -> Value {
    let mut finding = json!({
        "severity": found.severity().word(),
        "message": found.message(),
        "key": found.key_path(),
        "help": found.helps(),
    });
    if let Some((span, label)) = found.place() {
        let (start, end) = (diagnostics.position(span.start), diagnostics.position(span.end));
        finding["place"] = json!({
            "file": start.file,
            "line": start.line,
            "column": start.column,
            "end_line": end.line,
            "end_column": end.column,
            "label": label,
        });
    }
    finding["related"] = found
        .related_places()
        .map(|(span, label)| {
            let place = diagnostics.position(span.start);
            json!({
                "file": place.file,
                "line": place.line,
                "column": place.column,
                "label": label,
            })
        })
        .collect();
    finding
}
