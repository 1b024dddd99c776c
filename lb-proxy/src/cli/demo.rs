//! `lb demo`: two clusters of two backends each, in this process, and a balancer
//! in front of them.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use lb_core::{Backend, strategy::StrategyKind};
use lb_proxy::{
    Route, StartError,
    config::{Bind, Cluster, Config},
    demo::{DemoBackend, DemoOptions},
};

use super::{exit::Exit, log, print};
use crate::app::{App, Signals};

/// Connections that `--check` opens to each cluster.
const CHECKS: usize = 100;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Prove that requests are distributed as they should be, and end.
    #[arg(long)]
    check: bool,

    /// Where to listen (default: 127.0.0.1:8080; with `--check`, any free port).
    #[arg(long, short, value_name = "ADDR", value_parser = Bind::parse)]
    listen: Option<Bind>,
}

/// Shows the balancer at work, or proves that it works.
pub(super) fn demo(args: &DemoArgs) -> Exit {
    if let Err(error) = log::start("warn") {
        print::error(&error);
        return Exit::Usage;
    }
    let outcome = if args.check { prove(args) } else { show(args) };
    outcome.unwrap_or_else(|error| {
        print::error(&error);
        if let Some(StartError::Bind { .. }) = error.downcast_ref() {
            print::diagnostic("help: choose another address: lb demo --listen 127.0.0.1:0\n");
        }
        Exit::Failed
    })
}

fn show(args: &DemoArgs) -> anyhow::Result<Exit> {
    let signals = Signals::of_a_program()?;
    let farm = Farm::start(args.listen.clone().unwrap_or(Bind::DEFAULT))?;
    print::result(&farm.tour()?)?;
    Ok(farm.app.serve(signals).into())
}

fn prove(args: &DemoArgs) -> anyhow::Result<Exit> {
    let any_port = Bind::Socket(SocketAddr::from(([127, 0, 0, 1], 0)));
    let farm = Farm::start(args.listen.clone().unwrap_or(any_port))?;
    let address = farm.address()?;
    let mut passed = true;
    let mut table = format!(
        "{:8}  {:10}  {:12}  {}\n",
        "path", "cluster", "strategy", "answers of 100 connections"
    );
    for (path, cluster) in [("/", &farm.config.clusters[0]), ("/api/", &farm.config.clusters[1])] {
        let shares = count_answers(address, path)?;
        let holds = holds(&shares, cluster, cluster.strategy.kind);
        passed &= holds;
        let shares: Vec<String> =
            shares.iter().map(|(name, count)| format!("{name} {count}")).collect();
        table += &format!(
            "{path:8}  {:10}  {:12}  {:24}  {}\n",
            cluster.name,
            cluster.strategy.kind.name(),
            shares.join(", "),
            if holds { "ok" } else { "WRONG" },
        );
    }
    farm.app.stop();
    print::result(&table)?;
    Ok(if passed { Exit::Done } else { Exit::Failed })
}

/// The demo's backends and the balancer in front of them.
struct Farm {
    config: Config,
    app: App,
    /// They stop when they are dropped.
    _backends: Vec<DemoBackend>,
}

impl Farm {
    fn start(bind: Bind) -> anyhow::Result<Self> {
        let backends: Vec<DemoBackend> = ["s1", "s2", "d1", "d2"]
            .into_iter()
            .map(|name| DemoOptions::named(name).start())
            .collect::<io::Result<_>>()
            .context("cannot start the backends")?;
        let members: Vec<Backend> = backends
            .iter()
            .map(|backend| Backend::new(backend.address().to_string()).named(backend.name()))
            .collect();
        let (static_nodes, dynamic_nodes) = members.split_at(2);
        let mut config = Config::to_backends(Vec::new());
        config.listeners[0].bind = bind;
        config.clusters = vec![
            Cluster::new("static", static_nodes.to_vec()),
            Cluster::new("dynamic", dynamic_nodes.to_vec()),
        ];
        config.clusters[1].strategy = StrategyKind::RoundRobin.into();
        config.routes = vec![Route::everything(0), Route::prefix("/api/", 1)];
        let app = App::start(&config, "demo")?;
        Ok(Self { config, app, _backends: backends })
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        let listening = self.app.addresses().first().copied();
        listening.map(reachable).context("nothing is listened on")
    }

    /// What runs, and what to try.
    fn tour(&self) -> anyhow::Result<String> {
        let url = format!("http://{}", self.address()?);
        let mut text = format!("{}\n\n", self.app.start_line(&self.config, "lb demo"));
        for (path, cluster) in
            [("/", &self.config.clusters[0]), ("/api/", &self.config.clusters[1])]
        {
            let names: Vec<String> = cluster
                .backends
                .iter()
                .map(|backend| format!("{} http://{}", backend.name(), backend.address()))
                .collect();
            text += &format!(
                "  {:28}  {} ({}): {}\n",
                format!("{url}{path}"),
                cluster.name,
                cluster.strategy.kind,
                names.join(", ")
            );
        }
        let tries = [
            (format!("curl {url}/"), "which backend answers?"),
            (format!("for i in 1 2 3 4; do curl -s {url}/api/; done"), "d1 and d2 in turn"),
            (format!("curl {url}/headers"), "what a backend is told"),
            (format!("curl -o /dev/null {url}/bytes/1000000000"), "a gigabyte, streamed"),
        ];
        let width = tries.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        text += "\nTry:\n\n";
        for (command, what) in tries {
            text += &format!("  {command:width$}   # {what}\n");
        }
        text += "\nCtrl-C ends it.\n";
        Ok(text)
    }
}

/// An address that a browser on this machine can be given.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Asks over new connections, one after the other, and counts who answered.
fn count_answers(address: SocketAddr, path: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut shares = BTreeMap::new();
    for _ in 0..CHECKS {
        let name = ask(address, path).with_context(|| format!("no answer for {path}"))?;
        *shares.entry(name).or_default() += 1;
    }
    Ok(shares)
}

fn ask(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "the answer was `{}`", line.trim_end());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            bail!("the answer ended in its head");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    let answer: serde_json::Value = serde_json::from_str(&body)?;
    answer["name"].as_str().map(str::to_owned).context("the answer names nobody")
}

/// Only its own backends answered, each of them: in turn, where that is promised;
/// and nearly so, where it follows from one request at a time.
fn holds(shares: &BTreeMap<String, usize>, cluster: &Cluster, strategy: StrategyKind) -> bool {
    let own = |name: &String| cluster.backends.iter().any(|backend| backend.name() == name);
    let share = CHECKS / cluster.backends.len();
    let off_by = |most| shares.values().all(|count| count.abs_diff(share) <= most);
    shares.keys().all(own)
        && shares.len() == cluster.backends.len()
        && match strategy {
            StrategyKind::RoundRobin => off_by(0),
            // A request may still be counted when the next one comes.
            StrategyKind::LeastConn => off_by(share / 5),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_shown_as_one_that_can_be_reached() {
        for (listening, shown) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            let listening: SocketAddr = listening.parse().expect("an address");
            assert_eq!(reachable(listening).to_string(), shown);
        }
    }

    #[test]
    fn a_lopsided_cluster_is_noticed() {
        let members = ["a", "b"].map(|name| Backend::new("x:1").named(name));
        let cluster = Cluster::new("c", members.into());
        let holds = |a, b, strategy| {
            holds(&[("a".to_owned(), a), ("b".to_owned(), b)].into(), &cluster, strategy)
        };
        assert!(holds(50, 50, StrategyKind::RoundRobin));
        assert!(!holds(49, 51, StrategyKind::RoundRobin));
        assert!(holds(45, 55, StrategyKind::LeastConn));
        assert!(!holds(30, 70, StrategyKind::LeastConn));
    }
}
