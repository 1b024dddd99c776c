//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use crate::proxy::{Kind, Proxy};

/// Measures CPU time per request of lb, HAProxy and nginx on two cores.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// An `lb` binary, as PATH or LABEL=PATH; give several to compare builds
    #[arg(long, value_name = "[LABEL=]PATH")]
    lb: Vec<String>,
    /// Measure only these labels
    #[arg(long, value_name = "LABEL")]
    only: Vec<String>,
    /// What one request is
    #[arg(long, value_enum, default_value_t = Mode::KeepAlive)]
    pub(crate) mode: Mode,
    /// Bytes in the body of each response
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
    /// Send POST requests with a body of that many bytes instead of GET
    #[arg(long, value_name = "BYTES")]
    pub(crate) post: Option<usize>,
    /// Client connections at any time
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Counted requests per round and proxy
    #[arg(long, default_value_t = 200_000)]
    pub(crate) requests: u64,
    /// Rounds; the proxies take turns within each
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Let the peers add X-Forwarded-For, -Proto and -Host too, as lb does
    #[arg(long)]
    pub(crate) forwarded: bool,
    /// Core of the proxy under test
    #[arg(long, default_value_t = 0)]
    pub(crate) proxy_core: usize,
    /// Core of the load generator and the backends
    #[arg(long, default_value_t = 1)]
    pub(crate) driver_core: usize,
}

/// How requests use client connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Mode {
    /// Each connection carries one request after the other
    KeepAlive,
    /// One connection per request, closed by the proxy
    NewConnections,
}

impl Options {
    /// A tenth of the counted requests, and enough for each connection to have been used often.
    pub(crate) fn warm_up(&self) -> u64 {
        (self.requests / 10).max(self.connections as u64 * 20)
    }

    pub(crate) fn candidates(&self) -> Result<Vec<Proxy>> {
        let mut all = Vec::new();
        for given in &self.lb {
            let (label, path) = given.split_once('=').unwrap_or(("lb", given));
            let path = PathBuf::from(path);
            let path = path.canonicalize().with_context(|| format!("--lb {}", path.display()))?;
            all.push(Proxy::new(Kind::Lb, label, path));
        }
        all.push(Proxy::new(Kind::Haproxy, "haproxy", PathBuf::from("haproxy")));
        all.push(Proxy::new(Kind::Nginx, "nginx", PathBuf::from("nginx")));
        for (position, proxy) in all.iter().enumerate() {
            let first = all.iter().position(|p| p.label() == proxy.label());
            anyhow::ensure!(first == Some(position), "label {} is used twice", proxy.label());
        }
        if !self.only.is_empty() {
            for label in &self.only {
                let known = all.iter().any(|proxy| proxy.label() == label);
                anyhow::ensure!(known, "--only {label}: there is no such proxy in this run");
            }
            all.retain(|proxy| self.only.iter().any(|label| label == proxy.label()));
        }
        Ok(all)
    }
}
