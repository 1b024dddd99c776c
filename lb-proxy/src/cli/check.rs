//! `lb check`

use std::path::PathBuf;

use clap::Args;
use lb_proxy::config::{Config, Diagnostic, Diagnostics, Severity};
use serde_json::{Value, json};

use super::{
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
    match check_all(&files, args.json) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Usage,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

/// Whether all are good. An error is about the output.
fn check_all(files: &[PathBuf], json: bool) -> anyhow::Result<bool> {
    let mut all_good = true;
    let mut reports = Vec::new();
    for file in files {
        let source = match Source::read(file) {
            Ok(source) => source,
            Err(error) => {
                all_good = false;
                if json {
                    reports.push(unreadable(&file.display().to_string(), &error));
                } else {
                    print::error(&error);
                }
                continue;
            }
        };
        let (config, diagnostics) = Config::parse(&source.name, &source.text);
        all_good &= config.is_some();
        if json {
            reports.push(report(config.as_ref(), &diagnostics));
            continue;
        }
        print::diagnostics(&diagnostics, "not usable");
        if let Some(config) = config {
            print::result(&describe(&config, &source.name))?;
        }
    }
    if json {
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
    let width = table.routes().iter().map(|route| route.path.to_string().len()).max().unwrap_or(0);
    for route in table.routes() {
        let to = &config.clusters[route.cluster].name;
        text += &format!("  route    {:width$}  to {to}\n", route.path.to_string());
    }
    for cluster in &config.clusters {
        text += &format!(
            "  cluster  {}: {}, {}\n",
            cluster.name,
            config.strategy_of(cluster),
            counted(cluster.backends.len(), "backend"),
        );
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
            .map(|route| json!({ "path": route.path.to_string(), "to": config.clusters[route.cluster].name }))
            .collect();
        report["clusters"] = config
            .clusters
            .iter()
            .map(|cluster| {
                json!({
                    "name": cluster.name,
                    "strategy": config.strategy_of(cluster).name(),
                    "backends": cluster.backends.iter().map(|one| one.name()).collect::<Vec<_>>(),
                })
            })
            .collect();
    }
    report
}

fn finding(found: &Diagnostic, diagnostics: &Diagnostics) -> Value {
    let mut finding = json!({
        "severity": found.severity().word(),
        "message": found.message(),
        "key": found.key_path(),
        "help": found.helps(),
    });
    if let Some((span, label)) = found.place() {
        let (line, column) = diagnostics.position(span.start);
        let (end_line, end_column) = diagnostics.position(span.end);
        finding["place"] = json!({
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "label": label,
        });
    }
    finding["related"] = found
        .related_places()
        .map(|(span, label)| {
            let (line, column) = diagnostics.position(span.start);
            json!({ "line": line, "column": column, "label": label })
        })
        .collect();
    finding
}
