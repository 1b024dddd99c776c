//! Nanoseconds and allocations per pick: the strategies of `lb-core` beside
//! pingora-load-balancing, tower, maglev and hashring, linked as published, in one run.
//!
//! All contenders of a table take turns within each round, and a ratio is the
//! median of the ratios of single rounds: what the machine does meanwhile
//! happens to both sides. Absolute figures belong to the machine; compare ratios.
//!
//! A pick is not the same thing everywhere, so both are shown: pingora's `select`
//! returns a backend and keeps no account of it, as our pick does; a lease, which
//! is what a proxy takes, is also counted in and out again; tower's figure is `ready` and `call` of a service that
//! answers at once, which picks, counts in and counts out.

mod allocations;
mod cli;
mod contender;
mod lb;
mod measure;
mod pingora;
mod table;
mod tables;
mod tower;

use anyhow::Result;
use clap::Parser as _;
use lb_benches::SIZES;
use lb_core::strategy::StrategyKind;

use crate::{
    cli::{Options, Tables},
    contender::Contender,
    measure::Measured,
    table::{Pair, Ratios, Table, Threads},
};

/// What is divided by what.
const PAIRS: &[Pair] = &[
    Pair::new("pingora Random", "lb random pick"),
    Pair::new("pingora FNVHash", "lb ip-hash pick"),
    Pair::new("pingora RoundRobin", "lb round-robin in blocks pick"),
    Pair::new("pingora RoundRobin", "lb round-robin pick"),
    Pair::new("pingora Consistent", "lb hash-consistent pick"),
    Pair::new("pingora Consistent", "lb maglev without bound pick"),
    Pair::new("pingora Consistent", "lb maglev pick"),
    Pair::new("pingora Consistent", "lb ring pick"),
    Pair::new("pingora Consistent", "lb jump pick"),
    Pair::new("maglev crate", "lb maglev without bound pick"),
    Pair::new("hashring crate", "lb ring pick"),
    Pair::new("hashring crate", "lb hash-consistent pick"),
    Pair::new("pingora Random", "lb random lease"),
    Pair::new("pingora RoundRobin", "lb round-robin in blocks lease"),
    Pair::new("pingora RoundRobin", "lb round-robin lease"),
    Pair::new("pingora FNVHash", "lb ip-hash lease"),
    Pair::new("pingora Consistent", "lb maglev lease"),
    Pair::new("pingora Random", "lb least-conn lease"),
    Pair::new("tower p2c", "lb p2c lease"),
];

fn main() -> Result<()> {
    let options = Options::parse();
    println!("{}", about());
    match options.table {
        Tables::All => print_all(&options),
        Tables::Readme => {
            let measured = measure_all(&options, &SIZES, 1, paired);
            println!("{}", Ratios::new(&measured, PAIRS));
        }
        Tables::Threads => {
            let of = |threads| measure_all(&options, &SIZES, threads, concurrent);
            println!("{}", Threads::new(&of(1), &of(2)));
        }
        Tables::Down => print_mostly_down(&options),
    }
    Ok(())
}

fn print_all(options: &Options) {
    for (threads, note) in [(1, "One thread"), (2, "Two threads on one cluster")] {
        let measured = measure_all(options, &SIZES, threads, everybody);
        println!("**{note}**, ns per pick\n\n{}", Table::new(&measured, PAIRS));
    }
    print_mostly_down(options);
}

fn print_mostly_down(options: &Options) {
    // Of four backends there are no nine tenths.
    let measured = measure_all(options, &SIZES[1..], 1, mostly_down);
    println!(
        "**Nine of ten backends down**, one thread, ns per pick\n\n{}",
        Table::new(&measured, PAIRS)
    );
}

fn measure_all(
    options: &Options,
    sizes: &[usize],
    threads: usize,
    contenders: fn(&Options, usize, usize) -> Vec<Contender>,
) -> Vec<(usize, Vec<Measured>)> {
    let of_size = |&size| {
        eprintln!("{size} backends, {threads} threads");
        let mut contenders = contenders(options, size, threads);
        contenders.retain(|one| one.name.contains(&options.only));
        (size, measure::in_turn(contenders, threads, options.rounds))
    };
    sizes.iter().map(of_size).collect()
}

fn everybody(options: &Options, size: usize, threads: usize) -> Vec<Contender> {
    let mut all = Vec::new();
    all.extend(StrategyKind::ALL.iter().map(|strategy| lb::pick(*strategy, size)));
    all.extend(StrategyKind::ALL.iter().map(|strategy| lb::lease(*strategy, size)));
    all.extend(lb::in_blocks(size));
    all.extend(lb::unbounded(size));
    all.extend(pingora::all(size, options.max_iterations));
    all.extend(tables::all(size));
    if threads == 1 {
        // Its balancer is `&mut self`: two threads would measure a lock.
        all.push(tower::p2c(size));
    }
    all
}

/// Those of whom there is a ratio.
fn paired(options: &Options, size: usize, threads: usize) -> Vec<Contender> {
    let mut all = everybody(options, size, threads);
    all.retain(|one| PAIRS.iter().any(|pair| pair.is_of(&one.name)));
    all
}

/// Those that several threads can use at once.
fn concurrent(options: &Options, size: usize, _: usize) -> Vec<Contender> {
    everybody(options, size, 2)
}

fn mostly_down(options: &Options, size: usize, _: usize) -> Vec<Contender> {
    let mut all = Vec::new();
    all.extend(StrategyKind::ALL.iter().map(|strategy| lb::pick_mostly_down(*strategy, size)));
    all.extend(StrategyKind::ALL.iter().map(|strategy| lb::lease_mostly_down(*strategy, size)));
    all.extend(lb::unbounded_mostly_down(size));
    all.extend(pingora::all_mostly_down(size, options.max_iterations));
    all
}

/// What the figures were taken of and on.
fn about() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let locked = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let rest = locked.split_once(&entry).map_or("", |(_, rest)| rest);
        rest.split_once('"').map_or("?", |(version, _)| version)
    };
    format!(
        "lb-core {}, pingora-load-balancing {}, tower {}, maglev {}, hashring {}; {model}\n",
        version("lb-core"),
        version("pingora-load-balancing"),
        version("tower"),
        version("maglev"),
        version("hashring"),
    )
}
