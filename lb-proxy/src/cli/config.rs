//! `lb config`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lb_proxy::config::{Config, Machine, Setting, schema};
use serde_json::{Value, json};

use super::{exit::Exit, print, source};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every value that holds, defaults included, with the file and line that
    /// says so. Secrets are left out.
    Show(ShowArgs),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Configuration file; `-` is the standard input. Without it, the one that
    /// `lb run` would read.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

/// Shows what was asked for.
pub(super) fn config(args: &ConfigArgs) -> Exit {
    let text = match &args.command {
        ConfigCommand::Schema => schema(),
        ConfigCommand::Show(args) => match show(args) {
            Ok(text) => text,
            Err(exit) => return exit,
        },
    };
    match print::result(&text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

fn show(args: &ShowArgs) -> Result<String, Exit> {
    let source = source::given_or_found(args.file.as_deref())?;
    let (config, diagnostics) = Config::parse(&source.name, &source.text, &Machine);
    if config.is_none() {
        print::diagnostics(&diagnostics, "not usable");
        return Err(Exit::Usage);
    }
    let settings = Config::settings(&source.name, &source.text, &Machine);
    if !args.json {
        return Ok(listed(&settings));
    }
    Ok(format!("{}\n", as_json(&settings)))
}

/// The same as a JSON list.
pub(super) fn as_json(settings: &[Setting]) -> Value {
    let one = |Setting { key, value, place, .. }: &Setting| {
        let (file, line) = place.as_ref().map(|(file, line)| (file, line)).unzip();
        json!({ "key": key, "value": value, "file": file, "line": line })
    };
    settings.iter().map(one).collect()
}

/// One line per value, with its place.
pub(super) fn listed(settings: &[Setting]) -> String {
    let line = |setting: &Setting| format!("{} = {}", setting.key, setting.value);
    // Long lists do not push every comment to the right.
    let width = settings.iter().map(|setting| line(setting).chars().count()).max().unwrap_or(0);
    let width = width.min(60);
    settings
        .iter()
        .map(|setting| match &setting.place {
            Some((file, number)) => format!("{:width$}  # {file}:{number}\n", line(setting)),
            None => format!("{:width$}  # default\n", line(setting)),
        })
        .collect()
}
