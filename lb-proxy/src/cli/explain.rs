//! `lb explain`: where a request would go. Offline: it reads the file and asks nobody.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Uri};
use lb_proxy::config::{Config, Machine};

use super::{exit::Exit, print, source};
use crate::explain::{Explanation, Question, read_header};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// `GET`
    #[arg(value_name = "METHOD")]
    method: Method,

    /// `/api/x?y=z`, or `http://www.example.org/api/x` as clients send it to proxies.
    #[arg(value_name = "TARGET")]
    target: Uri,

    /// A header of the request, `'Host: www.example.org'`; may be given several times.
    #[arg(long, short = 'H', value_name = "HEADER", value_parser = read_header)]
    header: Vec<(HeaderName, HeaderValue)>,

    /// Whose connection the request comes on; a trusted proxy is believed about where
    /// it came from before.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,

    /// Configuration file; `-` reads the standard input. Without it, the one that
    /// `lb run` would read.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    fn question(&self) -> Question {
        Question {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.header.clone(),
            client: self.client,
        }
    }
}

/// Explains a request; fails when no backend would get it.
pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let source = match source::given_or_found(args.config.as_deref()) {
        Ok(source) => source,
        Err(exit) => return exit,
    };
    let (config, diagnostics) = Config::parse(&source.name, &source.text, &Machine);
    let Some(config) = config else {
        print::diagnostics(&diagnostics, "nothing to explain");
        return Exit::Usage;
    };
    let question = args.question();
    let explanation = Explanation::new(&config, &question);
    let text = match args.json {
        true => format!("{}\n", explanation.json(&question)),
        false => explanation.text(&question),
    };
    match print::result(&text) {
        Ok(()) if explanation.refusal.is_none() => Exit::Done,
        Ok(()) => Exit::Failed,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}
