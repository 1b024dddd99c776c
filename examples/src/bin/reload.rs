//! `cargo run -p lb-examples --bin reload`: other backends under the same clients.
//!
//! "blue" serves, "green" is to take over, as in a deployment that keeps the old version
//! at hand. The service is replaced while a client uses one connection all the time: it
//! stays connected and sees one answer after the other, first blue ones, then green.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    num::NonZeroUsize,
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use lb_core::{Backend, Cluster, Membership};
use lb_proxy::{
    ClusterSettings, ListenerSettings, Proxy, Route, RouteTable, Service,
    demo::{DemoBackend, DemoOptions},
};

fn main() -> anyhow::Result<()> {
    // In your program these are other machines.
    let (blue, green) = (DemoOptions::named("blue").start()?, DemoOptions::named("green").start()?);
    let service = |server: &DemoBackend| -> anyhow::Result<Service> {
        let backend = Backend::new(server.address().to_string());
        let cluster = Cluster::builder(server.name()).membership(Membership::new([backend])?);
        Ok(Service {
            // The same address is the same listener: it is not even closed for a moment.
            listeners: vec![ListenerSettings::new("127.0.0.1:0".parse()?)],
            routes: Arc::new(RouteTable::new(vec![Route::everything(0)])),
            clusters: vec![ClusterSettings::new(cluster.build())],
            access_log: None,
        })
    };
    let proxy = Proxy::start(service(&blue)?, NonZeroUsize::MIN)?;
    let mut client = BufReader::new(TcpStream::connect(proxy.addresses()[0])?);
    let before = ask(&mut client)?;
    println!("before: {before}");

    // What cannot be had is refused here, as a whole. When the future resolves, every
    // worker has taken the service up: nothing new reaches blue from then on.
    let reloaded = proxy.reload(service(&green)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let listeners = runtime.block_on(reloaded);
    println!("reload: kept {:?}", listeners.kept);

    let after = ask(&mut client)?;
    println!("after:  {after}");
    ensure!((before.as_str(), after.as_str()) == ("blue", "green"), "not who should answer");
    runtime.block_on(proxy.drain());
    Ok(())
}

/// Who answers the next request of this connection.
fn ask(client: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    client.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")?;
    let (mut name, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        client.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("x-backend", value)) => name = Some(value.to_owned()),
            Some(("content-length", value)) => length = value.parse()?,
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => ensure!(line.contains(" 200 "), "not an answer: {line}"),
        }
    }
    client.read_exact(&mut vec![0; length])?;
    name.context("an answer that names its backend")
}
