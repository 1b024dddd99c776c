//! `lb explain`: where a request would go, by what runs or by a file, or where one went.
//!
//! A running `lb` knows more than its file: who is up, and what people have changed. So it
//! is asked if there is one, unless a file is named.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Uri};
use lb_proxy::config::{Config, Machine};

use super::{
    exit::Exit,
    live::{Place, ask_running, explain_kept},
    print, source,
};
use crate::explain::{Explanation, Question, read_header};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// `GET`; or, alone, the `X-Request-Id` of a request that is over: where that went.
    #[arg(value_name = "METHOD|ID")]
    method: String,

    /// `/api/x?y=z`, or `http://www.example.org/api/x` as clients send it to proxies.
    #[arg(value_name = "TARGET")]
    target: Option<Uri>,

    /// A header of the request, `'Host: www.example.org'`; may be given several times.
    #[arg(long, short = 'H', value_name = "HEADER", value_parser = read_header)]
    header: Vec<(HeaderName, HeaderValue)>,

    /// Whose connection the request comes on; a trusted proxy is believed about where
    /// it came from before.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,

    /// Ask this configuration file; `-` reads the standard input. Without it, the running
    /// lb is asked, and if there is none, the file that `lb run` would read.
    #[arg(long, short, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,

    /// Where the running lb is: `unix:PATH` or `http://HOST:PORT`; as for `lb status`.
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    admin: Option<Place>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    /// # Errors
    ///
    /// What is no method.
    fn question(&self, target: &Uri) -> Result<Question, String> {
        let method = self.method.parse::<Method>();
        Ok(Question {
            method: method.map_err(|error| format!("`{}` is no method: {error}", self.method))?,
            target: target.clone(),
            headers: self.header.clone(),
            client: self.client,
        })
    }
}

/// Tells of a request that is over. Only who has sent it can know.
fn explain_past(args: &ExplainArgs) -> Exit {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    let mistake = if METHODS.iter().any(|method| method.eq_ignore_ascii_case(&args.method)) {
        Some("what is asked for? `lb explain GET /path`")
    } else if args.method.contains('/') {
        Some("by which method? `lb explain GET /path`")
    } else if args.config.is_some() {
        Some("a file knows nothing of requests that are over: leave `--config` out")
    } else {
        None
    };
    match mistake {
        Some(mistake) => {
            print::diagnostic(&format!("error: {mistake}\n"));
            Exit::Usage
        }
        None => explain_kept(args.admin.as_ref(), &args.method, args.json),
    }
}

/// Explains a request; fails when no backend would get it.
pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let Some(target) = &args.target else { return explain_past(args) };
    let question = match args.question(target) {
        Ok(question) => question,
        Err(mistake) => {
            print::diagnostic(&format!("error: {mistake}\n"));
            return Exit::Usage;
        }
    };
    if args.config.is_none()
        && let Some(exit) = ask_running(args.admin.as_ref(), &question, args.json)
    {
        return exit;
    }
    let source = match source::given_or_found(args.config.as_deref()) {
        Ok(source) => source,
        Err(exit) => return exit,
    };
    let (config, diagnostics) = Config::parse(&source.name, &source.text, &Machine);
    let Some(config) = config else {
        print::diagnostics(&diagnostics, "nothing to explain");
        return Exit::Usage;
    };
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
