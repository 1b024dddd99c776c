//! CPU time per request of `lb` beside HAProxy and nginx, in one run.
//!
//! The load generator and the backends are one thread on one core, the proxy
//! under test has the other core to itself, and the proxies take turns, so that
//! whatever the machine does meanwhile happens to all of them. The figure is CPU
//! time of the proxy's processes from `/proc`, not requests per second: it does
//! not depend on which side saturates first.
//!
//! Latency, TLS and memory are not measured here.

mod child;
mod cli;
mod cores;
mod cpu;
mod engine;
mod framing;
mod outbox;
mod proxy;
mod report;
mod scratch_dir;
mod traffic;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::{
    child::Child,
    cli::Options,
    engine::Engine,
    proxy::{Proxy, Setting},
    report::{Report, Round},
    scratch_dir::ScratchDir,
    traffic::Traffic,
};

fn main() -> Result<()> {
    let options = Options::parse();
    cores::check(options.proxy_core, options.driver_core)?;
    let stop = stop_flag()?;

    let mut proxies = Vec::new();
    for candidate in options.candidates()? {
        match candidate.version() {
            Some(version) => proxies.push((candidate, version)),
            None => println!("skipped: no {}", candidate.label()),
        }
    }
    anyhow::ensure!(!proxies.is_empty(), "there is nothing to measure");

    let mut report = Report::new(&options);
    for (proxy, version) in &proxies {
        report.column(proxy.label(), version);
    }
    for round in 1..=options.rounds {
        // Nobody always comes after the same one.
        let first = (round - 1) % proxies.len();
        for (proxy, _) in proxies.iter().cycle().skip(first).take(proxies.len()) {
            let measured = measure(proxy, &options, &stop)
                .with_context(|| format!("{} in round {round}", proxy.label()))?;
            eprintln!("round {round}  {:<12} {}", proxy.label(), measured);
            report.add(proxy.label(), measured);
        }
    }
    print!("{report}");
    Ok(())
}

/// One round: a fresh proxy and fresh backends, a warm-up, then the counted requests.
///
/// A fresh process each time costs half a second and keeps one unlucky memory
/// layout from deciding the whole run.
fn measure(proxy: &Proxy, options: &Options, stop: &Arc<AtomicBool>) -> Result<Round> {
    let directory = ScratchDir::create()?;
    let traffic = Traffic::new(options.mode, options.body, options.post);
    cores::pin_this_thread(options.driver_core)?;
    let engine = Engine::new(traffic, Arc::clone(stop))?;
    let setting = Setting {
        listen: cores::free_port()?,
        backends: engine.backends(),
        connections: options.connections,
        forwarded: options.forwarded,
    };
    let command = proxy.command(&setting, directory.path())?;
    let mut child = Child::start(command, options.proxy_core, directory.path())?;
    child.wait_for_port(setting.listen)?;

    // By value: all connections are gone before the proxy is told to end, even if
    // this fails, so that it has nothing to wait for.
    let round = drive(engine, setting.listen, child.pid(), options)?;
    child.end()?;
    Ok(round)
}

fn drive(mut engine: Engine, proxy: SocketAddr, pid: u32, options: &Options) -> Result<Round> {
    engine.connect(proxy, options.connections)?;
    engine.run(options.warm_up())?;
    let cpu_before = cpu::of_tree(pid)?;
    let core_before = cpu::of_core(options.proxy_core)?;
    let started = Instant::now();
    engine.run(options.requests)?;
    let wall = started.elapsed();
    let core = cpu::of_core(options.proxy_core)? - core_before;
    let cpu = cpu::of_tree(pid)? - cpu_before;
    engine.check_all_backends_served()?;
    Ok(Round::new(cpu, core, wall, options.requests))
}

/// A flag that an interrupt sets, so that the proxies are ended and reaped on the way out.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second interrupt ends the process at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
