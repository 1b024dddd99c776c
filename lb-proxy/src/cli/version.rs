//! `lb version`

use clap::Args;
use serde_json::json;

use super::{exit::Exit, print};

#[derive(Debug, Args)]
pub(super) struct VersionArgs {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn version(args: &VersionArgs) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let text = if args.json {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        format!("{}\n", json!({ "name": "lb", "version": version, "os": os, "arch": arch }))
    } else {
        format!("lb {version}\n")
    };
    match print::result(&text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}
