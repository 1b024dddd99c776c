//! `lb config`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lb_proxy::config::{Config, Machine, Setting, schema};
use serde_json::{Value, json};

use super::{
    exit::Exit,
    live::{self, Place},
    print, source,
};

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
    /// Tell what runs otherwise than the file says: who wanted it, when and why. Ends with
    /// 1 if anything does.
    Diff(live::DiffArgs),
    /// Write what people have set while it ran into the file, each value where it stands,
    /// with comments kept. Ends with 1 if something of it cannot be written.
    Save(live::SaveArgs),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Configuration file; `-` is the standard input. Without it, the running lb is
    /// asked, and if there is none, the file that `lb run` would read.
    #[arg(value_name = "FILE", conflicts_with = "admin")]
    file: Option<PathBuf>,

    /// The same.
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["file", "admin"])]
    config: Option<PathBuf>,

    /// Where the running lb is: `unix:PATH` or `http://HOST:PORT`; as for `lb status`.
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    admin: Option<Place>,

    /// Print JSON: of a file a list, of a running lb what the API answers.
    #[arg(long)]
    json: bool,
}

/// Shows what was asked for.
pub(super) fn config(args: &ConfigArgs) -> Exit {
    let text = match &args.command {
        ConfigCommand::Schema => schema(),
        ConfigCommand::Diff(args) => return live::diff(args),
        ConfigCommand::Save(args) => return live::save(args),
        ConfigCommand::Show(args) => {
            let file = args.file.as_deref().or(args.config.as_deref());
            if file.is_none()
                && let Some(exit) = live::show_running(args.admin.as_ref(), args.json)
            {
                return exit;
            }
            match show(file, args.json) {
                Ok(text) => text,
                Err(exit) => return exit,
            }
        }
    };
    match print::result(&text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

fn show(file: Option<&Path>, is_json: bool) -> Result<String, Exit> {
    let source = source::given_or_found(file)?;
    let (config, diagnostics) = Config::parse(&source.name, &source.text, &Machine);
    if config.is_none() {
        print::diagnostics(&diagnostics, "not usable");
        return Err(Exit::Usage);
    }
    let settings = Config::settings(&source.name, &source.text, &Machine);
    if !is_json {
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
