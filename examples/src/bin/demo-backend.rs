//! `cargo run -p lb-examples --bin demo-backend -- --port 9001 --name s1`: a backend to balance over.
//!
//! Answers with its name and a count, streams bodies of any size, and misbehaves
//! on request: see `lb_proxy::demo` for its paths. Runs until it is stopped, or
//! for as long as `--for` says.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use http::StatusCode;
use lb_proxy::{demo::DemoOptions, parse_duration};

/// A backend to balance over.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; 0 is any free port.
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// The interface to listen on; `0.0.0.0` is all of them.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,

    /// What it calls itself in its answers.
    #[arg(long, default_value = "demo")]
    name: String,

    /// Wait so long before every answer: `20ms`, `1s`.
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    delay: Duration,

    /// Answer with this status.
    #[arg(long, default_value = "200", value_parser = read_status)]
    status: StatusCode,

    /// Close keep-alive connections unannounced at random moments; the number
    /// decides at which.
    #[arg(long, value_name = "SEED")]
    close_idle: Option<u64>,

    /// Say in each answer how loaded it is, in `endpoint-load-metrics`.
    #[arg(long)]
    report_load: bool,

    /// End by itself after so long.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    lifetime: Option<Duration>,
}

fn read_status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse().ok().filter(|status| (200..600).contains(status));
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| "an answer has a status of 200 to 599".to_owned())
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let address = SocketAddr::new(args.host, args.port);
    let mut options =
        DemoOptions::named(args.name).bind(address).delay(args.delay).status(args.status);
    if let Some(seed) = args.close_idle {
        options = options.close_idle(seed);
    }
    if args.report_load {
        options = options.report_load();
    }
    let backend = options.start().with_context(|| format!("cannot listen on {address}"))?;
    println!("{} listens on http://{}", backend.name(), backend.address());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let lifetime = async {
            match args.lifetime {
                Some(lifetime) => tokio::time::sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            () = lifetime => {}
            _ = terminate.recv() => {}
            result = tokio::signal::ctrl_c() => result?,
        }
        anyhow::Ok(())
    })?;
    let (requests, connections) = (backend.requests(), backend.connections());
    println!("{} answered {requests} requests over {connections} connections", backend.name());
    Ok(())
}
