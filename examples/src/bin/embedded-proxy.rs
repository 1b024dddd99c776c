//! `cargo run -p lb-examples --bin embedded-proxy`: the proxy in a `main` of your own.
//!
//! Three backends and a proxy on free ports, in one process. While clients send
//! requests, one backend is drained, as a deployment would do; nobody notices.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use lb_core::{
    AdminState, Backend, Cause, Change, Cluster, Membership, cluster::CauseKind,
    strategy::RoundRobin,
};
use lb_proxy::{
    ClusterSettings, ListenerSettings, Proxy, Route, RouteTable, Service, demo::DemoOptions,
};

fn main() -> anyhow::Result<()> {
    // In your program these are other machines.
    let servers = ["one", "two", "three"].map(|name| DemoOptions::named(name).start());
    let servers = servers.into_iter().collect::<Result<Vec<_>, _>>()?;

    let members = servers
        .iter()
        .map(|server| Backend::new(server.address().to_string()).named(server.name()));
    let cluster = Cluster::builder("web")
        .strategy(RoundRobin::default())
        .membership(Membership::new(members)?)
        .build();
    let service = Service {
        listeners: vec![ListenerSettings::new("127.0.0.1:0".parse()?)],
        routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
        clusters: vec![ClusterSettings::new(cluster.clone())],
        access_log: None,
    };
    let proxy = Proxy::start(service, NonZeroUsize::MIN)?;
    let address = proxy.addresses()[0];
    println!("the proxy listens on http://{address}");
    let answers = ask(address, 30)?;
    println!("30 requests:         {answers:?}");
    ensure!(answers.len() == 3 && answers.values().all(|count| *count == 10), "not in turn");

    // A change is recorded with its cause, and is effective once every worker has
    // acknowledged it: after that, nobody new reaches "two".
    let drain =
        Change::Admin { backend: "two".into(), state: AdminState::Draining { until: None } };
    let version = cluster.apply(drain, Cause::new(CauseKind::Person, "deploying two"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(cluster.effective(version));
    let answers = ask(address, 30)?;
    println!("with \"two\" drained:  {answers:?}");
    ensure!(!answers.contains_key("two"), "a drained backend was given new requests");

    // Requests in flight are finished before this returns.
    runtime.block_on(proxy.drain());
    println!("drained");
    Ok(())
}

/// Who answered how many of `count` requests.
fn ask(proxy: SocketAddr, count: usize) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(proxy)?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {proxy}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let name = answer.split("x-backend: ").nth(1).and_then(|rest| rest.lines().next());
        *answers
            .entry(name.context("an answer that names its backend")?.to_owned())
            .or_default() += 1;
    }
    Ok(answers)
}
